"""Draws what was detected in each photograph."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.inference import SegmenterSpec
from pipeline.operating_point import OperatingPoint
from pipeline.panels import captioned, letter_size, with_legend, with_notes, with_outlines
from pipeline.unlabelled import unlabelled_notes, unlabelled_regions
from records import (
    contact_sheet,
    write_jpeg,
    write_png,
)


def output_files(case: str, classes: tuple[str, ...]) -> list[Path]:
    """Returns the files that `write_pictures` writes, relative to the output folder."""
    return [*(Path("masks", f"{case}_{name}.png") for name in classes), Path("overlays", f"{case}.jpg")]


def write_pictures(
    spec: SegmenterSpec,
    case: str,
    photograph: np.ndarray,
    *,
    detected: np.ndarray,
    entries: Sequence[str],
    notes: Sequence[str],
    output: Path,
    masks: np.ndarray | None,
    known: np.ndarray | None = None,
) -> None:
    """Writes `masks/CASE_CLASS.png` and `overlays/CASE.jpg`.

    Args:
      spec: the segmenter's spec.
      case: name of the photograph.
      photograph: uint8 RGB `[H, W, 3]`.
      detected: pixels of the detections, bool `[H, W, C]`.
      entries: the `legend` of the overlay, which is below the photograph and covers none of it.
      notes: what a reader must know of the photograph, written below the legend.
      output: folder that contains the folders `masks` and `overlays`.
      masks: ground truth that the overlay shows to the left of the detections, bool `[H, W, C]`; None if unknown.
      known: bool `[H, W, C]`, where the ground truth says whether a pixel shows a class or not; None: everywhere.
    """
    for index, name in enumerate(spec.classes):
        write_png(output / "masks" / f"{case}_{name}.png", detected[..., index].astype(np.uint8) * 255)
    height, width = photograph.shape[:2]
    letters = letter_size((height, width * (1 if masks is None else 2)))
    if masks is None:
        overlay = with_outlines(photograph, detected)
    else:
        overlay = _side_by_side(photograph, masks, detected, known=known, letters=letters)
    overlay = with_legend(overlay, entries, letters=letters)  # one by one, as each may be a gigabyte
    unlabelled = [f"ground truth: {note}" for note in unlabelled_notes(known, spec.classes)]
    overlay = with_notes(overlay, [*unlabelled, *notes], letters=letters)
    write_jpeg(output / "overlays" / f"{case}.jpg", overlay)


def legend(classes: tuple[str, ...], operating_point: OperatingPoint, features: list[dict]) -> list[str]:
    """Returns what the legend of an overlay says of each class: what counts as a detection, and their number.

    Args:
      classes: names of the classes.
      operating_point: what counts as a detection.
      features: the `lesion_features` of the photograph.
    """
    found = Counter(feature["properties"]["classification"]["name"] for feature in features)
    return [
        f"{name} from {threshold:.3g}{f' and {area} px' if area > 1 else ''}: "
        f"{found[name]} detection{'' if found[name] == 1 else 's'}"
        for name, threshold, area in zip(classes, operating_point.thresholds, operating_point.least_areas, strict=True)
    ]


def _side_by_side(
    photograph: np.ndarray, masks: np.ndarray, detected: np.ndarray, *, known: np.ndarray | None, letters: int
) -> np.ndarray:
    panels = [
        captioned(with_outlines(photograph, shown, striped=striped), [title], letters=letters)
        for title, shown, striped in (
            ("ground truth", masks, unlabelled_regions(known)),
            ("prediction", detected, None),
        )
    ]
    return contact_sheet(panels)
