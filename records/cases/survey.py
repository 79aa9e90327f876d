"""The survey of each case, from its photograph's header and its masks: sizes, lesions and tiles."""

import dataclasses
import hashlib

import numpy as np

from configs import DataConfig
from records.cases.case import Case
from records.cases.labels import Labels, read_checked_labels, rescale_labels
from records.cases.mask_checks import MaskWarning
from records.cases.names import check_name, printable
from records.grid import tile_origins
from records.images import (
    PhotographScale,
    ScaleRule,
    describe_colors,
    describe_values,
    find_regions,
    photograph_degrees,
    photograph_size,
    read_photograph,
)
from records.parallel import Progress, Workers, map_cases, no_progress

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
      digest: sha256 of the files of the photograph and the masks, and of which classes are unknown or absent, together.
      mask_warnings: what is not plausible about the masks.
      unknown_pixels: for every class that is not known throughout, number of unknown pixels at full size.
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
    mask_warnings: tuple[MaskWarning, ...] = ()
    unknown_pixels: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def lesion_fraction(self) -> float:
        """Lesion pixels of all classes together, as a fraction of the photograph."""
        return sum(self.lesion_pixels.values()) / (self.height * self.width)

    def known_pixels(self, name: str) -> int:
        """Returns the number of pixels at full size where a class is known."""
        return self.height * self.width - self.unknown_pixels.get(name, 0)


def survey_cases(
    cases: list[Case],
    data: DataConfig,
    *,
    workers: Workers,
    strict: bool = False,
    rule: ScaleRule | None = None,
    progress: Progress = no_progress,
) -> tuple[dict[str, Survey], dict[str, str]]:
    """Surveys cases, several at once.

    Args:
      cases: the cases.
      data: the data config.
      workers: number of cases that are read at once, or a cluster.
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
    labels, warnings = read_checked_labels(case, (height, width), data)
    scale = _scale(case, data, rule or ScaleRule.of(data))
    masks, scaled = labels.masks, rescale_labels(labels, scale.factor).masks
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
        mask_warnings=warnings,
        unknown_pixels=_unknown_pixels(labels, data.classes),
    )


def _unknown_pixels(labels: Labels, classes: tuple[str, ...]) -> dict[str, int]:
    if labels.known is None:
        return {}
    known = np.count_nonzero(labels.known, axis=(0, 1)).tolist()
    pixels = labels.known[..., 0].size
    return {name: pixels - count for name, count in zip(classes, known, strict=True) if count < pixels}


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


def case_digests(case: Case) -> tuple[str, str]:
    """Returns the sha256 of a case's photograph, and that of all its files and what is said of it, as in `Survey`."""
    photograph = hashlib.sha256(case.photograph.read_bytes()).hexdigest()
    together = hashlib.sha256(photograph.encode())
    for name, path in case.masks.items():
        content = path.read_bytes() if path is not None else b""
        together.update(f"{name} {hashlib.sha256(content).hexdigest()}".encode())
        for further in case.further_masks.get(name, ()):
            together.update(f"and {hashlib.sha256(further.read_bytes()).hexdigest()}".encode())
        for ignored in case.ignored.get(name, ()):
            together.update(f"without {hashlib.sha256(ignored.read_bytes()).hexdigest()}".encode())
    for what, names in (("unknown", case.unknown), ("absent", case.absent)):
        if names:
            together.update(f"{what} {' '.join(sorted(names))}".encode())
    if case.hard_negatives is not None:
        together.update(f"mistakes {hashlib.sha256(case.hard_negatives.read_bytes()).hexdigest()}".encode())
    return photograph, together.hexdigest()


def _lesion_sizes(mask: np.ndarray) -> list[int]:
    bins = [area.bit_length() - 1 for area in find_regions(mask).area.tolist()]
    return np.bincount(bins, minlength=SIZE_BINS).tolist()
