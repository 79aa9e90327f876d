"""Evaluation of whole photographs: reading, segmenting and counting run side by side, one photograph ahead each.

Scores are computed from the counts, see `pipeline.evaluation.scores` and `pipeline.evaluation.summary`.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from configs import DataConfig, InputError
from pipeline.evaluation.counting import PhotographCounts, count_photograph
from pipeline.operating_point import OperatingPoint
from records import Case, MaskWarning, field_of_view, photograph_degrees, read_checked_labels, read_photograph

if TYPE_CHECKING:  # it imports TensorFlow
    from pipeline.inference import MeasuredPhotograph


@dataclasses.dataclass(frozen=True)
class LoadedCase:
    """A case in memory: its photograph, masks and field of view.

    Attributes:
      case: name of the case.
      photograph: uint8 RGB `[H, W, 3]`.
      masks: bool `[H, W, C]`; False where unknown.
      field_of_view: bool `[H, W]`.
      known: bool `[H, W, C]`, whether it is known that a pixel shows a class or not; None: known throughout.
      measured: the photograph as a model measured it; None without a model.
      mask_warnings: what is not plausible about the masks.
    """

    case: str
    photograph: np.ndarray
    masks: np.ndarray
    field_of_view: np.ndarray
    known: np.ndarray | None = None
    measured: "MeasuredPhotograph | None" = None
    mask_warnings: tuple[MaskWarning, ...] = ()


@dataclasses.dataclass
class Seconds:
    """Time that an evaluation took.

    Attributes:
      segmenting: seconds in which maps were made or read.
      scoring: seconds of counting, which runs beside the segmentation of the next photograph.
    """

    segmenting: float = 0
    scoring: float = 0


class CaseMap(NamedTuple):
    """The probability map of a case.

    Attributes:
      probabilities: float32 0..1 `[H, W, C]`.
      factor: by which the photograph is scaled for the network; None without one.
    """

    probabilities: np.ndarray
    factor: float | None = None


Measure = Callable[[np.ndarray, float | None], "MeasuredPhotograph"]  # of a photograph and its angle of view
MapOf = Callable[[LoadedCase], CaseMap]
Look = Callable[[LoadedCase, np.ndarray, PhotographCounts], object]  # gets a case, its probability map and its counts


def load_case(case: Case, data: DataConfig, measure: Measure | None = None) -> LoadedCase:
    """Reads a case's photograph and its masks of all of `data.classes`, and measures the photograph.

    Raises:
      InputError: the photograph or a mask cannot be read, or a mask has another size.
    """
    photograph = read_photograph(case.photograph, max_pixels=data.max_pixels)
    labels, warnings = read_checked_labels(case, photograph.shape[:2], data)
    measured = measure and measure(photograph, photograph_degrees(case.photograph))
    return LoadedCase(
        case.name,
        photograph,
        labels.masks,
        field_of_view(photograph),
        known=labels.known,
        measured=measured,
        mask_warnings=warnings,
    )


def evaluate_photographs(
    map_of: MapOf,
    cases: Iterable[Case],
    data: DataConfig,
    *,
    operating_point: OperatingPoint,
    bins: int,
    measure: Measure | None = None,
    seconds: Seconds | None = None,
    look: Look | None = None,
    sweeps: bool = False,
) -> Iterator[tuple[Case, PhotographCounts | InputError]]:
    """Evaluates photographs in order; while one is segmented, the next is read and the previous one is counted.

    At most three photographs are in memory.

    Args:
      map_of: makes or reads the probability map of a case.
      cases: cases to evaluate.
      data: classes, and the largest number of pixels allowed.
      operating_point: what counts as a detection.
      bins: number of equal bins over 0..1.
      measure: measures photographs for a model, such as `TiledSegmenter.measure`.
      seconds: times to add to.
      look: called with each case after it was counted, such as `pipeline.reporting.Gallery.look`.
      sweeps: whether to count at a grid of other operating points as well, see `pipeline.evaluation.sweeps`.

    Yields:
      Each case with its counts, or with the error that says why it could not be evaluated.
    """
    seconds = seconds or Seconds()

    def count(loaded: LoadedCase, found: CaseMap) -> PhotographCounts:
        began = time.perf_counter()
        counts = count_photograph(
            loaded.case,
            found.probabilities,
            loaded.masks,
            field_of_view=loaded.field_of_view,
            classes=data.classes,
            operating_point=operating_point,
            bins=bins,
            known=loaded.known,
            factor=found.factor,
            sweeps=sweeps,
        )
        seconds.scoring += time.perf_counter() - began
        if look is not None:
            look(loaded, found.probabilities, counts)
        return counts

    with ThreadPoolExecutor(1) as counter:
        before: tuple[Case, Future[PhotographCounts] | InputError] | None = None
        for case, reading in _read_ahead(cases, data, measure):
            try:
                loaded = reading.result()
                began = time.perf_counter()
                found = map_of(loaded)
                seconds.segmenting += time.perf_counter() - began
                now: Future[PhotographCounts] | InputError = counter.submit(count, loaded, found)
            except InputError as error:
                now = error
            if before is not None:
                yield before[0], _outcome(before[1])
            before = case, now
        if before is not None:
            yield before[0], _outcome(before[1])


def _outcome(counting: Future[PhotographCounts] | InputError) -> PhotographCounts | InputError:
    return counting if isinstance(counting, InputError) else counting.result()


def _read_ahead(
    cases: Iterable[Case], data: DataConfig, measure: Measure | None
) -> Iterator[tuple[Case, Future[LoadedCase]]]:
    """Reads the next case while the caller works on one."""
    with ThreadPoolExecutor(1) as reader:
        before = None
        for case in cases:
            reading = case, reader.submit(load_case, case, data, measure)
            if before is not None:
                yield before
            before = reading
        if before is not None:
            yield before
