"""Scores of whole photographs, which are the scores that count, and of tiles as the earlier system computed them.

Counts are integers, pooled over photographs; a photograph's map is reduced to counts and let go.
"""

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from configs import DataConfig, InputError
from pipeline.segmenter import TiledSegmenter
from records import Case, field_of_view, read_masks, read_photograph, write_text

REGIONS = ("frame", "field_of_view")
TILE_BATCH = 4  # of the earlier system's evaluator, over whose batches its numbers are means


@dataclasses.dataclass(frozen=True)
class Counts:
    """Pixels of one class in one region: histograms of lesion and other pixels over the probability, and outcomes.

    Attributes:
      lesion: int64 `[bins]`, lesion pixels whose probability lies in each of the equal bins over 0..1; bin i is
        [i / bins, (i + 1) / bins), the last one with its end.
      other: int64 `[bins]`, the same of all other pixels.
      true_positive: lesion pixels at or above the threshold.
      false_positive: other pixels at or above the threshold.
    """

    lesion: np.ndarray
    other: np.ndarray
    true_positive: int
    false_positive: int

    def __add__(self, more: "Counts") -> "Counts":
        return Counts(
            self.lesion + more.lesion,
            self.other + more.other,
            self.true_positive + more.true_positive,
            self.false_positive + more.false_positive,
        )


@dataclasses.dataclass(frozen=True)
class MarkedPhotograph:
    """A photograph and what is known of it.

    Attributes:
      case: its name.
      photograph: uint8 RGB `[H, W, 3]`.
      masks: bool `[H, W, C]`.
      retina: bool `[H, W]`, the field of view.
    """

    case: str
    photograph: np.ndarray
    masks: np.ndarray
    retina: np.ndarray


@dataclasses.dataclass(frozen=True)
class PhotographCounts:
    """One photograph's counts by region and class: `counts[region][class]`."""

    case: str
    counts: dict[str, dict[str, Counts]]


def count_photograph(
    probabilities: np.ndarray,
    masks: np.ndarray,
    retina: np.ndarray,
    *,
    classes: tuple[str, ...],
    thresholds: tuple[float, ...],
    bins: int,
) -> dict[str, dict[str, Counts]]:
    """Counts one photograph.

    Args:
      probabilities: float32 0..1 `[H, W, C]`.
      masks: bool `[H, W, C]`.
      retina: bool `[H, W]`, the field of view.
      classes: names of the C classes.
      thresholds: from which probability a pixel of each class counts as found.
      bins: of the histograms.

    Returns:
      `counts[region][class]`, regions `REGIONS`.
    """
    frame, inside = {}, {}
    for index, name in enumerate(classes):
        probability, mask = probabilities[..., index], masks[..., index]
        # In float64 the product is exact, so that a probability at or beside an edge falls on the right side of it.
        level = np.minimum((probability * np.float64(bins)).astype(np.int32), bins - 1)
        # One pass counts all four kinds of pixel: bit 0 lesion, bit 1 retina.
        kind = level + bins * (mask + 2 * retina)
        histogram = np.bincount(kind.ravel(), minlength=4 * bins).reshape(4, bins)
        found = probability >= thresholds[index]
        right, wrong = found & mask, found & ~mask
        inside[name] = Counts(
            histogram[3], histogram[2], int(np.count_nonzero(right & retina)), int(np.count_nonzero(wrong & retina))
        )
        frame[name] = Counts(
            histogram[1] + histogram[3],
            histogram[0] + histogram[2],
            int(np.count_nonzero(right)),
            int(np.count_nonzero(wrong)),
        )
    return {"frame": frame, "field_of_view": inside}


def average_precision(lesion: np.ndarray, other: np.ndarray) -> float | None:
    """Returns the area under the precision-recall curve, Σ (R_i − R_{i−1}) P_i from the highest bin down.

    The same as scikit-learn's `average_precision_score` where every pixel of a bin has one probability. None where
    there is no lesion pixel.
    """
    positives = lesion.sum()
    if positives == 0:
        return None
    found, wrong = np.cumsum(lesion[::-1]), np.cumsum(other[::-1])
    precision = found / np.maximum(found + wrong, 1)
    return float(np.sum(lesion[::-1] * precision) / positives)


def best_threshold(lesion: np.ndarray, other: np.ndarray) -> float | None:
    """Returns the edge between two bins from which on, taken as the threshold, Dice is highest.

    Of edges that are equally good, it is the middle of their longest run. The number is one of float32, not below the
    edge, so that `probability >= threshold` finds the same pixels in float32 and in float64: those of the bins above.

    Args:
      lesion: int `[bins]`, lesion pixels by their probability, as `Counts` has them.
      other: int `[bins]`, all other pixels.

    Returns:
      A number strictly between 0 and 1; None where there is no lesion pixel.
    """
    positives, bins = lesion.sum(), len(lesion)
    if positives == 0:
        return None
    right, wrong = np.cumsum(lesion[::-1])[::-1], np.cumsum(other[::-1])[::-1]  # at the lower edge of each bin
    dice = (2 * right / (positives + right + wrong))[1:]  # 0, the lowest edge, is no threshold
    best = np.flatnonzero(dice == dice.max()) + 1
    run = max(np.split(best, np.flatnonzero(np.diff(best) > 1) + 1), key=len)
    edge = run[len(run) // 2] / bins
    threshold = np.float32(edge)
    return float(threshold if threshold >= edge else np.nextafter(threshold, np.float32(1)))


def scores(counts: Counts) -> dict[str, float | int | None]:
    """Returns the scores of one class in one region; None where the denominator is zero."""
    true_positive, false_positive = counts.true_positive, counts.false_positive
    lesion, other = int(counts.lesion.sum()), int(counts.other.sum())
    return {
        "aupr": average_precision(counts.lesion, counts.other),
        "dice": _ratio(2 * true_positive, lesion + true_positive + false_positive),
        "iou": _ratio(true_positive, lesion + false_positive),
        "sensitivity": _ratio(true_positive, lesion),
        "ppv": _ratio(true_positive, true_positive + false_positive),
        "specificity": _ratio(other - false_positive, other),
        "lesion_pixels": lesion,
        "found_pixels": true_positive + false_positive,
        "false_positive_pixels": false_positive,
        "pixels": lesion + other,
    }


def read_marked(case: Case, data: DataConfig) -> MarkedPhotograph:
    """Reads a case's photograph and its masks of all of `data.classes`.

    Raises:
      InputError: a photograph or mask that cannot be read, or masks of another size.
    """
    photograph = read_photograph(case.photograph, max_pixels=data.max_pixels)
    masks = read_masks(case, photograph.shape[:2], data)
    return MarkedPhotograph(case.name, photograph, masks, field_of_view(photograph))


def evaluate_photograph(
    segment: Callable[[np.ndarray], np.ndarray],
    marked: MarkedPhotograph,
    *,
    classes: tuple[str, ...],
    thresholds: tuple[float, ...],
    bins: int,
) -> PhotographCounts:
    """Segments one photograph and counts its pixels.

    Args:
      segment: uint8 RGB `[H, W, 3]` → float32 0..1 `[H, W, C]`.
      marked: the photograph.
      classes: names of the C classes.
      thresholds: operating threshold of each class.
      bins: of the histograms.

    Raises:
      InputError: a map with numbers that are none.
    """
    probabilities = segment(marked.photograph)
    if np.isnan(probabilities).any():
        raise InputError(
            f"case {marked.case}: the network's map has pixels that are no number (NaN): its weights, or what its "
            "layers make of this photograph, have grown too large. Train it with a lower train.learning_rate, with "
            "train.global_clipnorm, or in float32."
        )
    counts = count_photograph(
        probabilities, marked.masks, marked.retina, classes=classes, thresholds=thresholds, bins=bins
    )
    return PhotographCounts(marked.case, counts)


def pool(photographs: Iterable[PhotographCounts]) -> dict[str, dict[str, Counts]]:
    """Adds the counts of all photographs up; `counts[region][class]`."""
    total: dict[str, dict[str, Counts]] = {region: {} for region in REGIONS}
    for photograph in photographs:
        for region, by_class in photograph.counts.items():
            for name, counts in by_class.items():
                total[region][name] = total[region][name] + counts if name in total[region] else counts
    return total


def evaluate_tiles(segmenter: TiledSegmenter, tiles: tf.data.Dataset) -> dict[str, float]:
    """Scores tiles with a lesion as the earlier system did, whatever loss trained the model.

    dice_coef is soft and smoothed by 1, over a whole batch of 4 tiles; bce_dice is (BCE + 1 - dice_coef) / 2; both are
    means over batches, the last one smaller. They flatter: only tiles that hold a lesion count.

    Args:
      segmenter: whose network is scored.
      tiles: image float32 `[T, T, 3]` and mask float32 0/1 `[T, T, C]`.

    Raises:
      InputError: no tile holds a lesion.
    """
    values = []
    nonempty = tiles.filter(lambda image, mask: tf.reduce_any(mask > 0))
    for images, masks in nonempty.batch(TILE_BATCH):
        predicted = tf.convert_to_tensor(segmenter.tiles(images))
        both = tf.reduce_sum(masks * predicted)
        dice = (2 * both + 1) / (tf.reduce_sum(masks) + tf.reduce_sum(predicted) + 1)
        bce = tf.reduce_mean(tf.keras.losses.binary_crossentropy(masks, predicted))
        values.append((float(bce + 1 - dice) / 2, float(dice)))
    if not values:
        raise InputError("no tile of this split holds a lesion; the tile scores need some.")
    bce_dice, dice_coef = np.mean(values, axis=0)
    return {"bce_dice": float(bce_dice), "dice_coef": float(dice_coef)}


def write_scores(
    output: Path, photographs: list[PhotographCounts], *, classes: tuple[str, ...], about: dict[str, object]
) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Writes `scores.json` (pooled, with what was scored) and `photographs.csv` (a row a photograph, class and region).

    Returns:
      The pooled scores, `pooled[region][class][score]`.
    """
    pooled = {
        region: {name: scores(counts) for name, counts in by_class.items()}
        for region, by_class in pool(photographs).items()
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(pooled["frame"][classes[0]])
    writer.writerow(["case", "class", "region", *columns])
    for photograph in photographs:
        for region in REGIONS:
            for name in classes:
                row = scores(photograph.counts[region][name])
                writer.writerow(
                    [photograph.case, name, region, *("" if row[key] is None else row[key] for key in columns)]
                )
    write_text(output / "photographs.csv", text.getvalue())
    write_text(output / "scores.json", json.dumps({**about, "scores": pooled}, indent=2) + "\n")
    return pooled


def write_tile_scores(output: Path, values: dict[str, float]) -> None:
    """Writes `evaluation.csv`: name, value."""
    write_text(output / "evaluation.csv", "name,value\n" + "".join(f"{k},{v}\n" for k, v in values.items()))


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
