"""The flags of a plan, which `plan` and `auto` share, and what is printed of it."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from absl import flags

from configs import InputError
from pipeline.planning import PLANNED, refuse_classes, refuse_few
from records import Case, classes_of_source, find_cases, read_patients
from scripts.support import source

if TYPE_CHECKING:
    from pipeline.planning.writing import Plan, Probe


OWN = ("minutes", "model", "classes", "field_degrees", "patients", "probe", "folds")
SWITCHES = ("allow_missing_masks", "unite_masks", "recursive")
READING = (*SWITCHES, "labelled", "healthy", "absent")


class PlanFlags(TypedDict):
    """Values of the flags, as `pipeline.planning.writing.plan_training` takes them."""

    minutes: float
    network: str
    degrees: float | None
    folds: int | None


def define_flags() -> None:
    """Defines --minutes, --model, --classes, --field_degrees, --patients, --probe and --folds."""
    flags.DEFINE_float("minutes", 90.0, "Minutes of training; reading, sharding and scoring come on top.")
    flags.DEFINE_enum("model", "auto", PLANNED, "The network; auto: by the photographs and the time.")
    flags.DEFINE_list("classes", None, "Some of the source's classes; default: every class that has masks in it.")
    flags.DEFINE_float(
        "field_degrees", None, "Angle of view of the photographs, degrees; default: what files say, or 50."
    )
    flags.DEFINE_string("patients", None, "CSV with the columns case,patient: a patient stays in one split.")
    flags.DEFINE_integer(
        "folds",
        None,
        "Folds of a cross-validation; 1: none. Default: five, if the minutes suffice for each.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "probe", None, "Minutes of short trainings, from which the plan says what longer ones would score."
    )


def given() -> PlanFlags:
    """Returns what the flags say.

    Raises:
      InputError: the time or the angle is out of range.
    """
    minutes = flags.FLAGS.minutes
    if not (math.isfinite(minutes) and minutes > 0):
        raise InputError(f"--minutes={minutes:g}: expected a number of minutes above 0.")
    degrees = flags.FLAGS.field_degrees
    if degrees is not None and not 0 < degrees <= 180:
        raise InputError(f"--field_degrees={degrees:g}: expected an angle above 0 and at most 180 degrees.")
    probe = flags.FLAGS.probe
    if probe is not None and not (math.isfinite(probe) and probe > 0):
        raise InputError(f"--probe={probe:g}: expected a number of minutes above 0.")
    return PlanFlags(minutes=minutes, network=flags.FLAGS.model, degrees=degrees, folds=flags.FLAGS.folds)


def find_planned_cases(folder: Path, *, warn: Callable[[str], None]) -> tuple[tuple[str, ...], str, list[Case]]:
    """Finds what is to be planned; no photograph is read.

    Args:
      folder: the source.
      warn: called with a line about files of the source that are not used.

    Returns:
      The classes, the layout, and the cases with their patients.

    Raises:
      InputError: the folder cannot be read as a source, names too many classes, or has too few photographs.
    """
    classes = tuple(flags.FLAGS.classes or classes_of_source(folder))
    refuse_classes(classes, source=f"--source={folder}")
    layout, cases = find_cases(folder, classes, **source.given(), warn=warn)
    if flags.FLAGS.patients:
        cases = read_patients(Path(flags.FLAGS.patients), cases)
    refuse_few(cases, source=f"--source={folder}")
    return classes, layout, cases


def asked() -> dict[str, object]:
    """Returns the flags of a plan that were given, or have a default, by name."""
    values = {name: flags.FLAGS[name].value for name in (*OWN, *READING)}
    return {name: value for name, value in values.items() if value not in (None, False, [])}


def planning_flags() -> list[str]:
    """Returns the flags of this command line that are those of `plan` alone."""
    values = flags.FLAGS
    given = [f"--minutes={values.minutes:g}", f"--model={values.model}"]
    given += [f"--classes={','.join(values.classes)}"] if values.classes else []
    numbers = {name: flags.FLAGS[name].value for name in ("field_degrees", "probe", "folds")}
    return given + [f"--{name}={value:g}" for name, value in numbers.items() if value is not None]


def reading_flags() -> list[str]:
    """Returns the flags of this command line that say how the source is read, as `shard` takes them, too."""
    values = source.given()
    switches = [f"--{name}" for name in SWITCHES if flags.FLAGS[name].value]
    patients = [f"--patients={flags.FLAGS.patients}"] if flags.FLAGS.patients else []
    return [*switches, *values["known"].flags, *patients]


def probe_lines(probe: "Probe") -> list[str]:
    """Returns what short trainings scored, and what longer ones would, as text for the user."""
    trained = ", ".join(f"{one.aupr:.3f} after {one.minutes:.3g} minutes" for one in probe.trainings)
    expected = ", ".join(
        f"{one.median:.2f} ({one.low:.2f} to {one.high:.2f}) after {one.minutes:g}" for one in probe.forecasts
    )
    return [f"mean AUPR of short trainings: {trained}", f"expected, with 90 %: {expected}"]


def lines(plan: "Plan") -> list[str]:
    """Returns a plan as text for the user: the values that differ most from case to case."""
    config = plan.config
    shown = ("field_diameter", "tile", "stride")
    data = ", ".join(f"{name} {getattr(config.data, name):g}" for name in shown)
    train = config.train
    network = config.model.network + (f" {config.model.fast.widths}" if config.model.network == "fast" else "")
    start = train.initial_model or "random"
    return [
        f"classes {', '.join(config.data.classes)}; {data}; crop {train.crop}",
        f"network {network}; loss {train.loss}; initial weights: {start}",
        f"batch {train.batch_size}, {train.precision}: {plan.chosen.crops_per_second:.1f} crops a second",
        f"{plan.training} photographs to train on, about {plan.tiles} tiles; {train.max_minutes:g} minutes"
        + (f" for each of {plan.folds} folds" if plan.folds > 1 else ""),
    ]
