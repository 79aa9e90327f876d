"""The model of the page, which training on can exchange."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from pipeline.inference import SegmenterSpec
from pipeline.operating_point import OperatingPoint
from pipeline.prediction import SegmenterPool


@dataclasses.dataclass(frozen=True)
class ViewedModel:
    """A model, not loaded yet.

    Attributes:
      folders: its folder, or those of several models that are averaged.
      spec: its spec.
      operating_point: what counts as a detection until the page says otherwise.
      fingerprint: its fingerprint.
      load: loads it.
    """

    folders: tuple[Path, ...]
    spec: SegmenterSpec
    operating_point: OperatingPoint
    fingerprint: str
    load: Callable[[], SegmenterPool]


class CurrentModel:
    """The model that photographs are segmented with; threads read it at any time.

    Attributes:
      now: the model.
      number: how often it was exchanged.
    """

    def __init__(self, first: ViewedModel):
        """Begins with a model."""
        self.now, self.number = first, 0

    def exchange(self, model: ViewedModel) -> None:
        """Takes another model, of the same classes."""
        self.now = model
        self.number += 1
