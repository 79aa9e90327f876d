"""A diagram of a network's layers: from left to right in the order of execution, from top to bottom by resolution.

A U-Net looks like a U. Drawn with matplotlib alone: `keras.utils.plot_model` needs the Graphviz programs.
"""

import dataclasses
import math

import keras
import matplotlib.figure

from models import Network

# Kind and colour of a layer, by the first of these strings that its class's name contains.
KINDS = {
    "Transpose": ("up", "#2a9d8f"),
    "UpSampling": ("up", "#2a9d8f"),
    "Enlarge": ("up", "#2a9d8f"),
    "DepthToSpace": ("up", "#2a9d8f"),
    "Expand": ("up", "#2a9d8f"),
    "Pool": ("down", "#e76f51"),
    "Merging": ("down", "#e76f51"),
    "Conv": ("convolution", "#457b9d"),
    "Dense": ("dense", "#6d597a"),
    "Attention": ("attention", "#b5179e"),
    "Concat": ("concatenation", "#e9c46a"),
    "Add": ("sum or product", "#f4a261"),
    "Multiply": ("sum or product", "#f4a261"),
    "Functional": ("nested network", "#14213d"),
}
OTHER = ("other", "#adb5bd")
# Not drawn, since they change neither size nor channels and would double the width of the diagram.
UNDRAWN = ("Normalization", "Activation", "ReLU", "Dropout", "Identity", "StrideCheck")


@dataclasses.dataclass
class _Node:
    """A call of a layer.

    Attributes:
      kind: name and colour.
      text: number of channels of the output, or the name of a nested network.
      side: of the output, pixels; layers of tokens keep that of their input.
      depth: longest path from the input, in drawn layers.
      before: the nodes whose outputs it takes.
      rank: 0, or 1, 2, … where nodes share depth and side.
    """

    kind: tuple[str, str]
    text: str
    side: int
    depth: int
    before: list["_Node"]
    rank: int = 0


def draw_network(network: Network, tile: int) -> matplotlib.figure.Figure:
    """Draws the layers of a network for tiles of one size; a nested network is one box.

    Args:
      network: any; it is not changed.
      tile: side of the tile, pixels, a multiple of the network's stride.
    """
    nodes = _nodes(network, tile)
    heights = _heights({node.side for node in nodes}, tile)
    depth, lowest = max(node.depth for node in nodes), min(heights.values())
    figure = matplotlib.figure.Figure(figsize=(min(5 + 0.3 * depth, 100), 2.5 - 0.9 * lowest), layout="constrained")
    axes = figure.subplots()
    _draw_nodes(axes, nodes, heights)
    axes.set_yticks(list(heights.values()), [f"{side}x{side}" for side in heights])
    axes.set_ylim(lowest - 0.5, 0.8)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.legend(loc="upper left", ncols=4, frameon=False, bbox_to_anchor=(0, 0))
    axes.set_title(
        f"{network.name}: {network.count_params():,} parameters, stride {network.stride}\n"
        "numbers: channels where they change; not drawn: normalization, activations, dropout",
        loc="left",
        fontsize=9,
    )
    return figure


def _nodes(network: Network, tile: int) -> list[_Node]:
    """Calls the network's layers once more on symbolic tensors, and records each call."""
    image = keras.Input((tile, tile, 3))
    maker = {id(image): _Node(("input", "#000000"), "3", tile, 0, [])}
    nodes = list(maker.values())
    alive = [image]  # keeps the tensors alive, since an id is unique only among living objects

    def call(layer, *arguments, **keywords):
        output = layer(*arguments, **keywords)
        tensors = [x for x in keras.tree.flatten((arguments, keywords)) if id(x) in maker]
        before = list({id(maker[id(x)]): maker[id(x)] for x in tensors}.values())
        results = keras.tree.flatten(output)
        if len(before) == 1 and any(name in type(layer).__name__ for name in UNDRAWN):
            node = before[0]
        else:
            node = _node(layer, results[0].shape, before)
            nodes.append(node)
        maker.update({id(x): node for x in results})
        alive.extend(results)
        return output

    keras.models.clone_model(network, input_tensors=image, clone_function=lambda layer: layer, call_function=call)
    ranks: dict[tuple[int, int], int] = {}
    for node in nodes:
        key = (node.depth, node.side)
        node.rank = ranks[key] = ranks.get(key, -1) + 1
    return nodes


def _node(layer: keras.layers.Layer, shape: tuple[int | None, ...], before: list[_Node]) -> _Node:
    name = type(layer).__name__
    kind = next((kind for part, kind in KINDS.items() if part in name), OTHER)
    text = layer.name if name == "Functional" else str(shape[-1])
    side = shape[1] if len(shape) == 4 and shape[1] else max(node.side for node in before)
    return _Node(kind, text, side, 1 + max(node.depth for node in before), before)


def _heights(sides: set[int], tile: int) -> dict[int, float]:
    """Returns the y coordinate for each side: one step down per halving, single pixels one step below the rest."""
    heights = {side: -math.log2(tile / side) for side in sorted(sides, reverse=True) if side > 1}
    return {**heights, 1: min(heights.values()) - 1} if 1 in sides else heights


def _draw_nodes(axes, nodes: list[_Node], heights: dict[int, float]) -> None:
    """Draws the nodes, the edges between them, and the number of channels where it changes."""
    places = {id(node): (node.depth, heights[node.side] + 0.22 * node.rank) for node in nodes}
    for kind in dict.fromkeys(node.kind for node in nodes):
        xs, ys = zip(*(places[id(node)] for node in nodes if node.kind == kind), strict=True)
        axes.scatter(xs, ys, s=60, marker="s", color=kind[1], label=kind[0], zorder=2)
    for node in nodes:
        for other in node.before:
            _draw_edge(axes, places[id(other)], places[id(node)])
        if all(node.text != other.text for other in node.before):
            x, y = places[id(node)]
            axes.annotate(node.text, (x, y + 0.1), ha="center", fontsize=6, zorder=3)


def _draw_edge(axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draws an arrow, arched over the nodes in between if there are any."""
    long = end[0] - start[0] > 1 and abs(end[1] - start[1]) < 0.5
    bend = -min(0.25, 1.5 / (end[0] - start[0])) if long else 0.0
    style = {"arrowstyle": "-|>", "color": "#00000066", "lw": 0.7, "shrinkA": 3, "shrinkB": 4}
    axes.annotate("", end, start, arrowprops={**style, "connectionstyle": f"arc3,rad={bend}"}, zorder=1)
