"""Reads what is known of a photograph: its masks, and where they say nothing.

Unknown is not absent. A class is unknown in a whole photograph if nobody looked for it (`Case.unknown`), and in regions
that an annotator left out (`Case.ignored`). There the masks are False, and everything that learns from them or counts
leaves these pixels out.
"""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from configs import DataConfig, InputError
from records.cases.case import Case
from records.cases.mask_checks import MaskWarning, check_class, check_mask_file
from records.images import (
    MaskFile,
    photograph_turn,
    read_color_mask_file,
    read_mask_file,
    rescale_levels,
    rescale_mask,
    scaled_cover,
)

Look = Callable[[Path, MaskFile], None]  # gets each mask file that is read
HALF = 128  # level from which on a soft label counts as lesion


@dataclasses.dataclass(frozen=True)
class Labels:
    """What is known of a photograph, or of one that was scaled.

    Attributes:
      masks: bool `[H, W, C]`, each class contiguous in memory; False where unknown.
      known: bool `[H, W, C]`, whether it is known that a pixel shows a class or not; None: known throughout.
      levels: soft labels, uint8 `[H, W, C]`, 255 times the probability of a lesion, 0 where unknown; None unless
        `data.soft_labels`. `masks` then has the pixels of at least half.
    """

    masks: np.ndarray
    known: np.ndarray | None = None
    levels: np.ndarray | None = None


def read_labels(case: Case, size: tuple[int, int], data: DataConfig, *, look: Look | None = None) -> Labels:
    """Reads the masks of a case in the order of `data.classes`; a class without a file has no lesion, or is unknown.

    Args:
      case: the case.
      size: (H, W) of its photograph.
      data: classes, colours, whether masks are soft labels, and the largest number of pixels.
      look: called with each mask file, such as for a check of its values.

    Raises:
      InputError: a file cannot be read, differs in size from the photograph, or shows a class that is known to be
        absent.
    """

    def united(paths: Iterable[Path], shape: tuple[int, ...], *, read: Callable[[Path], MaskFile]) -> np.ndarray:
        """Returns the union of masks; without a lesion if there are none."""
        lesion = np.zeros(shape, bool)
        for path in paths:
            file = read(path)
            _check_size(path, file, case=case, size=size)
            if look is not None:
                look(path, file)
            lesion |= file.lesion
        return lesion

    levels = None
    if data.soft_labels:
        levels = _stacked([_read_levels(case, name, size, max_pixels=data.max_pixels) for name in data.classes])
        masks = _stacked([levels[..., index] >= HALF for index in range(len(data.classes))])
    elif data.colors:  # one coloured mask, the same for all classes
        masks = united(
            case.mask_files(data.classes[0]),
            (*size, len(data.classes)),
            read=lambda path: read_color_mask_file(path, data.colors, max_pixels=data.max_pixels),
        )
    else:
        masks = _stacked(
            [
                united(case.mask_files(name), size, read=lambda path: read_mask_file(path, max_pixels=data.max_pixels))
                for name in data.classes
            ]
        )
    _refuse_present(case, masks, data.classes)
    known = _read_known(case, size, data)
    if known is None:
        return Labels(masks, None, levels)
    return Labels(masks & known, known, None if levels is None else levels * known)


def read_checked_labels(case: Case, size: tuple[int, int], data: DataConfig) -> tuple[Labels, tuple[MaskWarning, ...]]:
    """Reads labels as `read_labels` does, and returns with them what is not plausible about the masks.

    Raises:
      InputError: as `read_labels`.
    """
    turn, warnings = photograph_turn(case.photograph), list[MaskWarning]()

    def check(path: Path, file: MaskFile) -> None:
        warnings.extend(check_mask_file(path, file, case=case, turn=turn))

    labels = read_labels(case, size, data, look=check)
    for index, name in enumerate(data.classes):
        warnings.extend(check_class(case, name, labels.masks[..., index], max_pixels=data.max_pixels))
    return labels, tuple(warnings)


def rescale_labels(labels: Labels, scale: float) -> Labels:
    """Resizes labels with their photograph.

    Masks are resized as `records.images.rescale_mask` does, soft labels by area. A pixel of which any part is unknown
    is unknown.
    """
    known = None
    if labels.known is not None:
        known = _each_class(labels.known, lambda plane: ~scaled_cover(~plane, scale))
    if labels.levels is None:
        masks, levels = _each_class(labels.masks, lambda plane: rescale_mask(plane, scale)), None
    else:
        levels = _each_class(labels.levels, lambda plane: rescale_levels(plane, scale))
        masks = _each_class(levels, lambda plane: plane >= HALF)
    if known is None:
        return Labels(masks, None, levels)
    return Labels(masks & known, known, None if levels is None else levels * known)


def _read_levels(case: Case, name: str, size: tuple[int, int], *, max_pixels: int) -> np.ndarray:
    """Returns the soft labels of a class, uint8 `[H, W]`; of several files the highest at each pixel."""
    levels = np.zeros(size, np.uint8)
    for path in case.mask_files(name):
        file = read_mask_file(path, max_pixels=max_pixels)
        _check_size(path, file, case=case, size=size)
        levels = np.maximum(levels, file.levels)
    return levels


def _read_known(case: Case, size: tuple[int, int], data: DataConfig) -> np.ndarray | None:
    """Returns bool `[H, W, C]`, whether each class is known; None if all are known throughout."""
    if not case.unknown.intersection(data.classes) and not any(map(case.ignored.get, data.classes)):
        return None
    planes = []
    for name in data.classes:
        known = np.full(size, name not in case.unknown)
        for path in case.ignored.get(name, ()):
            file = read_mask_file(path, max_pixels=data.max_pixels)
            _check_size(path, file, case=case, size=size)
            known &= ~file.lesion
        planes.append(known)
    return _stacked(planes)


def _refuse_present(case: Case, masks: np.ndarray, classes: tuple[str, ...]) -> None:
    for index, name in enumerate(classes):
        if name in case.absent and masks[..., index].any():
            raise InputError(
                f"{case.masks[name]}: shows {name}, but {case.name} is said to be free of it; correct one of both."
            )


def _check_size(path: Path, file: MaskFile, *, case: Case, size: tuple[int, int]) -> None:
    """Refuses a mask that differs in size from its photograph; the message names the tags if they are why."""
    height, width = file.lesion.shape[:2]
    if (height, width) == size:
        return
    message = f"{path}: {width}x{height} pixels, but its photograph {case.photograph.name} has {size[1]}x{size[0]}"
    turn = photograph_turn(case.photograph)
    if (width, height) == size and turn.sideways != file.turn.sideways:
        raise InputError(
            f"{message}, as the photograph is turned by {turn.tag or 'no tag'} and the mask by "
            f"{file.turn.tag or 'none'}; give both the same tag, or turn the pixels of both and remove it."
        )
    raise InputError(f"{message}; both must have the same size.")


def _each_class(planes: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return _stacked([change(planes[..., index]) for index in range(planes.shape[2])])


def _stacked(planes: list[np.ndarray]) -> np.ndarray:
    """Stacks `[H, W]` to `[H, W, C]`, each class contiguous; a single class, the usual case, is not copied."""
    return np.moveaxis(np.stack(planes) if len(planes) > 1 else planes[0][None], 0, -1)
