"""A probe: short trainings by a plan, whose scores say what minutes buy."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from configs import Config, InputError
from pipeline.planning.clock_rules import choose_steps, steps_in
from pipeline.planning.learning_curve import Forecast, ShortTraining, forecast
from pipeline.planning.plan import Plan
from pipeline.planning.stages import RECORDS, Stage
from records import write_text

PARTS = (1, 2, 4)  # relative lengths of the short trainings
FEWEST_STEPS = 60  # of the shortest one
LENGTHS = (30.0, 100.0, 300.0)  # minutes that a forecast is made for, beside those of the plan
MONITORED = "val_photo_aupr"


@dataclasses.dataclass(frozen=True)
class Probe:
    """What short trainings scored, and what longer ones would.

    Attributes:
      trainings: the short trainings.
      forecasts: for LENGTHS and the minutes of the plan, in order.
    """

    trainings: Sequence[ShortTraining]
    forecasts: Sequence[Forecast]


def probe_lengths(plan: Plan, minutes: float) -> list[float]:
    """Returns the minutes of each short training.

    Args:
      plan: the plan.
      minutes: of all of them together.

    Raises:
      InputError: the shortest one would have too few steps.
    """
    lengths = [minutes * part / sum(PARTS) for part in PARTS]
    if (steps := steps_in(lengths[0], plan.chosen)) < FEWEST_STEPS:
        needed = minutes * FEWEST_STEPS / steps
        raise InputError(
            f"--probe={minutes:g}: the shortest of its {len(PARTS)} trainings would have {steps:.0f} steps at the "
            f"{plan.chosen.crops_per_second:.1f} crops a second that were measured here, and needs {FEWEST_STEPS}; "
            f"give at least --probe={needed:.2g}."
        )
    return lengths


def probe_stages(
    folder: Path, plan: Plan, lengths: Sequence[float], *, source: str, healthy: Sequence[Path], reading: Sequence[str]
) -> list[Stage]:
    """Writes the configs of the short trainings, and returns the commands that shard once and train each.

    Args:
      folder: an existing folder for everything that they write.
      plan: the plan.
      lengths: minutes of the trainings.
      source: the folder of the photographs.
      healthy: further folders that photographs without masks lie in.
      reading: flags that say how the source is read, as `shard` takes them.
    """
    configs = [folder / f"{number}.json" for number in range(len(lengths))]
    for path, minutes in zip(configs, lengths, strict=True):
        write_text(path, _short_config(plan, minutes).to_json())
    records, given = folder / RECORDS, [f"--source={source}"]
    shard = [f"--config={configs[0]}", *given, f"--records={records}", *reading]
    return [
        Stage("shard", shard, records / "config.json", may_leave_out=True),
        *(
            Stage(
                "train",
                [
                    f"--config={path}",
                    *given,
                    *(f"--source={one}" for one in healthy),
                    f"--records={records}",
                    f"--workdir={path.with_suffix('')}",
                ],
                path.with_suffix("") / "model" / "segmenter.json",
            )
            for path in configs
        ),
    ]


def read_probe(folder: Path, plan: Plan, lengths: Sequence[float]) -> Probe:
    """Reads what the trainings of `probe_stages` scored, and extrapolates it."""
    trainings = []
    for number, minutes in enumerate(lengths):
        with open(folder / str(number) / "history.csv", encoding="utf-8", newline="") as file:
            *_, last = csv.DictReader(file)
        trainings.append(ShortTraining(minutes, float(last[MONITORED])))
    assert plan.config.train.max_minutes is not None
    return Probe(trainings, forecast(trainings, sorted({*LENGTHS, plan.config.train.max_minutes})))


def _short_config(plan: Plan, minutes: float) -> Config:
    """Returns a plan's config for another time; whole photographs are scored at its end alone."""
    choices = choose_steps(plan.chosen, plan.trials, minutes=minutes)
    values = {name.removeprefix("train."): choice.value for name, choice in choices.items()}
    values |= {"photographs_every": values["epochs"], "previews": 0}
    return dataclasses.replace(plan.config, train=dataclasses.replace(plan.config.train, **values))
