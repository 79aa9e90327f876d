"""Draws two figures beside the shards: sample tiles, and statistics of tiles and lesions."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import cv2
import matplotlib.figure
import numpy as np

from configs import DataConfig
from records.cases import HALF, SIZE_BINS, Survey
from records.files import complete_file
from records.images import CLASS_COLORS, ScaleRule, contact_sheet, draw_contours, write_png
from records.shards.cutting import Tile
from records.shards.index import Index
from records.shards.sharding import read_shard

SAMPLES = 24  # tiles in samples.png
SAMPLE_SIDE = 320  # pixels
UNKNOWN_COLOR = (160, 160, 160)


def draw_samples(folder: Path, index: Index) -> None:
    """Writes `samples.png`: tiles from all over the training shards, with the outlines of each class in its colour."""
    split = index.splits.get("train") or next(iter(index.splits.values()))
    wanted = np.linspace(0, split.records - 1, min(SAMPLES, split.records)).round().astype(int)
    samples = []
    first = 0
    for shard in split.shards:
        numbers = set(wanted[(wanted >= first) & (wanted < first + shard.records)] - first)
        if numbers:
            tiles = itertools.islice(read_shard(folder / shard.name), int(max(numbers)) + 1)
            samples += [_draw(tile, index.data) for number, tile in enumerate(tiles) if number in numbers]
        first += shard.records
    write_png(folder / "samples.png", contact_sheet(samples))


def draw_statistics(folder: Path, index: Index, surveys: Mapping[str, Survey]) -> None:
    """Writes `statistics.png`: tiles of each split, lesion pixels of each class, and lesion sizes."""
    figure = matplotlib.figure.Figure(figsize=(14, 4), layout="constrained")
    tile_axes, pixel_axes, size_axes = figure.subplots(1, 3)
    tiles = {split: [0, 0] for split in index.splits}
    for case in index.cases.values():
        tiles[case.split][0] += case.nonempty_tiles
        tiles[case.split][1] += case.tiles - case.nonempty_tiles
    nonempty, empty = np.array(list(tiles.values())).T
    tile_axes.bar(list(tiles), nonempty, color="tab:red", label="with a lesion")
    tile_axes.bar(list(tiles), empty, bottom=nonempty, color="tab:gray", label="without a lesion")
    tile_axes.set(title=f"tiles of {index.data.tile} px at {ScaleRule.of(index.data)}", ylabel="tiles")
    tile_axes.legend()
    for name in index.classes:
        areas = sorted(100 * case.lesion_pixels[name] / (case.height * case.width) for case in index.cases.values())
        below = np.arange(1, len(areas) + 1) / len(areas)
        pixel_axes.plot(areas, below, marker=".", label=name)
        sizes = np.sum([surveys[case].lesion_sizes[name] for case in index.cases], axis=0)
        size_axes.stairs(sizes, 2.0 ** np.arange(SIZE_BINS + 1), label=f"{name}: {sizes.sum()} lesions")
    pixel_axes.set(title="lesion area", xlabel="% of the photograph", ylabel="fraction of photographs")
    pixel_axes.set_xscale("symlog", linthresh=0.01)  # some photographs have none
    pixel_axes.legend()
    size_axes.set(title="sizes of lesions", xlabel="area, pixels at full size", ylabel="lesions", xscale="log")
    size_axes.legend()
    with complete_file(folder / "statistics.png") as temporary:
        figure.savefig(temporary)


def _draw(tile: Tile, data: DataConfig) -> np.ndarray:
    """Returns a tile with the outlines of its masks, and in grey of what is unknown in part of it.

    Returns:
      uint8 RGB `[SAMPLE_SIDE, SAMPLE_SIDE, 3]`.
    """
    image = cv2.imdecode(np.frombuffer(tile.image, np.uint8), cv2.IMREAD_COLOR_RGB)
    drawn = cv2.resize(image, (SAMPLE_SIDE, SAMPLE_SIDE), interpolation=cv2.INTER_AREA)
    planes = _grey(tile.mask).reshape(-1, data.tile, data.tile)
    if data.soft_labels:
        masks = [levels >= HALF for levels in planes]
    else:
        masks = [planes[0] >> index & 1 > 0 for index in range(len(data.classes))]
    for mask, color in zip(masks, CLASS_COLORS, strict=False):
        draw_contours(drawn, _shrunk(mask), color)
    if len(tile.known) > 1:
        known = _grey(tile.known)
        draw_contours(drawn, _shrunk(known != known.max()), UNKNOWN_COLOR)
    return drawn


def _grey(encoded: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE))


def _shrunk(mask: np.ndarray) -> np.ndarray:
    size = (SAMPLE_SIDE, SAMPLE_SIDE)
    return cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
