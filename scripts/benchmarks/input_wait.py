"""How long training steps wait for the training stream."""

import itertools
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from configs import Config
from pipeline.training import TrainingRun, prepare
from scripts.benchmarks.measuring import median_ratio, take_turns

BLOCKS = 3  # of training steps, for each of the two variants
BLOCK_SECONDS = 8.0  # approximate duration of a block
BLOCK_STEPS = (2, 16)  # its lowest and highest number of steps


class Wait(NamedTuple):
    """How training steps wait for the stream; the fractions are medians over the blocks.

    Attributes:
      blocked: fraction of their time in which they wait for a batch.
      slowdown: fraction of their time that a batch in memory would save.
      steps: number of steps in a block.
      step_seconds: duration of a step with a batch in memory.
      cache: message that says where the tiles were kept.
    """

    blocked: float
    slowdown: float
    steps: int
    step_seconds: float
    cache: str


def measure_wait(config: Config, records: Path) -> Wait:
    """Trains with the stream and with one batch in memory, in turn.

    Args:
      config: of the training.
      records: folder that `scripts.shard` wrote.

    Raises:
      InputError: the records do not fit the config.
    """
    run = prepare(config, [records], Path())  # writes nothing
    in_memory = itertools.repeat(next(iter(run.training)))
    lowest, highest = BLOCK_STEPS
    steps = min(max(round(BLOCK_SECONDS / _train(run, in_memory, 1)[0]), lowest), highest)
    blocked: list[float] = []

    def train_with_stream() -> float:
        seconds, waited = _train(run, run.training, steps)
        blocked.append(waited / seconds)
        return seconds

    seconds = take_turns(
        {"memory": lambda: _train(run, in_memory, steps)[0], "stream": train_with_stream}, repeats=BLOCKS
    )
    return Wait(
        blocked=statistics.median(blocked[1:]),  # without the warm-up
        slowdown=1 - median_ratio(seconds["memory"], seconds["stream"]),
        steps=steps,
        step_seconds=statistics.median(seconds["memory"]) / steps,
        cache=run.plan.messages[1],
    )


def _train(run: TrainingRun, batches: Iterable[Any], steps: int) -> tuple[float, float]:
    """Returns the seconds that the steps take, and those that they wait, without a first one that starts the stream."""
    iterator = iter(batches)
    run.model.train_on_batch(*next(iterator))
    waited, began = 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        image, mask = next(iterator)
        waited += time.perf_counter() - asked
        run.model.train_on_batch(image, mask)
    return time.perf_counter() - began, waited
