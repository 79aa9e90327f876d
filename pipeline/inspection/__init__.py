"""Inspection of the training stream and of the networks."""

from pipeline.inspection.elements import extremes, read_elements
from pipeline.inspection.network_cost import NetworkCost, network_cost
from pipeline.inspection.network_diagram import draw_network
from pipeline.inspection.sheets import draw_element, draw_elements, draw_extremes

__all__ = [
    "NetworkCost",
    "draw_element",
    "draw_elements",
    "draw_extremes",
    "draw_network",
    "extremes",
    "network_cost",
    "read_elements",
]
