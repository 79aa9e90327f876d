"""Cuts a case into encoded tiles. Imports no TensorFlow, so that worker processes stay small."""

import dataclasses
import zlib
from collections.abc import Mapping

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
from records.shards.ownership import OwnedLesion, Place, own_lesions

# A tile without lesions is useful if at least this fraction of it is in the field of view.
MIN_FIELD_OF_VIEW = 0.25
ESTIMATE_CASES = 4  # number of cases that are cut to estimate the size of all shards


@dataclasses.dataclass(frozen=True)
class Tile:
    """One tile of the records: an image and its mask.

    Attributes:
      image: uint8 RGB `[T, T, 3]`, encoded as PNG or JPEG (`data.codec`).
      mask: uint8 `[T, T]`, encoded as PNG; bit c is class c.
      case: name of the case.
      y: first row, in the scaled photograph.
      x: first column, in the scaled photograph.
    """

    image: bytes
    mask: bytes
    case: str
    y: int
    x: int


@dataclasses.dataclass(frozen=True)
class Cut:
    """The tiles of one case.

    Attributes:
      tiles: encoded tiles, row by row.
      places: places of these tiles.
      lesions: parts of lesions that these tiles own.
      perceptual_hash: perceptual hash of the photograph, see `records.cases.duplicates`.
      quality: measures of the photograph, see `records.images.quality`; and, with masks of the optic disc,
        `disc_diameter`, that of a circle as large as the disc, pixels of the scaled photograph.
    """

    tiles: list[Tile]
    places: list[Place]
    lesions: list[OwnedLesion]
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
    bits = masks[..., 0].view(np.uint8)
    for index in range(1, masks.shape[2]):  # np.packbits is ten times slower along a short axis
        bits = np.bitwise_or(bits, masks[..., index].view(np.uint8) << index, dtype=np.uint8)
    tiles, places = [], []
    for y, x in _chosen_origins(case, photograph, bits, data=data):
        image, mask = _cut(photograph, y, x, tile=data.tile), _cut(bits, y, x, tile=data.tile)
        encoded = encode_png(image) if data.codec == "png" else encode_jpeg(image, quality=data.jpeg_quality)
        tiles.append(Tile(encoded, encode_png(mask), case.name, y, x))
        places.append(Place(y, x, int(np.count_nonzero(mask))))
    owned = own_lesions(masks, places, tile=data.tile, stride=data.stride)
    quality = measure_quality(full, fit_field_circle(full), scale) | measure_disc(masks, data.classes)
    return Cut(tiles, places, owned, perceptual_hash(full), quality)


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


def _chosen_origins(case: Case, photograph: np.ndarray, bits: np.ndarray, *, data: DataConfig) -> list[tuple[int, int]]:
    origins = tile_origins(bits.shape[0], bits.shape[1], data.tile, stride=data.stride)
    nonempty = [(y, x) for y, x in origins if bits[y : y + data.tile, x : x + data.tile].any()]
    wanted = round(data.empty_per_nonempty * max(len(nonempty), 1))
    if wanted == 0:
        return nonempty
    inside = field_of_view(photograph)
    area = data.tile**2
    candidates = [
        (y, x)
        for y, x in sorted(set(origins) - set(nonempty))
        if np.count_nonzero(inside[y : y + data.tile, x : x + data.tile]) >= MIN_FIELD_OF_VIEW * area
    ]
    # The draw depends only on the seed and the case's name, so that other cases cannot change it.
    draw = np.random.default_rng((data.seed, zlib.crc32(case.name.encode())))
    chosen = draw.permutation(len(candidates))[:wanted]
    return sorted(nonempty + [candidates[index] for index in chosen])


def _cut(image: np.ndarray, y: int, x: int, *, tile: int) -> np.ndarray:
    part = image[y : y + tile, x : x + tile]
    missing = [(0, tile - part.shape[0]), (0, tile - part.shape[1])] + [(0, 0)] * (image.ndim - 2)
    return np.pad(part, missing)
