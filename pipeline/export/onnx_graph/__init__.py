"""The whole graph as ONNX, operator by operator, around the network that tf2onnx converts."""

from pipeline.export.onnx_graph.lesions import COLUMNS
from pipeline.export.onnx_graph.network import PRECISIONS, for_gpu, network_to_onnx
from pipeline.export.onnx_graph.operators import OPSET
from pipeline.export.onnx_graph.parts import map_graph, tiles_graph
from pipeline.export.onnx_graph.whole import whole_graph

__all__ = [
    "COLUMNS",
    "OPSET",
    "PRECISIONS",
    "for_gpu",
    "map_graph",
    "network_to_onnx",
    "tiles_graph",
    "whole_graph",
]
