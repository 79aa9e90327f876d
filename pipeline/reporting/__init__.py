"""Reporting: the reports of an evaluation and of a cross-validation, one HTML file each, and what pages share."""

from pipeline.reporting.crossvalidation import write_crossvalidation_report
from pipeline.reporting.gallery import Gallery
from pipeline.reporting.minutes_plots import minutes_plot
from pipeline.reporting.next_steps import NEXT_TITLE, how_to_choose, next_steps
from pipeline.reporting.operating_points import SCORE_TITLES, WAY_TITLES
from pipeline.reporting.plots import Plot
from pipeline.reporting.rendering import REPORT, write_page
from pipeline.reporting.report import write_report
from pipeline.reporting.size_plots import size_plot

__all__ = [
    "NEXT_TITLE",
    "REPORT",
    "SCORE_TITLES",
    "WAY_TITLES",
    "Gallery",
    "Plot",
    "how_to_choose",
    "minutes_plot",
    "next_steps",
    "size_plot",
    "write_crossvalidation_report",
    "write_page",
    "write_report",
]
