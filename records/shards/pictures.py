"""Two pictures beside the shards: what the tiles look like, and how they and the lesions are distributed."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import cv2
import matplotlib.figure
import numpy as np

from records.cases.survey import SIZE_BINS, Survey
from records.files import complete_file
from records.images.drawing import CLASS_COLORS, contact_sheet, draw_contours, write_png
from records.shards.cutting import Tile
from records.shards.index import Index
from records.shards.sharding import read_shard

SAMPLES = 24
SAMPLE_SIDE = 320  # pixels


def draw_samples(folder: Path, index: Index) -> None:
    """Writes `samples.png`: tiles from all over the training shards, their masks outlined, a colour a class."""
    split = index.splits.get("train") or next(iter(index.splits.values()))
    wanted = np.linspace(0, split.records - 1, min(SAMPLES, split.records)).round().astype(int)
    pictures = []
    first = 0
    for shard in split.shards:
        numbers = set(wanted[(wanted >= first) & (wanted < first + shard.records)] - first)
        if numbers:
            tiles = itertools.islice(read_shard(folder / shard.name), int(max(numbers)) + 1)
            pictures += [_picture(tile) for number, tile in enumerate(tiles) if number in numbers]
        first += shard.records
    write_png(folder / "samples.png", contact_sheet(pictures))


def draw_statistics(folder: Path, index: Index, surveys: Mapping[str, Survey]) -> None:
    """Writes `statistics.png`: tiles a split, lesion pixels a class, and lesion sizes."""
    figure = matplotlib.figure.Figure(figsize=(14, 4), layout="constrained")
    of_tiles, of_pixels, of_sizes = figure.subplots(1, 3)
    tiles = {split: [0, 0] for split in index.splits}
    for case in index.cases.values():
        tiles[case.split][0] += case.nonempty_tiles
        tiles[case.split][1] += case.tiles - case.nonempty_tiles
    nonempty, empty = np.array(list(tiles.values())).T
    of_tiles.bar(list(tiles), nonempty, color="tab:red", label="with a lesion")
    of_tiles.bar(list(tiles), empty, bottom=nonempty, color="tab:gray", label="empty")
    of_tiles.set(title=f"tiles of {index.data.tile} px at scale {index.data.scale:.3g}", ylabel="tiles")
    of_tiles.legend()
    for name in index.classes:
        shares = sorted(100 * case.lesion_pixels[name] / (case.height * case.width) for case in index.cases.values())
        below = np.arange(1, len(shares) + 1) / len(shares)
        of_pixels.plot(shares, below, marker=".", label=name)
        sizes = np.sum([surveys[case].lesion_sizes[name] for case in index.cases], axis=0)
        of_sizes.stairs(sizes, 2.0 ** np.arange(SIZE_BINS + 1), label=f"{name}: {sizes.sum()} lesions")
    of_pixels.set(title="lesion area of the photographs", xlabel="% of the photograph", ylabel="share of photographs")
    of_pixels.set_xscale("symlog", linthresh=0.01)  # a photograph may have none
    of_pixels.legend()
    of_sizes.set(title="sizes of lesions", xlabel="area, pixels at full size", ylabel="lesions", xscale="log")
    of_sizes.legend()
    with complete_file(folder / "statistics.png") as temporary:
        figure.savefig(temporary)


def _picture(tile: Tile) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(tile.image, np.uint8), cv2.IMREAD_COLOR_RGB)
    bits = np.asarray(cv2.imdecode(np.frombuffer(tile.mask, np.uint8), cv2.IMREAD_GRAYSCALE))
    size = (SAMPLE_SIDE, SAMPLE_SIDE)
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for index, color in enumerate(CLASS_COLORS):
        mask = cv2.resize(bits >> index & 1, size, interpolation=cv2.INTER_NEAREST)
        draw_contours(picture, mask > 0, color)
    return picture
