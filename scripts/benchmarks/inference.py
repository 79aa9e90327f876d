"""Inference relative to its bound: the bare network over the same tiles in the same batches, and nothing else."""

import dataclasses
import itertools
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import cv2
import keras
import numpy as np
import tensorflow as tf

from configs import Config
from models import Network, build_network, ensemble_network, fold_normalization, precision_policy
from pipeline.inference import SegmenterSpec, TiledSegmenter, load_segmenter
from records import find_cases, read_photograph
from records.synthetic import synthetic_photograph
from scripts.benchmarks import segmenting
from scripts.benchmarks.measuring import Result, counting_cores, median_ratio, take_turns
from scripts.benchmarks.segmenting_memory import more_batch_megabytes, peak_maps

REPEATS = 5
HEIGHT, WIDTH = 2848, 4288  # of the photographs of IDRiD
FULL_TILE, FULL_BATCH = 512, 4  # at full resolution
FULL_OVERLAPS = {"54": 0.0, "176": 0.5}  # by the resulting number of tiles
CHOICES = [*itertools.product((256, 384, 512, 768), (0.0, 0.1, 0.25, 0.5)), (1440, 0.0)]  # tile and overlap
SEAM_PHOTOGRAPHS = 3
SCALE = "scale alone, preset"
TOGETHER = [(2, 1), (4, 1), (1, 4), (2, 4)]  # members of an ensemble, and orientations
MOST_MEMBERS = max(members for members, _ in TOGETHER)

TITLE = """\
{network}, {precision}; {photographs}; {repeats} turns
54 and 176: {width}x{height} pixels in tiles of {full_tile}, overlap 0 and 1/2, batches of {full_batch}; preset: as
  configured, {tiles} tiles of {tile} at {scale}, batches of {tile_batch}; photographs and tiles in memory
network alone: the bare network over the tiles; whole: over the scaled photograph in one piece
scale alone: only what finds the circle of the field of view, if the preset scales by it
predict, by tile, and predict, at once: keras.Model.predict of each tile, and of all, stitched with NumPy
members M, flips F: an ensemble of M networks like this one, with flips=F; its floor is M F times the network alone
no background: with skip_background; flips 8: with flips=8; tile T, O: the config's scale in tiles of T, overlap O
of floor: median over the turns of the ratio to the network alone over the same tiles; from preset on, to whole
on cores: the same ratio of CPU time, for a machine that is shared with others
first s: the first call, which traces the graph
seam: largest and mean difference from the probabilities of whole, in the field of view{seams};
  near the lower and right border it includes the effect of padding to the network's stride
peak_maps: memory beyond the network's largest batch, the photograph and the scaled photograph, in float32 maps of
  the photograph's size; the largest of 54, 176 and preset; of_members: the same of the preset with {most} members
more_batch_mb: memory that the largest batch of {most} members takes beyond that of one, 10^6 bytes"""
COLUMNS = ["", "median s", "least", "most", "of floor", "on cores", "tiles", "first s", "seam, most", "seam, mean"]


class Variant(NamedTuple):
    """A way to segment the photograph.

    Attributes:
      run: segments it once.
      floor: name of the variant that it is compared with.
      tiles: number of tiles that it computes; None: no tiles.
      times: how many times the floor it is compared with.
    """

    run: segmenting.Run
    floor: str
    tiles: int | None
    times: int = 1


class Timings(NamedTuple):
    """The timings of all variants, by name.

    Attributes:
      first: seconds of the first call.
      seconds: of each turn.
      ratios: median ratio to the variant's floor.
      on_cores: the same of CPU time.
    """

    first: dict[str, float]
    seconds: dict[str, list[float]]
    ratios: dict[str, float]
    on_cores: dict[str, float]


def measure(config: Config, model: Path | None = None, source: Path | None = None) -> Result:
    """Times segmenters beside the bare network and common alternatives; all take turns in one run.

    Args:
      config: of the network, the scale and `segment`.
      model: model folder whose network replaces the config's; without it, weights are random and seams are not
        measured.
      source: folder of which the first photographs are used; without it, a synthetic photograph.
    """
    tf.get_logger().setLevel("ERROR")  # it warns of many traces, but each segmenter has only one
    network = _network(config, model)
    photographs = photographs_of(source, config)
    photograph = photographs[0]
    preset = SegmenterSpec.from_config(config, {})
    specs = {key: full_spec(preset, overlap) for key, overlap in FULL_OVERLAPS.items()} | {"preset": preset}
    variants = _variants(network, photograph, specs)
    choices = _choices(network, preset)
    for name, segmenter in choices.items():
        tiles = segmenting.number_of_tiles(photograph, segmenter.spec)
        variants[name] = Variant(segmenting.segment(segmenter, photograph), "whole, preset", tiles)
    timings = _time(variants)
    seams = {}
    if model is not None:
        wholes = segmenting.whole_maps(network, photographs, preset)
        seams = {name: segmenting.seam(one, photographs, wholes) for name, one in choices.items()}
    peaks = [peak_maps(partial(_network, config, model), spec, photograph) for spec in specs.values()]
    of_members = partial(_ensemble, config, model, MOST_MEMBERS)
    of_memory = {
        "peak_maps": max(peaks),
        "peak_maps_of_members": peak_maps(of_members, preset, photograph),
        "more_batch_mb": more_batch_megabytes(of_members, partial(_network, config, model), preset),
    }
    return Result(
        title=_title(network, preset, photographs, source=source, seams=bool(seams)),
        columns=COLUMNS,
        rows=_rows(variants, timings, seams),
        keys=_keys(variants, timings, specs) | of_memory,
    )


def full_spec(preset: SegmenterSpec, overlap: float) -> SegmenterSpec:
    """Returns the spec for full resolution: no scaling, flips, trimming or skipped background."""
    full = dataclasses.replace(
        preset, scale=1.0, field_diameter=None, tile=FULL_TILE, overlap=overlap, tile_batch=FULL_BATCH
    )
    return dataclasses.replace(full, window="hann", flips=1, skip_background=False, trim=False)


def _network(config: Config, model: Path | None) -> Network:
    if model is not None:
        return load_segmenter(model).network
    keras.utils.set_random_seed(0)
    with precision_policy(config.train.precision):
        return fold_normalization(build_network(config.model, len(config.data.classes)))


def _ensemble(config: Config, model: Path | None, members: int) -> Network:
    return _copies(_network(config, model), members)


def _copies(network: Network, members: int) -> Network:
    """Returns an ensemble of copies of a network, which cost as much as others; of one, the network itself."""
    return network if members == 1 else ensemble_network([network] * members, average="probabilities")


def photographs_of(source: Path | None, config: Config) -> list[np.ndarray]:
    """Returns uint8 RGB photographs `[HEIGHT, WIDTH, 3]`, resized to that if necessary."""
    if source is None:
        return [synthetic_photograph(np.random.default_rng(0), HEIGHT, WIDTH)[0]]
    data = config.data
    cases = find_cases(source, data.classes, colored=bool(data.colors), allow_missing_masks=True)[1]
    read = [read_photograph(case.photograph, max_pixels=data.max_pixels) for case in cases[:SEAM_PHOTOGRAPHS]]
    return [cv2.resize(one, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for one in read]


def _variants(network: Network, photograph: np.ndarray, specs: dict[str, SegmenterSpec]) -> dict[str, Variant]:
    """Returns all variants except the choices of tile and overlap; each follows soon after its floor."""
    variants: dict[str, Variant] = {}
    for key, spec in specs.items():
        alone, tiles = f"network alone, {key}", segmenting.number_of_tiles(photograph, spec)
        floor = "whole, preset" if key == "preset" else alone
        if key == "preset":
            variants[floor] = Variant(segmenting.whole_photograph(network, photograph, spec), floor, None)
        variants[alone] = Variant(segmenting.bare_network(network, photograph, spec), floor, tiles)
        segmenter = TiledSegmenter(network, spec)
        variants[f"segment, {key}"] = Variant(segmenting.segment(segmenter, photograph), floor, tiles)
        few = TiledSegmenter(network, dataclasses.replace(spec, skip_background=True))
        kept = int(few.kept_tiles(photograph).numpy().sum())
        variants[f"no background, {key}"] = Variant(segmenting.segment(few, photograph), floor, kept)
    variants[SCALE] = Variant(
        segmenting.measure_scale(TiledSegmenter(network, specs["preset"]), photograph), floor, None
    )
    flipped = TiledSegmenter(network, dataclasses.replace(specs["preset"], flips=8))
    tiles = segmenting.number_of_tiles(photograph, flipped.spec)
    variants["flips 8, preset"] = Variant(segmenting.segment(flipped, photograph), "whole, preset", tiles)
    for members, flips in TOGETHER:
        segmenter = TiledSegmenter(_copies(network, members), dataclasses.replace(specs["preset"], flips=flips))
        variants[_together(members, flips)] = Variant(
            segmenting.segment(segmenter, photograph), "network alone, preset", tiles, members * flips
        )
    spec, floor = specs["54"], "network alone, 54"
    tiles = segmenting.number_of_tiles(photograph, spec)
    xla = segmenting.bare_network(network, photograph, spec, xla=True)
    variants["network alone, XLA, 54"] = Variant(xla, floor, tiles)
    for name, at_once in (("by tile", False), ("at once", True)):
        run = segmenting.predict(network, photograph, spec, at_once=at_once)
        variants[f"predict, {name}, 54"] = Variant(run, floor, tiles)
    return variants


def _together(members: int, flips: int) -> str:
    return f"members {members}, flips {flips}"


def _choices(network: Network, preset: SegmenterSpec) -> dict[str, TiledSegmenter]:
    """Returns segmenters with various tiles and overlaps at the config's scale."""
    return {
        f"tile {tile}, {overlap:g}": TiledSegmenter(network, dataclasses.replace(preset, tile=tile, overlap=overlap))
        for tile, overlap in CHOICES
        if tile % network.stride == 0
    }


def _time(variants: dict[str, Variant]) -> Timings:
    first = {name: _seconds(variant.run) for name, variant in variants.items()}
    cores: dict[str, list[float]] = {name: [] for name in variants}
    counting = {name: counting_cores(variant.run, cores[name]) for name, variant in variants.items()}
    seconds = take_turns(counting, repeats=REPEATS, warm=True)
    return Timings(
        first,
        seconds,
        _over_floor(variants, seconds),
        _over_floor(variants, cores),
    )


def _over_floor(variants: dict[str, Variant], seconds: dict[str, list[float]]) -> dict[str, float]:
    return {
        name: median_ratio(times, seconds[variants[name].floor]) / variants[name].times
        for name, times in seconds.items()
    }


def _title(
    network: Network, preset: SegmenterSpec, photographs: list[np.ndarray], *, source: Path | None, seams: bool
) -> str:
    return TITLE.format(
        network=network.name,
        precision=next(layer for layer in network.layers if layer.weights).dtype_policy.name,
        photographs=f"photographs of {source}" if source else "a synthetic photograph",
        repeats=REPEATS,
        width=WIDTH,
        height=HEIGHT,
        full_tile=FULL_TILE,
        full_batch=FULL_BATCH,
        tiles=segmenting.number_of_tiles(photographs[0], preset),
        tile=preset.tile,
        scale=preset.rule(),
        tile_batch=preset.tile_batch,
        most=MOST_MEMBERS,
        seams=f", {len(photographs)} photographs" if seams else ": only with --model",
    )


def _rows(variants: dict[str, Variant], timings: Timings, seams: dict[str, tuple[float, float]]) -> list[list[str]]:
    return [
        [
            name,
            *(f"{pick(timings.seconds[name]):.3f}" for pick in (median, min, max)),
            f"{timings.ratios[name]:.3f}",
            f"{timings.on_cores[name]:.3f}",
            "" if variant.tiles is None else f"{variant.tiles}",
            f"{timings.first[name]:.2f}",
            *(f"{value:.4f}" for value in seams.get(name, ())),
        ]
        for name, variant in variants.items()
    ]


def _keys(variants: dict[str, Variant], timings: Timings, specs: dict[str, SegmenterSpec]) -> dict[str, object]:
    seconds, ratios = timings.seconds, timings.ratios
    tiles = {name: variant.tiles or 0 for name, variant in variants.items()}
    return {
        "graph_over_floor": {key: ratios[f"segment, {key}"] for key in specs},
        "graph_over_floor_on_cores": {key: timings.on_cores[f"segment, {key}"] for key in specs},
        "scale_over_floor": ratios[SCALE],
        "usual_over_graph": median_ratio(seconds["predict, by tile, 54"], seconds["segment, 54"]),
        "together_over_sum": {_together(*one): ratios[_together(*one)] for one in TOGETHER},
        "together_over_sum_on_cores": {_together(*one): timings.on_cores[_together(*one)] for one in TOGETHER},
        "preset_over_same_tiles": median_ratio(seconds["segment, preset"], seconds["network alone, preset"]),
        "usual_at_once_over_graph": median_ratio(seconds["predict, at once, 54"], seconds["segment, 54"]),
        "xla_over_its_absence": ratios["network alone, XLA, 54"],
        "background_share": {key: 1 - tiles[f"no background, {key}"] / tiles[f"segment, {key}"] for key in specs},
        "first_call_seconds": {key: timings.first[f"segment, {key}"] for key in specs},
    }


def _seconds(run: segmenting.Run) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
