"""The gallery of a report: the photographs with the best and the worst scores, with outlines.

It is shown each photograph while that is in memory, so that none is segmented twice. Photographs that drop out of the
ranks are forgotten, so that memory does not grow with their number.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.evaluation import LoadedCase, PhotographCounts, score
from pipeline.operating_point import OperatingPoint
from pipeline.reporting.outlined_photographs import OutlinedPhotograph, outline_photograph

SHOWN = 6  # photographs in each rank


@dataclasses.dataclass
class _Rank:
    """At most `SHOWN` photographs, ordered by value and, for equal values, by name."""

    highest_first: bool = False
    photographs: list[OutlinedPhotograph] = dataclasses.field(default_factory=list)

    def takes(self, value: float, case: str) -> bool:
        if len(self.photographs) < SHOWN:
            return True
        last = self.photographs[-1].value, self.photographs[-1].case
        return (value, case) > last if self.highest_first else (value, case) < last

    def add(self, photograph: OutlinedPhotograph) -> None:
        self.photographs.append(photograph)
        self.photographs.sort(key=lambda one: (one.value, one.case), reverse=self.highest_first)
        del self.photographs[SHOWN:]


class Gallery:
    """Keeps outlined versions of a few of the photographs that are scored.

    Attributes:
      seconds: time spent on drawing.
    """

    def __init__(self, classes: Sequence[str], operating_point: OperatingPoint):
        """Creates an empty gallery.

        Args:
          classes: names of the classes.
          operating_point: what counts as a detection.
        """
        self.seconds = 0.0
        self._classes, self._operating_point = classes, operating_point
        self._with_lesions = 0
        self._worst, self._best, self._false_alarms = _Rank(), _Rank(highest_first=True), _Rank(highest_first=True)

    def look(
        self, loaded: LoadedCase, probabilities: np.ndarray, counts: PhotographCounts
    ) -> OutlinedPhotograph | None:
        """Draws a photograph if it ranks among the worst or the best so far.

        Args:
          loaded: the case.
          probabilities: float32 0..1 `[H, W, C]`.
          counts: counts of the photograph.

        Returns:
          The drawn photograph, or None.
        """

        def draw(value: float) -> OutlinedPhotograph:
            detected = self._operating_point.of_photograph(counts.factor).detect(probabilities)
            return outline_photograph(loaded, detected, counts, classes=self._classes, value=value)

        return self._rank(counts, draw)

    def take(self, counts: PhotographCounts, drawn: OutlinedPhotograph | None) -> None:
        """Ranks a photograph that the gallery of another process has looked at, as it would rank one of its own.

        Args:
          counts: counts of the photograph.
          drawn: what that gallery returned; None if it saw enough photographs that rank higher.
        """
        self._rank(counts, lambda value: drawn)

    def _rank(
        self, counts: PhotographCounts, draw: Callable[[float], OutlinedPhotograph | None]
    ) -> OutlinedPhotograph | None:
        began = time.perf_counter()
        value = mean_dice(counts)
        if value is not None:
            self._with_lesions += 1
            ranks = [self._worst, self._best]
        else:
            value = false_positive_fraction(counts)
            ranks = [self._false_alarms] if value else []
        entered = [rank for rank in ranks if rank.takes(value, counts.case)]
        drawn = draw(value) if entered else None
        if drawn is not None:
            for rank in entered:
                rank.add(drawn)
        self.seconds += time.perf_counter() - began
        return drawn

    @property
    def worst(self) -> list[OutlinedPhotograph]:
        """Photographs with the lowest Dice, the lowest first; at most the lower half of all."""
        return self._worst.photographs[: (self._with_lesions + 1) // 2]

    @property
    def best(self) -> list[OutlinedPhotograph]:
        """Photographs with the highest Dice, the highest first; at most the upper half of all."""
        return self._best.photographs[: self._with_lesions // 2]

    @property
    def false_alarms(self) -> list[OutlinedPhotograph]:
        """Photographs without a lesion that have the largest false-positive area, the largest first."""
        return self._false_alarms.photographs


def mean_dice(counts: PhotographCounts) -> float | None:
    """Returns Dice in the whole frame, the mean over the classes with lesions; None without a lesion."""
    values = [score(one)["dice"] for one in counts.counts["frame"].values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def false_positive_fraction(counts: PhotographCounts) -> float:
    """Returns the fraction of false-positive pixels in the whole frame, summed over classes."""
    return sum(one.false_positive for one in counts.counts["frame"].values()) / (counts.height * counts.width)
