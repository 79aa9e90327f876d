"""Takes away the copies of results that spox makes to give them their names: the map of a photograph is large."""

from collections.abc import Mapping

import onnx

from pipeline.export.onnx_graph.hoisting import subgraphs


def drop_copies(graph: onnx.GraphProto) -> None:
    """Removes the Identity nodes that lead to the outputs of a graph, and gives what they copy the outputs' names.

    A value may lead to one output only, and no input of the graph to any.
    """
    sources = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    names: dict[str, str] = {}
    for output in graph.output:
        name = output.name
        while name in sources:
            names[name] = output.name
            name = sources[name]
        names[name] = output.name
    copies = [node for node in graph.node if node.op_type == "Identity" and node.output[0] in names]
    for node in copies:
        graph.node.remove(node)
    _rename(graph, names)


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Renames values wherever a graph or its subgraphs make or read them."""
    for node in graph.node:
        for place in (node.input, node.output):
            place[:] = [names.get(name, name) for name in place]
        for subgraph in subgraphs(node):
            _rename(subgraph, names)
