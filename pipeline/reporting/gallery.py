"""The gallery: of all photographs scored, pictures of the worst and the best, and of what was missed in them.

Photographs are looked at one by one, while they are in memory anyway, so that none is segmented twice; those that fall
out of the ranks are let go, so that memory does not grow with their number.
"""

import dataclasses
import time
from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.evaluation.counting import PhotographCounts
from pipeline.evaluation.photographs import MarkedPhotograph
from pipeline.evaluation.scores import score
from pipeline.panels import outlined
from records import contact_sheet, perceptual_hash

SHOWN = 6  # photographs of each kind
MISSED = 12  # missed lesions of a photograph that are shown closer, the largest first
SIDE = 1200  # longer side of a picture, pixels
CLOSE_SIDE = 160  # of a close-up
CLOSE_WINDOW = 96  # pixels of the photograph that a close-up shows at least, along each side
LINE = 2  # pixels, so that outlines are seen where a page shows pictures at half their size
# Chroma at full size, or thin outlines would lose their colour.
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclasses.dataclass(frozen=True)
class Missed:
    """A lesion that was not found.

    Attributes:
      class_name: its class.
      number: its number in `lesions.csv`.
      y: row of its centre in the photograph, pixels.
      x: column of its centre.
      area: pixels.
      maximum: highest probability in it.
      box: left, top, width and height in the picture, as shares of its sides.
      close: JPEG, the place with the true outlines on the left and the predicted ones on the right.
    """

    class_name: str
    number: int
    y: int
    x: int
    area: int
    maximum: float
    box: tuple[float, float, float, float]
    close: bytes


@dataclasses.dataclass(frozen=True)
class Picture:
    """A photograph, shrunk to its field of view, with outlines.

    Attributes:
      case: its name.
      value: Dice, the mean over classes with lesions; without a lesion, the false-positive share of the pixels.
      width: of the pictures, pixels.
      height: of the pictures.
      truth: JPEG with the true outlines.
      found: JPEG with the predicted outlines.
      missed: the largest missed lesions, at most `MISSED`.
      missed_in_all: how many there are.
    """

    case: str
    value: float
    width: int
    height: int
    truth: bytes
    found: bytes
    missed: Sequence[Missed]
    missed_in_all: int


@dataclasses.dataclass
class _Rank:
    """At most `SHOWN` pictures in the order of their values, those of equal value by name."""

    highest_first: bool = False
    pictures: list[Picture] = dataclasses.field(default_factory=list)

    def takes(self, value: float, case: str) -> bool:
        if len(self.pictures) < SHOWN:
            return True
        last = self.pictures[-1].value, self.pictures[-1].case
        return (value, case) > last if self.highest_first else (value, case) < last

    def add(self, picture: Picture) -> None:
        self.pictures.append(picture)
        self.pictures.sort(key=lambda one: (one.value, one.case), reverse=self.highest_first)
        del self.pictures[SHOWN:]


class Gallery:
    """Is shown every photograph that is scored, and keeps the hashes of all and pictures of few.

    Attributes:
      hashes: perceptual hash of each photograph, by its case's name.
      seconds: that hashing and drawing took.
    """

    def __init__(self, classes: Sequence[str], thresholds: Sequence[float]):
        self.hashes: dict[str, str] = {}
        self.seconds = 0.0
        self._classes, self._thresholds = classes, np.array(thresholds, np.float32)
        self._with_lesions = 0
        self._worst, self._best, self._false_alarms = _Rank(), _Rank(highest_first=True), _Rank(highest_first=True)

    def look(self, marked: MarkedPhotograph, probabilities: np.ndarray, counts: PhotographCounts) -> None:
        """Hashes a photograph, and draws it if it ranks among the worst or the best so far.

        Args:
          marked: the photograph.
          probabilities: float32 0..1 `[H, W, C]`.
          counts: of the photograph.
        """
        began = time.perf_counter()
        self.hashes[marked.case] = perceptual_hash(marked.photograph)
        value = mean_dice(counts)
        if value is not None:
            self._with_lesions += 1
            ranks = [self._worst, self._best]
        else:
            value = false_positive_fraction(counts)
            ranks = [self._false_alarms] if value else []
        entered = [rank for rank in ranks if rank.takes(value, marked.case)]
        if entered:
            picture = self._draw(marked, probabilities >= self._thresholds, counts, value=value)
            for rank in entered:
                rank.add(picture)
        self.seconds += time.perf_counter() - began

    @property
    def worst(self) -> list[Picture]:
        """Those with the lowest Dice, the lowest first; of fewer than twelve photographs the lower half."""
        return self._worst.pictures[: (self._with_lesions + 1) // 2]

    @property
    def best(self) -> list[Picture]:
        """Those with the highest Dice, the highest first; of fewer than twelve photographs the upper half."""
        return self._best.pictures[: self._with_lesions // 2]

    @property
    def false_alarms(self) -> list[Picture]:
        """Of photographs without a lesion, those with the largest false-positive area, the largest first."""
        return self._false_alarms.pictures

    def _draw(self, marked: MarkedPhotograph, found: np.ndarray, counts: PhotographCounts, *, value: float) -> Picture:
        part = _retina_box(marked.retina)
        photograph, masks, found_part = marked.photograph[part], marked.masks[part], found[part]
        height, width = photograph.shape[:2]
        shrink = min(1.0, SIDE / max(height, width))
        size = max(round(height * shrink), 1), max(round(width * shrink), 1)
        missed = sorted(
            (
                (-int(lesion["area"]), name, number)
                for name in self._classes
                for number, lesion in enumerate(counts.lesions[name], start=1)
                if not lesion["matched"]
            ),
        )
        return Picture(
            case=marked.case,
            value=value,
            width=size[1],
            height=size[0],
            truth=_jpeg(outlined(photograph, masks, size, thickness=LINE)),
            found=_jpeg(outlined(photograph, found_part, size, thickness=LINE)),
            missed=[
                _missed(marked, found, name, number=number, lesion=counts.lesions[name][number - 1], part=part)
                for _, name, number in missed[:MISSED]
            ],
            missed_in_all=len(missed),
        )


def mean_dice(counts: PhotographCounts) -> float | None:
    """Returns Dice in the frame, the mean over the classes with lesions, None where there is no lesion."""
    values = [score(one)["dice"] for one in counts.counts["frame"].values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def false_positive_fraction(counts: PhotographCounts) -> float:
    """Returns which share of the frame is false positive, summed over classes."""
    return sum(one.false_positive for one in counts.counts["frame"].values()) / (counts.height * counts.width)


def _missed(
    marked: MarkedPhotograph,
    found: np.ndarray,
    name: str,
    *,
    number: int,
    lesion: np.void,
    part: tuple[slice, slice],
) -> Missed:
    y, x = round(float(lesion["center_y"])), round(float(lesion["center_x"]))
    rows, columns = part
    height, width = rows.stop - rows.start, columns.stop - columns.start
    side = max(CLOSE_WINDOW, 2 * int(max(lesion["width"], lesion["height"])))
    window = _window(y, side, marked.photograph.shape[0]), _window(x, side, marked.photograph.shape[1])
    size = CLOSE_SIDE, CLOSE_SIDE
    sides = [outlined(marked.photograph[window], masks[window], size) for masks in (marked.masks, found)]
    return Missed(
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
        close=_jpeg(contact_sheet(sides)),
    )


def _retina_box(retina: np.ndarray) -> tuple[slice, slice]:
    """Returns the rows and columns that hold the field of view; all of them where there is none."""
    left, top, width, height = cv2.boundingRect(retina.view(np.uint8))
    if not width:
        return slice(0, retina.shape[0]), slice(0, retina.shape[1])
    return slice(top, top + height), slice(left, left + width)


def _window(center: int, side: int, length: int) -> slice:
    """Returns `side` pixels of an axis around a place, or the whole axis where that is shorter."""
    start = min(max(center - side // 2, 0), max(length - side, 0))
    return slice(start, min(start + side, length))


def _jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture[..., ::-1], JPEG)[1].tobytes()
