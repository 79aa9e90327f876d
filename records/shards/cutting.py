"""Cuts a case into encoded tiles. Imports no TensorFlow, so that worker processes stay small."""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from configs import DataConfig
from records.cases import Case, Survey, perceptual_hash, read_labels, rescale_labels
from records.grid import tile_origins
from records.images import (
    encode_jpeg,
    encode_png,
    field_of_view,
    fit_field_circle,
    measure_disc,
    measure_quality,
    read_photograph,
    rescale_photograph,
)
from records.shards.bits import KnownBits, cut_tile, pack_classes
from records.shards.boxes import OwnedBox, ScaledBox, own_boxes, owner_of_box, scaled_boxes
from records.shards.ownership import OwnedLesion, Place, own_lesions

# A tile without lesions is useful if at least this fraction of it is in the field of view.
MIN_FIELD_OF_VIEW = 0.25
ALL_KNOWN = b"\xff"  # every class is known at every pixel
ESTIMATE_CASES = 4  # number of cases that are cut to estimate the size of all shards


@dataclasses.dataclass(frozen=True)
class Tile:
    """One tile of the records: an image and its mask.

    Attributes:
      image: uint8 RGB `[T, T, 3]`, encoded as PNG or JPEG (`data.codec`).
      mask: uint8 `[T, T]`, encoded as PNG; bit c is class c. Of soft labels (`data.soft_labels`) uint8 `[C T, T]`: the
        levels of one class below those of the other.
      case: name of the case.
      y: first row, in the scaled photograph.
      x: first column, in the scaled photograph.
      known: uint8 `[T, T]`, encoded as PNG; bit c says whether class c is known. One byte if it is equal everywhere.
    """

    image: bytes
    mask: bytes
    case: str
    y: int
    x: int
    known: bytes = ALL_KNOWN


@dataclasses.dataclass(frozen=True)
class Cut:
    """The tiles of one case.

    Attributes:
      tiles: encoded tiles, row by row.
      places: places of these tiles.
      lesions: parts of lesions that these tiles own.
      hard_negatives: boxes around mistakes that these tiles own.
      perceptual_hash: perceptual hash of the photograph, see `records.cases.duplicates`.
      quality: measures of the photograph, see `records.images.quality`; and, with masks of the optic disc that are
        known throughout, `disc_diameter`, that of a circle as large as the disc, pixels of the scaled photograph.
    """

    tiles: list[Tile]
    places: list[Place]
    lesions: list[OwnedLesion]
    hard_negatives: list[OwnedBox]
    perceptual_hash: str
    quality: dict[str, float]


def cut_case(case: Case, data: DataConfig, scale: float | None = None) -> Cut:
    """Cuts a case into all tiles with a lesion and, as `data.empty_per_nonempty` asks, some without one.

    Tiles are zero beyond the photograph.

    Args:
      case: the case.
      data: the data config.
      scale: factor of its photograph; None: `data.scale`, which must be set.

    Raises:
      InputError: a file cannot be read, or a mask differs in size from its photograph.
    """
    full = read_photograph(case.photograph, max_pixels=data.max_pixels)
    scale = data.scale if scale is None else scale
    assert scale is not None
    labels = rescale_labels(read_labels(case, full.shape[:2], data), scale)
    masks = labels.masks
    photograph = rescale_photograph(full, scale)
    bits = pack_classes(masks)
    known = KnownBits(labels.known, len(data.classes))
    boxes = scaled_boxes(case, data.classes, full.shape[:2], scale=scale)
    tiles, places = [], []
    for y, x in _chosen_origins(case, photograph, bits, known=known, boxes=boxes, data=data):
        image = cut_tile(photograph, y, x, tile=data.tile)
        mask = cut_tile(bits, y, x, tile=data.tile)
        encoded = encode_png(image) if data.codec == "png" else encode_jpeg(image, quality=data.jpeg_quality)
        stored = mask if labels.levels is None else _stack_classes(cut_tile(labels.levels, y, x, tile=data.tile))
        tiles.append(Tile(encoded, encode_png(stored), case.name, y, x, known=known.encoded(y, x, tile=data.tile)))
        places.append(Place(y, x, int(np.count_nonzero(mask))))
    owned = own_lesions(masks, places, tile=data.tile, stride=data.stride)
    mistakes = own_boxes(boxes, places, masks.shape[:2], tile=data.tile, stride=data.stride)
    # A disc of which only a part is known, as models label it, would look small.
    known_masks = masks if labels.known is None else masks & labels.known.all(axis=(0, 1))
    quality = measure_quality(full, fit_field_circle(full), scale) | measure_disc(known_masks, data.classes)
    return Cut(tiles, places, owned, mistakes, perceptual_hash=perceptual_hash(full), quality=quality)


def estimate_bytes(cases: list[Case], surveys: Mapping[str, Survey], data: DataConfig) -> int:
    """Estimates the size of all shards, bytes, by cutting a few cases from all over the set.

    Raises:
      InputError: one of these few cases cannot be read.
    """
    sample = cases[:: max(len(cases) // ESTIMATE_CASES, 1)][:ESTIMATE_CASES]
    cuts = [cut_case(case, data, surveys[case.name].scale.factor) for case in sample]
    bytes_cut = sum(len(tile.image) + len(tile.mask) for cut in cuts for tile in cut.tiles)
    tiles_cut = sum(len(cut.tiles) for cut in cuts)
    nonempty = sum(max(survey.nonempty_tiles, 1) for survey in surveys.values())
    return round(bytes_cut / max(tiles_cut, 1) * nonempty * (1 + data.empty_per_nonempty))


def _chosen_origins(
    case: Case,
    photograph: np.ndarray,
    bits: np.ndarray,
    *,
    known: KnownBits,
    boxes: Sequence[ScaledBox],
    data: DataConfig,
) -> list[tuple[int, int]]:
    """Returns the tiles with lesions or mistakes, and of the others as many as the config says, all in order."""
    origins = tile_origins(bits.shape[0], bits.shape[1], data.tile, stride=data.stride)
    needed = {(y, x) for y, x in origins if bits[y : y + data.tile, x : x + data.tile].any()}
    wanted = _wanted_empty(case, len(needed), data)
    needed |= {owner_of_box(box, bits.shape, tile=data.tile, stride=data.stride) for box in boxes}
    if wanted == 0:
        return sorted(needed)
    inside = field_of_view(photograph)
    area = data.tile**2
    candidates = [
        (y, x)
        for y, x in sorted(set(origins) - needed)
        if np.count_nonzero(inside[y : y + data.tile, x : x + data.tile]) >= MIN_FIELD_OF_VIEW * area
        and known.shows_any(y, x, tile=data.tile)
    ]
    # The draw depends only on the seed and the case's name, so that other cases cannot change it.
    draw = np.random.default_rng((data.seed, zlib.crc32(case.name.encode())))
    chosen = draw.permutation(len(candidates))[:wanted]
    return sorted([*needed, *(candidates[index] for index in chosen)])


def _wanted_empty(case: Case, nonempty: int, data: DataConfig) -> int | None:
    """Returns how many tiles without a lesion are kept of a case; None: all."""
    if case.absent:
        return data.healthy_tiles
    return round(data.empty_per_nonempty * max(nonempty, 1))


def _stack_classes(levels: np.ndarray) -> np.ndarray:
    """Returns uint8 `[C T, T]` of `[T, T, C]`."""
    return np.concatenate([levels[..., index] for index in range(levels.shape[2])])
