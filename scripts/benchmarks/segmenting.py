"""Ways to segment a photograph: the tiled graph, the bare network on the same tiles, NumPy and `predict`, one piece."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from models import Network
from pipeline.inference import SegmenterSpec, TiledSegmenter
from records import (
    field_of_view,
    rescale_photograph,
    scaled_size,
    stride_of_overlap,
    tile_origins,
    window,
)

Run = Callable[[], None]  # segments one photograph


def scale_of(photograph: np.ndarray, spec: SegmenterSpec) -> float:
    """Returns the factor by which a spec scales a photograph `[H, W, 3]`."""
    return spec.rule().measure(photograph).factor


def number_of_tiles(photograph: np.ndarray, spec: SegmenterSpec) -> int:
    """Returns how many tiles a photograph `[H, W, 3]` is cut into."""
    height, width = scaled_size(photograph.shape[0], photograph.shape[1], scale_of(photograph, spec))
    return len(_origins(height, width, spec))


def segment(segmenter: TiledSegmenter, photograph: np.ndarray) -> Run:
    """Returns a function that runs the tiled graph on a photograph in memory."""
    in_memory = tf.constant(photograph)
    return lambda: _wait(segmenter.segment(in_memory))


def measure_scale(segmenter: TiledSegmenter, photograph: np.ndarray) -> Run:
    """Returns a function that only computes the scale of a photograph in memory, in the graph."""
    in_memory = tf.constant(photograph)
    return lambda: _wait(segmenter.scale(in_memory))


def bare_network(network: Network, photograph: np.ndarray, spec: SegmenterSpec, *, xla: bool = False) -> Run:
    """Returns a function that runs only the network, over the tiles in full batches in memory; the last is padded."""
    tiles, _ = _cut(network, photograph, spec)
    tiles = np.concatenate([tiles, tiles[-1:].repeat(-len(tiles) % spec.tile_batch, axis=0)])
    batches = [tf.constant(batch) for batch in np.split(tiles, len(tiles) // spec.tile_batch)]
    function = compiled(network, xla=xla)

    def run() -> None:
        for batch in batches:
            maps = function(batch)
        _wait(maps)

    return run


def whole_photograph(network: Network, photograph: np.ndarray, spec: SegmenterSpec) -> Run:
    """Returns a function that runs the network over the scaled photograph in one piece, in memory."""
    whole = tf.constant(_padded(network, rescale_photograph(photograph, scale_of(photograph, spec))))
    function = compiled(network)
    return lambda: _wait(function(whole))


def predict(network: Network, photograph: np.ndarray, spec: SegmenterSpec, *, at_once: bool) -> Run:
    """Returns a function that computes `predicted_map`."""

    def run() -> None:
        predicted_map(network, photograph, spec, at_once=at_once)

    return run


def predicted_map(network: Network, photograph: np.ndarray, spec: SegmenterSpec, *, at_once: bool) -> np.ndarray:
    """Does all of a segmenter's work at full resolution with NumPy and `keras.Model.predict`.

    Args:
      network: of any stride that divides the tile.
      photograph: uint8 RGB `[H, W, 3]`.
      spec: tiles, window and batch; its scale must be 1.
      at_once: whether `predict` gets all tiles in one call instead of one call each.

    Returns:
      The probability map, float32 `[H, W, C]`.
    """
    tiles, origins = _cut(network, photograph, spec)
    if at_once:
        maps = network.predict(tiles, batch_size=spec.tile_batch, verbose=0)
    else:
        maps = np.concatenate([network.predict(tile[None], verbose=0) for tile in tiles])
    profile = window(spec.window, spec.tile)
    weight = np.outer(profile, profile)[..., None]
    total = np.zeros((*photograph.shape[:2], maps.shape[-1]), np.float32)
    weights = np.zeros((*photograph.shape[:2], 1), np.float32)
    for (y, x), one in zip(origins, maps, strict=True):
        place = np.s_[y : y + spec.tile, x : x + spec.tile]
        total[place] += one * weight
        weights[place] += weight
    total /= weights
    return total


def whole_maps(network: Network, photographs: list[np.ndarray], spec: SegmenterSpec) -> list[np.ndarray]:
    """Returns the probability maps if each scaled photograph were one tile, float32 `[H, W, C]` each."""
    function, wholes = compiled(network), []
    for photograph in photographs:
        scaled = rescale_photograph(photograph, scale_of(photograph, spec))
        maps = function(_padded(network, scaled))[0, : scaled.shape[0], : scaled.shape[1]]
        wholes.append(tf.image.resize(maps, photograph.shape[:2]).numpy())
    return wholes


def seam(segmenter: TiledSegmenter, photographs: list[np.ndarray], wholes: list[np.ndarray]) -> tuple[float, float]:
    """Returns the largest and the mean difference from the maps of `whole_maps`, within the field of view."""
    differences = [
        np.abs(segmenter.segment(photograph).numpy() - whole)[field_of_view(photograph)]
        for photograph, whole in zip(photographs, wholes, strict=True)
    ]
    return float(max(one.max() for one in differences)), float(np.mean([one.mean() for one in differences]))


def compiled(network: Network, *, xla: bool = False) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the network at inference as a graph function."""
    return tf.function(lambda images: network(images, training=False), autograph=False, jit_compile=xla)


def _wait(maps: tf.Tensor) -> None:
    """Waits until a GPU has computed this; it works in the order of the calls."""
    tf.reshape(maps, [-1])[0].numpy()


def _origins(height: int, width: int, spec: SegmenterSpec) -> list[tuple[int, int]]:
    return tile_origins(height, width, spec.tile, stride=stride_of_overlap(spec.tile, spec.overlap))


def _cut(network: Network, photograph: np.ndarray, spec: SegmenterSpec) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Returns the tiles of the scaled photograph, float32 `[tiles, t, t', 3]`, and their origins."""
    scaled = rescale_photograph(photograph, scale_of(photograph, spec))
    height, width = scaled.shape[:2]
    origins = _origins(height, width, spec)

    def missing(length: int) -> int:
        if length >= spec.tile:
            return 0
        return -length % network.stride if spec.trim else spec.tile - length

    scaled = np.pad(scaled, [(0, missing(height)), (0, missing(width)), (0, 0)])
    tiles = [scaled[y : y + spec.tile, x : x + spec.tile] for y, x in origins]
    return np.stack(tiles).astype(np.float32), origins


def _padded(network: Network, scaled: np.ndarray) -> np.ndarray:
    """Returns float32 `[1, h', w', 3]`, padded with zeros at the far ends to multiples of the network's stride."""
    missing = [(0, -length % network.stride) for length in scaled.shape[:2]]
    return np.pad(scaled, [*missing, (0, 0)])[None].astype(np.float32)
