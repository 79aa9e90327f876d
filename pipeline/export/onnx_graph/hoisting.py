"""Moves what does not change from one repetition of a loop to the next in front of the loop.

spox writes a node into the innermost scope that uses its result. Without this, each tile would scale the whole
photograph anew.
"""

import onnx


def hoist_invariants(graph: onnx.GraphProto) -> None:
    """Moves the nodes of loops in a graph, at any depth, that depend on no value of the loop in front of it.

    Nodes in the branches of an If within a loop are moved too: none of ours fails, or takes long, only because the
    other branch is chosen. Branches that are in no loop stay as they are.
    """
    nodes = []
    for node in graph.node:
        for subgraph in subgraphs(node):
            hoist_invariants(subgraph)
        if node.op_type == "Loop":
            (body,) = subgraphs(node)
            nodes += _take_invariants(body, {value.name for value in body.input})
        nodes.append(node)
    set_nodes(graph, nodes)


def _take_invariants(graph: onnx.GraphProto, changing: set[str]) -> list[onnx.NodeProto]:
    """Removes and returns the nodes of a loop's body, or of a branch in it, that depend on none of some values.

    Args:
      graph: the body, whose initializers stay, or the branch.
      changing: names of the values that change, to which those of the nodes that stay are added.
    """
    changing |= {initializer.name for initializer in graph.initializer}
    constants, kept, taken = [], [], []
    of_constants: set[str] = set()
    results = {value.name for value in graph.output}  # must be made in the graph itself
    for node in graph.node:
        if node.op_type == "If":
            for branch in subgraphs(node):
                taken += _take_invariants(branch, changing)
        if changing & _used(node) or results & set(node.output):
            changing |= set(node.output)
            kept.append(node)
        elif _used(node) <= of_constants:
            of_constants |= set(node.output)
            constants.append(node)
        else:
            taken.append(node)
    # onnxruntime takes weights for constant only beside the convolution that reads them: most constants stay.
    needed = set().union(*map(_used, taken))
    for node in reversed(constants):
        if needed & set(node.output):
            needed |= _used(node)
    set_nodes(graph, [node for node in constants if not needed & set(node.output)] + kept)
    return [node for node in constants if needed & set(node.output)] + taken


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Returns the body of a Loop, or the branches of an If; of other nodes nothing."""
    return [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]


def _used(node: onnx.NodeProto) -> set[str]:
    """Returns the names of all values that a node or its subgraphs read."""
    names = set(node.input)
    for graph in subgraphs(node):
        names |= {output.name for output in graph.output}
        for inner in graph.node:
            names |= _used(inner)
    return names


def set_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Replaces the nodes of a graph, which may be among the new ones."""
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]  # the list below owns the others
    del graph.node[:]
    graph.node.extend(nodes)
