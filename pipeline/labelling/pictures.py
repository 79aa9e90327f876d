"""Draws the labels of a photograph: outlines of lesions, dotted ones of what is unknown, and boxes around mistakes."""

from collections.abc import Collection, Mapping, Sequence

import cv2
import numpy as np

from pipeline.labelling.labels import ClassSummary, Confidence, PhotographLabels
from pipeline.panels import letter_size, line_width, with_legend, with_notes, with_outlines
from records import CLASS_COLORS, draw_contours

DOTS = 4  # length of the dots of an outline, in its widths
MARGIN = 4  # between a mistake and its box, in widths of its line
OUTLINES = "Outlined: lesion, from {high:g} on. Dotted: unknown, above {low:g}."
BOXES = "Box: a mistake, as the photograph is known to show none of that class."


def draw_labels(
    photograph: np.ndarray,
    labels: PhotographLabels,
    summaries: Mapping[str, ClassSummary],
    *,
    confidence: Confidence,
    absent: Collection[str],
    notes: Sequence[str],
) -> np.ndarray:
    """Returns a photograph with its labels, and a legend below.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      labels: its labels.
      summaries: what they show, by class.
      confidence: what is a lesion, and what is unknown.
      absent: classes that the photograph is known to be free of.
      notes: what a reader must know of the photograph.
    """
    overlay = with_outlines(photograph, labels.lesion)
    for index, name in enumerate(summaries):
        _draw_dotted(overlay, labels.unknown[..., index], CLASS_COLORS[index])
        for box in labels.mistakes:
            if box.name == name:
                margin = MARGIN * line_width(photograph.shape)
                corner = (box.x + box.width - 1 + margin, box.y + box.height - 1 + margin)
                cv2.rectangle(
                    overlay, (box.x - margin, box.y - margin), corner, CLASS_COLORS[index], line_width(photograph.shape)
                )
    letters = letter_size(photograph.shape)
    entries = [_entry(name, summary, is_absent=name in absent) for name, summary in summaries.items()]
    lines = [OUTLINES.format(**confidence._asdict()) + f" {BOXES}" * bool(labels.mistakes), *notes]
    return with_notes(with_legend(overlay, entries, letters=letters), lines, letters=letters)


def _entry(name: str, summary: ClassSummary, *, is_absent: bool) -> str:
    if is_absent:
        return f"{name}: absent, {_number(summary.mistakes, 'mistake')}"
    return f"{name}: {_number(summary.lesions, 'lesion')}, {summary.doubtful} doubtful"


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _draw_dotted(overlay: np.ndarray, mask: np.ndarray, color: tuple[int, int, int]) -> None:
    """Draws the outlines of bool `[H, W]` with gaps onto uint8 RGB `[H, W, 3]`, in place."""
    lines = np.zeros(mask.shape, np.uint8)
    draw_contours(lines, mask, (255, 255, 255), thickness=line_width(overlay.shape))
    y, x = np.nonzero(lines)
    side = DOTS * line_width(overlay.shape)
    dots = (y // side + x // side) % 2 == 0
    overlay[y[dots], x[dots]] = color
