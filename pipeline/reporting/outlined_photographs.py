"""Photographs with outlines of masks and detections, and close-ups of missed lesions, as JPEG."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.evaluation import LoadedCase, PhotographCounts
from pipeline.panels import outlined
from pipeline.unlabelled import unlabelled_notes, unlabelled_regions
from records import contact_sheet

MISSED = 12  # missed lesions that are shown of a photograph, the largest first
SIDE = 1200  # longer side of an outlined photograph, pixels
CLOSE_SIDE = 160  # side of a close-up, pixels
CLOSE_WINDOW = 96  # least side of the part of the photograph that a close-up shows, pixels
LINE = 2  # width of outlines in pixels, so that they are visible at half size
# Chroma at full size, because thin outlines would lose their colour.
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclasses.dataclass(frozen=True)
class MissedLesion:
    """A lesion that was not found.

    Attributes:
      class_name: its class.
      number: its number in `lesions.csv`.
      y: row of its centre in the photograph, pixels.
      x: column of its centre.
      area: area, pixels.
      maximum: highest probability in it.
      box: left, top, width and height in the outlined photograph, as fractions of its sides.
      close_up: JPEG of the place, outlines of the masks on the left and of detections on the right.
    """

    class_name: str
    number: int
    y: int
    x: int
    area: int
    maximum: float
    box: tuple[float, float, float, float]
    close_up: bytes


@dataclasses.dataclass(frozen=True)
class OutlinedPhotograph:
    """A photograph, cropped to its field of view and shrunk, with outlines.

    Attributes:
      case: name of the case.
      value: value that it is ranked by: Dice, the mean over classes with lesions; without a lesion, the fraction of
        false-positive pixels.
      width: width of the JPEGs, pixels.
      height: height of the JPEGs, pixels.
      masks: JPEG with outlines of the masks.
      detections: JPEG with outlines of the detections.
      missed: the largest missed lesions, at most `MISSED`.
      missed_count: number of all missed lesions.
      notes: what is not labelled in it, see `unlabelled_notes`.
    """

    case: str
    value: float
    width: int
    height: int
    masks: bytes
    detections: bytes
    missed: Sequence[MissedLesion]
    missed_count: int
    notes: Sequence[str] = ()


def outline_photograph(
    loaded: LoadedCase, detected: np.ndarray, counts: PhotographCounts, *, classes: Sequence[str], value: float
) -> OutlinedPhotograph:
    """Draws the outlines of a photograph's masks and detections.

    Args:
      loaded: the case.
      detected: bool `[H, W, C]`, pixels of the detections.
      counts: counts of the photograph.
      classes: names of the C classes.
      value: value that it is ranked by.

    Returns:
      The photograph with outlines.
    """
    part = _field_of_view_box(loaded.field_of_view)
    photograph, masks, detected_part = loaded.photograph[part], loaded.masks[part], detected[part]
    regions = unlabelled_regions(loaded.known)
    height, width = photograph.shape[:2]
    shrink = min(1.0, SIDE / max(height, width))
    size = max(round(height * shrink), 1), max(round(width * shrink), 1)
    missed = sorted(
        (
            (-int(lesion["area"]), name, number)
            for name in classes
            for number, lesion in enumerate(counts.lesions[name], start=1)
            if not lesion["matched"]
        ),
    )
    return OutlinedPhotograph(
        case=loaded.case,
        value=value,
        width=size[1],
        height=size[0],
        masks=_jpeg(outlined(photograph, masks, size, thickness=LINE, striped=_part(regions, part))),
        detections=_jpeg(outlined(photograph, detected_part, size, thickness=LINE)),
        missed=[
            _missed(
                loaded,
                detected,
                name,
                number=number,
                lesion=counts.lesions[name][number - 1],
                part=part,
                regions=regions,
            )
            for _, name, number in missed[:MISSED]
        ],
        missed_count=len(missed),
        notes=unlabelled_notes(loaded.known, classes),
    )


def _missed(
    loaded: LoadedCase,
    detected: np.ndarray,
    name: str,
    *,
    number: int,
    lesion: np.void,
    part: tuple[slice, slice],
    regions: np.ndarray | None,
) -> MissedLesion:
    y, x = round(float(lesion["center_y"])), round(float(lesion["center_x"]))
    rows, columns = part
    height, width = rows.stop - rows.start, columns.stop - columns.start
    side = max(CLOSE_WINDOW, 2 * int(max(lesion["width"], lesion["height"])))
    window = _window(y, side, loaded.photograph.shape[0]), _window(x, side, loaded.photograph.shape[1])
    size = CLOSE_SIDE, CLOSE_SIDE
    sides = [
        outlined(loaded.photograph[window], loaded.masks[window], size, striped=_part(regions, window)),
        outlined(loaded.photograph[window], detected[window], size),
    ]
    return MissedLesion(
        class_name=name,
        number=number,
        y=y,
        x=x,
        area=int(lesion["area"]),
        maximum=float(lesion["maximum"]),
        box=(
            (int(lesion["x"]) - columns.start) / width,
            (int(lesion["y"]) - rows.start) / height,
            int(lesion["width"]) / width,
            int(lesion["height"]) / height,
        ),
        close_up=_jpeg(contact_sheet(sides)),
    )


def _part(regions: np.ndarray | None, part: tuple[slice, slice]) -> np.ndarray | None:
    return None if regions is None else regions[part]


def _field_of_view_box(field_of_view: np.ndarray) -> tuple[slice, slice]:
    """Returns the rows and columns that contain the field of view; all of them if it is empty."""
    left, top, width, height = cv2.boundingRect(field_of_view.view(np.uint8))
    if not width:
        return slice(0, field_of_view.shape[0]), slice(0, field_of_view.shape[1])
    return slice(top, top + height), slice(left, left + width)


def _window(center: int, side: int, length: int) -> slice:
    """Returns `side` pixels of an axis around a place, or the whole axis if it is shorter."""
    start = min(max(center - side // 2, 0), max(length - side, 0))
    return slice(start, min(start + side, length))


def _jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], JPEG)[1].tobytes()
