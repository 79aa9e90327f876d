"""Labels from probabilities: lesion where models are confident, unknown where not, and mistakes on healthy eyes."""

import dataclasses
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np

from configs import InputError
from pipeline.inference import NAN_MESSAGE
from records import HardNegative, find_regions


class Confidence(NamedTuple):
    """From which probability on a pixel is a lesion, and up to which it is none; in between it is unknown.

    Attributes:
      low: highest probability of a pixel without a lesion.
      high: least probability of a lesion, at least `low`.
    """

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class PhotographLabels:
    """The labels of a photograph; each class is contiguous in memory.

    Attributes:
      lesion: bool `[H, W, C]`.
      unknown: bool `[H, W, C]`, where the models were not confident.
      levels: soft labels, uint8 `[H, W, C]`: 255 times the probability.
      mistakes: regions that were taken for lesions with confidence, of classes that are known to be absent.
    """

    lesion: np.ndarray
    unknown: np.ndarray
    levels: np.ndarray
    mistakes: tuple[HardNegative, ...]


class ClassSummary(NamedTuple):
    """What the labels of a class show.

    Attributes:
      lesions: number of lesions, 8-connected regions.
      lesion_pixels: their pixels.
      doubtful: number of doubtful regions: of pixels above `Confidence.low`, none of which is a lesion.
      doubtful_pixels: their pixels.
      unknown_pixels: pixels that are unknown: those of doubtful regions, and the edges of lesions.
      mistakes: number of mistakes.
    """

    lesions: int
    lesion_pixels: int
    doubtful: int
    doubtful_pixels: int
    unknown_pixels: int
    mistakes: int


def parse_confidence(texts: Iterable[str]) -> Confidence:
    """Reads --confident=LOW,HIGH.

    Raises:
      InputError: not two numbers from 0 to 1, the lower first.
    """
    texts = list(texts)
    try:
        low, high = map(float, texts)
        if 0 <= low <= high <= 1:
            return Confidence(low, high)
    except ValueError:
        pass
    raise InputError(
        f"--confident={','.join(texts)}: expected two probabilities from 0 to 1, the lower first, such as 0.1,0.9: "
        "below the first there is no lesion, from the second on there is one."
    )


def label_photograph(
    strips: Iterable[tuple[int, np.ndarray]],
    size: tuple[int, int],
    confidence: Confidence,
    *,
    classes: tuple[str, ...],
    absent: Collection[str] = (),
) -> PhotographLabels:
    """Labels a photograph by its probability map.

    Args:
      strips: the map from top to bottom: the number of the first row, and float32 `[rows, W, C]`.
      size: (H, W) of the photograph.
      confidence: what is a lesion, and what is unknown.
      classes: names of the C classes.
      absent: classes that the photograph is known to be free of: nothing of them is lesion or unknown, and what the
        map takes for lesions is a mistake.

    Raises:
      InputError: the map contains NaN.
    """
    low, high = map(np.float32, confidence)
    lesion, unknown = np.zeros((2, len(classes), *size), bool)
    levels = np.zeros((len(classes), *size), np.uint8)
    confident = {name: np.zeros(size, bool) for name in absent if name in classes}
    probabilities: dict[str, list[np.ndarray]] = {name: [] for name in confident}
    for row, strip in strips:
        if np.isnan(strip.max()):
            raise InputError(NAN_MESSAGE)
        rows = slice(row, row + len(strip))
        for index, name in enumerate(classes):
            probability = np.ascontiguousarray(strip[..., index])
            positive = probability >= high
            if name in confident:
                confident[name][rows] = positive
                probabilities[name].append(probability[positive])
            else:
                lesion[index, rows] = positive
                unknown[index, rows] = (probability > low) & ~positive
                levels[index, rows] = np.rint(probability * 255)
    mistakes = [
        box for name, mask in confident.items() for box in boxes_around(name, mask, np.concatenate(probabilities[name]))
    ]
    lesion, unknown, levels = (np.moveaxis(planes, 0, -1) for planes in (lesion, unknown, levels))
    return PhotographLabels(lesion, unknown, levels, tuple(mistakes))


def boxes_around(name: str, mask: np.ndarray, probabilities: np.ndarray) -> list[HardNegative]:
    """Returns a box around each 8-connected region of a class, from top to bottom.

    Args:
      name: the class.
      mask: bool `[H, W]`.
      probabilities: float32 `[n]`, of the mask's pixels in reading order.
    """
    regions = find_regions(mask)
    highest = np.zeros(len(regions.area), np.float32)
    np.maximum.at(highest, np.repeat(regions.region, regions.length), probabilities)  # runs are in reading order, too
    columns = (regions.y, regions.x, regions.height, regions.width, highest)
    return [HardNegative(name, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def summarize_class(labels: PhotographLabels, index: int, name: str) -> ClassSummary:
    """Counts what the labels of a class show."""
    lesion, unknown = labels.lesion[..., index], labels.unknown[..., index]
    regions = find_regions(lesion | unknown)
    of_pixels = np.repeat(regions.region, regions.length)
    doubtful = np.ones(len(regions.area), bool)
    doubtful[of_pixels[lesion.ravel()[regions.places]]] = False
    return ClassSummary(
        lesions=len(find_regions(lesion).area),
        lesion_pixels=int(lesion.sum()),
        doubtful=int(doubtful.sum()),
        doubtful_pixels=int(regions.area[doubtful].sum()),
        unknown_pixels=int(unknown.sum()),
        mistakes=sum(box.name == name for box in labels.mistakes),
    )
