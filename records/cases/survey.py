"""The survey of each case, from its photograph's header and its masks: sizes, lesions and tiles."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from configs import DataConfig, InputError
from records.cases.case import Case
from records.cases.names import check_name, printable
from records.cases.parallel import Progress, map_cases, no_progress
from records.grid import tile_origins
from records.images import (
    PhotographScale,
    ScaleRule,
    describe_colors,
    describe_values,
    find_regions,
    photograph_degrees,
    photograph_size,
    read_color_masks,
    read_mask,
    read_photograph,
    rescale_mask,
)

SIZE_BINS = 32  # lesion areas are counted by powers of two


@dataclasses.dataclass(frozen=True)
class Survey:
    """The size, lesions and tiles of one case.

    Attributes:
      height: height of the photograph, pixels.
      width: width of the photograph, pixels.
      lesion_pixels: for every class, number of lesion pixels at full size.
      lesion_sizes: for every class, number of lesions (8-connected) with an area from 2**i to below 2**(i + 1) pixels.
      scale: how the photograph is scaled.
      tiles: number of tiles of the scaled photograph.
      nonempty_tiles: number of tiles with a lesion pixel of any class.
      photograph_digest: sha256 of the photograph's file.
      digest: sha256 of the files of the photograph and the masks together.
    """

    height: int
    width: int
    lesion_pixels: dict[str, int]
    lesion_sizes: dict[str, list[int]]
    scale: PhotographScale
    tiles: int
    nonempty_tiles: int
    photograph_digest: str
    digest: str

    @property
    def lesion_fraction(self) -> float:
        """Lesion pixels of all classes together, as a fraction of the photograph."""
        return sum(self.lesion_pixels.values()) / (self.height * self.width)


def survey_cases(
    cases: list[Case],
    data: DataConfig,
    *,
    workers: int,
    strict: bool = False,
    rule: ScaleRule | None = None,
    progress: Progress = no_progress,
) -> tuple[dict[str, Survey], dict[str, str]]:
    """Surveys cases, several at once.

    Args:
      cases: the cases.
      data: the data config.
      workers: number of cases that are read at once.
      strict: whether a case that cannot be read is an error; otherwise it is left out.
      rule: how photographs are scaled; None: as the data config says.
      progress: shows how many masks have been read.

    Returns:
      The survey of each case, by its name; and for each case that cannot be read a one-line reason.

    Raises:
      InputError: a case cannot be read, if strict.
    """
    surveys: dict[str, Survey] = {}
    failures: dict[str, str] = {}
    results = map_cases(lambda case: survey_case(case, data, rule), cases, workers=workers)
    for case, result in zip(cases, progress(results, len(cases), "masks"), strict=True):
        if isinstance(result, Survey):
            surveys[case.name] = result
        elif strict:
            raise result
        else:
            failures[printable(case.name)] = printable(str(result))
    return surveys, failures


def survey_case(case: Case, data: DataConfig, rule: ScaleRule | None = None) -> Survey:
    """Reads a case's masks and its photograph's header; all of the photograph if its scale must be measured.

    Raises:
      InputError: a file cannot be read, or a mask differs in size from its photograph.
    """
    check_name(case.name, data.classes, path=case.photograph)
    height, width = photograph_size(case.photograph, max_pixels=data.max_pixels)
    masks = read_masks(case, (height, width), data)
    scale = _scale(case, data, rule or ScaleRule.of(data))
    scaled = rescale_masks(masks, scale.factor)
    origins = tile_origins(scaled.shape[0], scaled.shape[1], data.tile, stride=data.stride)
    any_class = np.logical_or.reduce(scaled, axis=-1) if scaled.shape[2] > 1 else scaled[..., 0]
    nonempty = sum(bool(any_class[y : y + data.tile, x : x + data.tile].any()) for y, x in origins)
    photograph_digest, digest = case_digests(case)
    return Survey(
        height=height,
        width=width,
        lesion_pixels={name: int(np.count_nonzero(masks[..., i])) for i, name in enumerate(data.classes)},
        lesion_sizes={name: _lesion_sizes(masks[..., i]) for i, name in enumerate(data.classes)},
        scale=scale,
        tiles=len(origins),
        nonempty_tiles=nonempty,
        photograph_digest=photograph_digest,
        digest=digest,
    )


def _scale(case: Case, data: DataConfig, rule: ScaleRule) -> PhotographScale:
    if rule.field_diameter is None:
        return rule.fixed()
    photograph = read_photograph(case.photograph, max_pixels=data.max_pixels)
    return rule.measure(photograph, degrees=photograph_degrees(case.photograph))


def mask_values(case: Case, data: DataConfig) -> list[str]:
    """Describes each mask file of a case by its values, such as "TIFF P {0, 1}", or by its colours.

    Raises:
      InputError: a file cannot be read.
    """
    paths = sorted({path for name in case.masks for path in case.mask_files(name)})
    if data.colors:
        return [describe_colors(path, max_pixels=data.max_pixels) for path in paths]
    return [describe_values(path, max_pixels=data.max_pixels) for path in paths]


def read_masks(case: Case, size: tuple[int, int], data: DataConfig) -> np.ndarray:
    """Reads the masks of a case in the order of `data.classes`; a class without a file has no lesion.

    Args:
      case: the case.
      size: (H, W) of its photograph.
      data: classes, colours and the largest number of pixels.

    Returns:
      bool `[H, W, C]`, each class contiguous in memory.

    Raises:
      InputError: a file cannot be read, or a mask differs in size from its photograph.
    """
    if data.colors:  # one coloured mask, the same for all classes
        return _united(
            case,
            data.classes[0],
            (*size, len(data.classes)),
            read=lambda path: read_color_masks(path, data.colors, max_pixels=data.max_pixels),
        )
    return _stacked(
        [
            _united(case, name, size, read=lambda path: read_mask(path, max_pixels=data.max_pixels))
            for name in data.classes
        ]
    )


def rescale_masks(masks: np.ndarray, scale: float) -> np.ndarray:
    """Resizes bool `[H, W, C]` to bool `[h, w, C]`, each class as `records.images.rescale_mask` does."""
    return _stacked([rescale_mask(masks[..., index], scale) for index in range(masks.shape[2])])


def case_digests(case: Case) -> tuple[str, str]:
    """Returns the sha256 of a case's photograph, and that of all its files together, as in `Survey`."""
    photograph = hashlib.sha256(case.photograph.read_bytes()).hexdigest()
    together = hashlib.sha256(photograph.encode())
    for name, path in case.masks.items():
        content = path.read_bytes() if path is not None else b""
        together.update(f"{name} {hashlib.sha256(content).hexdigest()}".encode())
        for further in case.further_masks.get(name, ()):
            together.update(f"and {hashlib.sha256(further.read_bytes()).hexdigest()}".encode())
    return photograph, together.hexdigest()


def _united(case: Case, name: str, shape: tuple[int, ...], *, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    """Returns the union of a case's masks of a class, bool of a shape; without a lesion if there are none."""
    united = None
    for path in case.mask_files(name):
        mask = read(path)
        _check_size(mask, shape[:2], path, case=case)
        united = mask if united is None else united | mask
    return np.zeros(shape, bool) if united is None else united


def _check_size(mask: np.ndarray, size: tuple[int, ...], path: Path, *, case: Case) -> None:
    """Raises an InputError if a mask differs in size from its photograph."""
    if mask.shape[:2] != size:
        raise InputError(
            f"{path}: {mask.shape[1]}x{mask.shape[0]} pixels, but its photograph {case.photograph.name} has "
            f"{size[1]}x{size[0]}; both must have the same size."
        )


def _stacked(planes: list[np.ndarray]) -> np.ndarray:
    """Stacks `[H, W]` to `[H, W, C]`, each class contiguous; a single class, the usual case, is not copied."""
    return np.moveaxis(np.stack(planes) if len(planes) > 1 else planes[0][None], 0, -1)


def _lesion_sizes(mask: np.ndarray) -> list[int]:
    bins = [area.bit_length() - 1 for area in find_regions(mask).area.tolist()]
    return np.bincount(bins, minlength=SIZE_BINS).tolist()
