"""What a trial of training steps measured."""

import dataclasses

from configs import Precision


@dataclasses.dataclass(frozen=True)
class StepTrial:
    """Training steps that were tried on this machine.

    Attributes:
      crop: side of the crops, pixels.
      batch: crops per step.
      precision: as `train.precision`.
      xla: whether XLA compiled the step.
      crops_per_second: crops of a step by its median time, without the time in which the stream makes them.
      peak_bytes: memory that the process (on a GPU: the device) had taken at most so far, bytes.
    """

    crop: int
    batch: int
    precision: Precision
    xla: bool
    crops_per_second: float
    peak_bytes: int

    def __str__(self) -> str:
        with_xla = ", XLA" if self.xla else ""
        return f"{self.batch} of {self.crop} in {self.precision}{with_xla} {self.crops_per_second:.1f} crops/s"
