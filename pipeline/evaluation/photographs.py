"""Evaluation: photographs are read, segmented and counted side by side, and tiles scored as the earlier system did.

The scores that count are those of whole photographs (`pipeline.evaluation.scores`, `pipeline.evaluation.summary`).
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from configs import DataConfig, InputError
from pipeline.evaluation.counting import PhotographCounts, count_photograph
from pipeline.inference import NAN_MESSAGE, TiledSegmenter
from records import Case, field_of_view, read_masks, read_photograph, write_text

TILE_BATCH = 4  # of the earlier system's evaluator, over whose batches its numbers are means


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


@dataclasses.dataclass
class Seconds:
    """What an evaluation took.

    Attributes:
      segmenting: seconds in which the map was made, or read.
      scoring: seconds of counting, beside the segmentation of the next photograph.
    """

    segmenting: float = 0
    scoring: float = 0


MapOf = Callable[[MarkedPhotograph], np.ndarray]  # → float32 0..1 `[H, W, C]`
Look = Callable[[MarkedPhotograph, np.ndarray, PhotographCounts], None]  # a photograph, its map and its counts


def segmented_by(segment: Callable[[np.ndarray], np.ndarray]) -> MapOf:
    """Returns the maps of a network, refused where they have numbers that are none.

    Args:
      segment: uint8 RGB `[H, W, 3]` → float32 0..1 `[H, W, C]`.
    """

    def map_of(marked: MarkedPhotograph) -> np.ndarray:
        probabilities = segment(marked.photograph)
        if np.isnan(probabilities).any():
            raise InputError(f"case {marked.case}: {NAN_MESSAGE}")
        return probabilities

    return map_of


def parse_thresholds(text: str, classes: tuple[str, ...]) -> tuple[float, ...]:
    """Reads --threshold: one number for all classes, or NAME=NUMBER,… for each.

    Raises:
      InputError: other classes, or what is no number above 0 and below 1.
    """
    pairs = [part.strip().rpartition("=") for part in text.split(",")]
    given = {name: number for name, _, number in pairs}
    if set(given) == {""} and len(pairs) == 1:
        given = dict.fromkeys(classes, given[""])
    elif set(given) != set(classes) or len(given) != len(pairs):
        expected = ",".join(f"{name}=0.5" for name in classes)
        raise InputError(f"--threshold={text}: expected one number, or one for each class, as in {expected}.")
    try:
        thresholds = tuple(float(given[name]) for name in classes)
    except ValueError as error:
        raise InputError(f"--threshold={text}: expected numbers ({error}).") from error
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise InputError(f"--threshold={text}: expected numbers above 0 and below 1.")
    return thresholds


def read_marked(case: Case, data: DataConfig) -> MarkedPhotograph:
    """Reads a case's photograph and its masks of all of `data.classes`.

    Raises:
      InputError: a photograph or mask that cannot be read, or masks of another size.
    """
    photograph = read_photograph(case.photograph, max_pixels=data.max_pixels)
    masks = read_masks(case, photograph.shape[:2], data)
    return MarkedPhotograph(case.name, photograph, masks, field_of_view(photograph))


def evaluate_photographs(
    map_of: MapOf,
    cases: Iterable[Case],
    data: DataConfig,
    *,
    thresholds: tuple[float, ...],
    bins: int,
    seconds: Seconds | None = None,
    look: Look | None = None,
) -> Iterator[tuple[Case, PhotographCounts | InputError]]:
    """Evaluates photographs in order; while one is segmented, the next is read and the one before is counted.

    At most three photographs are in memory.

    Args:
      map_of: the map to be scored.
      cases: the photographs.
      data: classes and the largest number of pixels.
      thresholds: operating threshold of each class.
      bins: of the histograms.
      seconds: is added to.
      look: is shown each photograph after it was counted, such as `pipeline.reporting.gallery.Gallery.look`.

    Yields:
      Each case with its counts, or with what is wrong with it.
    """
    seconds = seconds or Seconds()

    def count(marked: MarkedPhotograph, probabilities: np.ndarray) -> PhotographCounts:
        began = time.perf_counter()
        counts = count_photograph(
            marked.case,
            probabilities,
            marked.masks,
            retina=marked.retina,
            classes=data.classes,
            thresholds=thresholds,
            bins=bins,
        )
        seconds.scoring += time.perf_counter() - began
        if look is not None:
            look(marked, probabilities, counts)
        return counts

    with ThreadPoolExecutor(1) as counter:
        before: tuple[Case, Future[PhotographCounts] | InputError] | None = None
        for case, reading in _read_ahead(cases, data):
            try:
                marked = reading.result()
                began = time.perf_counter()
                probabilities = map_of(marked)
                seconds.segmenting += time.perf_counter() - began
                now: Future[PhotographCounts] | InputError = counter.submit(count, marked, probabilities)
            except InputError as error:
                now = error
            if before is not None:
                yield before[0], _outcome(before[1])
            before = case, now
        if before is not None:
            yield before[0], _outcome(before[1])


def _outcome(counting: Future[PhotographCounts] | InputError) -> PhotographCounts | InputError:
    return counting if isinstance(counting, InputError) else counting.result()


def _read_ahead(cases: Iterable[Case], data: DataConfig) -> Iterator[tuple[Case, Future[MarkedPhotograph]]]:
    """Reads the next photograph while the caller works on one."""
    with ThreadPoolExecutor(1) as reader:
        before = None
        for case in cases:
            reading = case, reader.submit(read_marked, case, data)
            if before is not None:
                yield before
            before = reading
        if before is not None:
            yield before


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


def write_tile_scores(output: Path, values: dict[str, float]) -> None:
    """Writes `evaluation.csv`: name, value."""
    write_text(output / "evaluation.csv", "name,value\n" + "".join(f"{k},{v}\n" for k, v in values.items()))
