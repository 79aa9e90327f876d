"""Whole photographs against their bound: the bare network over the same tiles in the same batches, and nothing else."""

import dataclasses
import itertools
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import cv2
import keras
import numpy as np
import tensorflow as tf

from configs import Config
from models import Network, build_network, fold_normalization, precision_policy
from pipeline.inference import SegmenterSpec, TiledSegmenter, load_segmenter
from records import (
    field_of_view,
    find_cases,
    read_photograph,
    scaled_size,
    shrink_photograph,
    stride_of_overlap,
    tile_origins,
    window,
)
from records.synthetic import synthetic_photograph
from scripts.benchmarks.measuring import Result, median_ratio, peak_of_this_process, take_turns
from scripts.support import command

REPEATS = 5
HEIGHT, WIDTH = 2848, 4288  # of IDRiD's photographs
FULL_TILE, FULL_BATCH = 512, 4  # at full resolution
FULL_OVERLAPS = {"54": 0.0, "176": 0.5}  # by the number of tiles that there are then
CHOICES = [*itertools.product((256, 384, 512, 768), (0.0, 0.1, 0.25, 0.5)), (1440, 0.0)]  # tile, overlap at any scale
SEAM_PHOTOGRAPHS = 3

TITLE = """\
{network}, {precision}; {photographs}; {repeats} turns
54 and 176: {width}x{height} pixels in tiles of {full_tile}, overlap 0 and 1/2, batches of {full_batch}; preset: as
  configured, {tiles} tiles of {tile} at scale {scale:.4g}, batches of {tile_batch}; photographs and tiles lie ready
network alone: the bare network over the tiles; whole: over the scaled photograph in one piece
predict, by tile, and predict, at once: keras.Model.predict of each tile, and of all, stitched with NumPy
no background: with skip_background; flips 8: with flips=8; tile T, O: the config's scale in tiles of T, overlap O
of floor: median over the turns of the ratio to the network alone over the same tiles; from preset on, to whole
on cores: the same ratio of the time that the process had on cores, for a machine that others use too
first s: the first call, which traces the graph
seam: how far probabilities are from those of whole, in the field of view, most and mean{seams};
  near the lower and right border also for what the network's stride asks to be filled up there
peak_maps: what a process takes beyond the network's largest batch, the photograph and the scaled photograph, in float32
  maps of the photograph's size; the most of 54, 176 and preset"""


class Side(NamedTuple):
    """One of those that are compared.

    Attributes:
      run: computes one photograph.
      floor: name of the side that it is held against.
      tiles: how many it computes; None: no tiles.
    """

    run: Callable[[], None]
    floor: str
    tiles: int | None


def measure(config: Config, model: Path | None = None, source: Path | None = None) -> Result:
    """Times segmenters beside the bare network and the usual ways; all take turns in one run.

    Args:
      config: of the network, the scale and `segment`.
      model: a model folder, whose network takes the place of the config's; without one, weights are as drawn, and
        nothing is said of seams.
      source: a folder of which the first photographs are taken; without one, a photograph is drawn.
    """
    tf.get_logger().setLevel("ERROR")  # it warns of so many traces, of which each segmenter has but one
    network = _network(config, model)
    photographs = _photographs(source, config)
    preset = SegmenterSpec.from_config(config, {})
    specs = {key: full_spec(preset, overlap) for key, overlap in FULL_OVERLAPS.items()} | {"preset": preset}
    sides = _sides(network, photographs[0], specs)
    choices = _choices(network, preset)
    for name, segmenter in choices.items():
        sides[name] = Side(_segmenting(segmenter, photographs[0]), "whole, preset", _number(segmenter.spec))
    first = {name: _seconds(side.run) for name, side in sides.items()}
    cores: dict[str, list[float]] = {name: [] for name in sides}
    seconds = take_turns({name: _counting(side.run, cores[name]) for name, side in sides.items()}, repeats=REPEATS)
    wholes = whole_maps(network, photographs, preset.scale)
    seams = {name: seam(segmenter, photographs, wholes) for name, segmenter in choices.items()} if model else {}
    peaks = [peak_maps(config, model, spec, photograph=photographs[0]) for spec in specs.values()]
    ratios = {name: median_ratio(times, seconds[sides[name].floor]) for name, times in seconds.items()}
    on_cores = {name: median_ratio(times, cores[sides[name].floor]) for name, times in cores.items()}
    return Result(
        title=TITLE.format(
            network=network.name,
            precision=next(layer for layer in network.layers if layer.weights).dtype_policy.name,
            photographs=f"photographs of {source}" if source else "a synthetic photograph",
            repeats=REPEATS,
            width=WIDTH,
            height=HEIGHT,
            full_tile=FULL_TILE,
            full_batch=FULL_BATCH,
            tiles=_number(preset),
            tile=preset.tile,
            scale=preset.scale,
            tile_batch=preset.tile_batch,
            seams=f", {len(photographs)} photographs" if model else ": only with --model",
        ),
        columns=[
            "",
            "median s",
            "least",
            "most",
            "of floor",
            "on cores",
            "tiles",
            "first s",
            "seam, most",
            "seam, mean",
        ],
        rows=[
            [
                name,
                *(f"{pick(seconds[name]):.3f}" for pick in (median, min, max)),
                f"{ratios[name]:.3f}",
                f"{on_cores[name]:.3f}",
                "" if side.tiles is None else f"{side.tiles}",
                f"{first[name]:.2f}",
                *(f"{value:.4f}" for value in seams.get(name, ())),
            ]
            for name, side in sides.items()
        ],
        keys={
            "graph_over_floor": {key: ratios[f"segment, {key}"] for key in specs},
            "graph_over_floor_on_cores": {key: on_cores[f"segment, {key}"] for key in specs},
            "usual_over_graph": median_ratio(seconds["predict, by tile, 54"], seconds["segment, 54"]),
            "peak_maps": max(peaks),
            "preset_over_same_tiles": median_ratio(seconds["segment, preset"], seconds["network alone, preset"]),
            "usual_at_once_over_graph": median_ratio(seconds["predict, at once, 54"], seconds["segment, 54"]),
            "xla_over_its_absence": ratios["network alone, XLA, 54"],
            "background_share": {
                key: 1 - (sides[f"no background, {key}"].tiles or 0) / _number(spec) for key, spec in specs.items()
            },
            "first_call_seconds": {key: first[f"segment, {key}"] for key in specs},
        },
    )


def _network(config: Config, model: Path | None) -> Network:
    if model is not None:
        return load_segmenter(model).network
    keras.utils.set_random_seed(0)
    with precision_policy(config.train.precision):
        return fold_normalization(build_network(config.model, len(config.data.classes)))


def _photographs(source: Path | None, config: Config) -> list[np.ndarray]:
    """Returns uint8 RGB photographs `[HEIGHT, WIDTH, 3]`, brought to that size where they are of another."""
    if source is None:
        return [synthetic_photograph(np.random.default_rng(0), HEIGHT, WIDTH)[0]]
    data = config.data
    cases = find_cases(source, data.classes, colored=bool(data.colors), allow_missing_masks=True)[1]
    read = [read_photograph(case.photograph, max_pixels=data.max_pixels) for case in cases[:SEAM_PHOTOGRAPHS]]
    return [cv2.resize(one, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for one in read]


def full_spec(preset: SegmenterSpec, overlap: float) -> SegmenterSpec:
    full = dataclasses.replace(preset, scale=1.0, tile=FULL_TILE, overlap=overlap, tile_batch=FULL_BATCH)
    return dataclasses.replace(full, window="hann", flips=1, skip_background=False, trim=False)


def _sides(network: Network, photograph: np.ndarray, specs: dict[str, SegmenterSpec]) -> dict[str, Side]:
    """Returns what is compared, but for the choices of tile and overlap; each close to what it is held against."""
    sides: dict[str, Side] = {}
    for key, spec in specs.items():
        floor = f"network alone, {key}"
        above = "whole, preset" if key == "preset" else floor
        few = TiledSegmenter(network, dataclasses.replace(spec, skip_background=True))
        kept = int(few.kept_tiles(photograph).numpy().sum())
        if key == "preset":
            sides[above] = Side(_whole(network, photograph, spec), above, None)
        sides[floor] = Side(bare(network, photograph, spec), above, _number(spec))
        sides[f"segment, {key}"] = Side(_segmenting(TiledSegmenter(network, spec), photograph), above, _number(spec))
        sides[f"no background, {key}"] = Side(_segmenting(few, photograph), above, kept)
    flipped = TiledSegmenter(network, dataclasses.replace(specs["preset"], flips=8))
    sides["flips 8, preset"] = Side(_segmenting(flipped, photograph), "whole, preset", _number(flipped.spec))
    spec, floor = specs["54"], "network alone, 54"
    sides["network alone, XLA, 54"] = Side(bare(network, photograph, spec, xla=True), floor, _number(spec))
    for name, at_once in (("by tile", False), ("at once", True)):
        run = _usual(network, photograph, spec, at_once=at_once)
        sides[f"predict, {name}, 54"] = Side(run, floor, _number(spec))
    return sides


def _choices(network: Network, preset: SegmenterSpec) -> dict[str, TiledSegmenter]:
    """Returns segmenters over tile and overlap at the config's scale."""
    return {
        f"tile {tile}, {overlap:g}": TiledSegmenter(network, dataclasses.replace(preset, tile=tile, overlap=overlap))
        for tile, overlap in CHOICES
        if tile % network.stride == 0
    }


def _number(spec: SegmenterSpec) -> int:
    """Returns how many tiles there are in a photograph of HEIGHT x WIDTH."""
    height, width = scaled_size(HEIGHT, WIDTH, spec.scale)
    return len(tile_origins(height, width, spec.tile, stride=stride_of_overlap(spec.tile, spec.overlap)))


def _segmenting(segmenter: TiledSegmenter, photograph: np.ndarray) -> Callable[[], None]:
    ready = tf.constant(photograph)
    return lambda: _wait(segmenter.segment(ready))


def _function(network: Network, *, xla: bool = False) -> Callable[[tf.Tensor], tf.Tensor]:
    return tf.function(lambda images: network(images, training=False), autograph=False, jit_compile=xla)


def _wait(maps: tf.Tensor) -> None:
    """Waits for a GPU, which has its answer after all that was asked of it before."""
    tf.reshape(maps, [-1])[0].numpy()


def _cut(network: Network, photograph: np.ndarray, spec: SegmenterSpec) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Returns the tiles of the scaled photograph, float32 `[tiles, t, t', 3]`, and where they begin."""
    scaled = shrink_photograph(photograph, spec.scale)
    height, width = scaled.shape[:2]
    origins = tile_origins(height, width, spec.tile, stride=stride_of_overlap(spec.tile, spec.overlap))

    def missing(length: int) -> int:
        if length >= spec.tile:
            return 0
        return -length % network.stride if spec.trim else spec.tile - length

    scaled = np.pad(scaled, [(0, missing(height)), (0, missing(width)), (0, 0)])
    tiles = [scaled[y : y + spec.tile, x : x + spec.tile] for y, x in origins]
    return np.stack(tiles).astype(np.float32), origins


def _whole(network: Network, photograph: np.ndarray, spec: SegmenterSpec) -> Callable[[], None]:
    """Returns a function that runs the network over the scaled photograph, which lies ready."""
    whole = tf.constant(_padded(network, shrink_photograph(photograph, spec.scale)))
    function = _function(network)
    return lambda: _wait(function(whole))


def bare(network: Network, photograph: np.ndarray, spec: SegmenterSpec, *, xla: bool = False) -> Callable[[], None]:
    """Returns a function that runs the network over the tiles, in batches that lie ready, the last one filled up."""
    tiles, _ = _cut(network, photograph, spec)
    tiles = np.concatenate([tiles, tiles[-1:].repeat(-len(tiles) % spec.tile_batch, axis=0)])
    batches = [tf.constant(batch) for batch in np.split(tiles, len(tiles) // spec.tile_batch)]
    function = _function(network, xla=xla)

    def run() -> None:
        for batch in batches:
            maps = function(batch)
        _wait(maps)

    return run


def usual_map(network: Network, photograph: np.ndarray, spec: SegmenterSpec, *, at_once: bool) -> np.ndarray:
    """Does all of a segmenter's work at full resolution with NumPy and `predict`: float32 `[H, W, C]`."""
    tiles, origins = _cut(network, photograph, spec)
    if at_once:
        maps = network.predict(tiles, batch_size=spec.tile_batch, verbose=0)
    else:
        maps = np.concatenate([network.predict(tile[None], verbose=0) for tile in tiles])
    along = window(spec.window, spec.tile)
    weight = np.outer(along, along)[..., None]
    total = np.zeros((*photograph.shape[:2], maps.shape[-1]), np.float32)
    weights = np.zeros((*photograph.shape[:2], 1), np.float32)
    for (y, x), one in zip(origins, maps, strict=True):
        place = np.s_[y : y + spec.tile, x : x + spec.tile]
        total[place] += one * weight
        weights[place] += weight
    total /= weights
    return total


def _usual(network: Network, photograph: np.ndarray, spec: SegmenterSpec, *, at_once: bool) -> Callable[[], None]:
    def run() -> None:
        usual_map(network, photograph, spec, at_once=at_once)

    return run


def _padded(network: Network, scaled: np.ndarray) -> np.ndarray:
    """Returns float32 `[1, h', w', 3]`, zeros at the far ends, so that the network's stride divides both sides."""
    missing = [(0, -length % network.stride) for length in scaled.shape[:2]]
    return np.pad(scaled, [*missing, (0, 0)])[None].astype(np.float32)


def whole_maps(network: Network, photographs: list[np.ndarray], scale: float) -> list[np.ndarray]:
    """Returns what a segmenter would give if the scaled photograph were one tile: float32 `[H, W, C]` each."""
    function, wholes = _function(network), []
    for photograph in photographs:
        scaled = shrink_photograph(photograph, scale)
        maps = function(_padded(network, scaled))[0, : scaled.shape[0], : scaled.shape[1]]
        wholes.append(tf.image.resize(maps, photograph.shape[:2]).numpy())
    return wholes


def seam(segmenter: TiledSegmenter, photographs: list[np.ndarray], wholes: list[np.ndarray]) -> tuple[float, float]:
    """Returns the largest and the mean difference from the maps of the whole, in the field of view."""
    differences = [
        np.abs(segmenter.segment(photograph).numpy() - whole)[field_of_view(photograph)]
        for photograph, whole in zip(photographs, wholes, strict=True)
    ]
    return float(max(one.max() for one in differences)), float(np.mean([one.mean() for one in differences]))


def peak_maps(config: Config, model: Path | None, spec: SegmenterSpec, *, photograph: np.ndarray) -> float:
    """Returns what a segmenter takes beyond one batch and the photographs, in maps of the photograph's size."""
    taken = []
    for segments in (False, True):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool, command.quiet_start():
            taken.append(
                pool.submit(_peak_bytes, config, model, spec, photograph=photograph, segments=segments).result()
            )
    scaled = 0 if spec.scale == 1 else 3 * np.prod(scaled_size(HEIGHT, WIDTH, spec.scale))
    one_map = 4 * HEIGHT * WIDTH * len(spec.classes)
    return float((taken[1] - taken[0] - scaled) / one_map)


def _peak_bytes(
    config: Config, model: Path | None, spec: SegmenterSpec, *, photograph: np.ndarray, segments: bool
) -> int:
    """Runs the network on one batch, or the segmenter, in this process, and returns the most memory that it had."""
    segmenter = TiledSegmenter(_network(config, model), spec)
    ready = tf.constant(photograph)
    segment = segmenter.segment.get_concrete_function()
    if segments:
        segment(ready)
    else:
        _function(segmenter.network)(tf.zeros([spec.tile_batch, spec.tile, spec.tile, 3]))
    return peak_of_this_process()


def _counting(run: Callable[[], None], spent: list[float]) -> Callable[[], None]:
    """Returns the function that also notes the seconds of all cores that this process has had for it."""

    def counted() -> None:
        began = time.process_time()
        run()
        spent.append(time.process_time() - began)

    return counted


def _seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
