"""Makes a plan with trials on this machine, and writes its preset and its page."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from pipeline.planning.fingerprint import Fingerprint
from pipeline.planning.measuring import try_steps
from pipeline.planning.page import write_plan_page
from pipeline.planning.plan import Plan, make_plan
from pipeline.planning.preset import preset_text
from pipeline.planning.probe import Probe, probe_lengths, probe_stages, read_probe
from pipeline.planning.stages import without_patients
from records import write_text

__all__ = [
    "Plan",
    "Probe",
    "next_commands",
    "plan_training",
    "probe_lengths",
    "probe_stages",
    "read_probe",
    "write_plan",
]


def plan_training(
    fingerprint: Fingerprint, *, minutes: float, network: str, degrees: float | None, folds: int | None
) -> Plan:
    """Plans a training, with training steps that are tried on this machine.

    Args:
      fingerprint: the photographs, of which at least one shows a lesion.
      minutes: time of training.
      network: a name of `networks.PLANNED`.
      degrees: the camera's angle of view, if the user says it.
      folds: number of folds of a cross-validation, 1 for none; None: by the time.

    Raises:
      InputError: the time does not suffice for an epoch, or the network cannot be trained here.
    """
    return make_plan(fingerprint, minutes=minutes, network=network, degrees=degrees, measure=try_steps, folds=folds)


def write_plan(
    output: Path,
    plan: Plan,
    fingerprint: Fingerprint,
    *,
    source: str,
    reading: Sequence[str],
    healthy: Sequence[Path] = (),
    probe: Probe | None = None,
) -> Path:
    """Writes a plan's page, and then its preset.

    Args:
      output: file of the preset; the page has its name with the suffix .html.
      plan: the plan.
      fingerprint: the photographs.
      source: the folder of the photographs, as it was given.
      reading: flags that say how it is read, to be given to `shard` and `eval` as well.
      healthy: folders of the photographs that --healthy adds, to be given to `train`.
      probe: what short trainings scored, for the page; None: there were none.

    Returns:
      The path of the page.
    """
    commands = next_commands(output, plan.folds, source=source, reading=reading, healthy=healthy)
    page = write_plan_page(
        output.with_suffix(".html"), plan, fingerprint, source=source, commands=commands, probe=probe
    )
    head = [
        "A preset for your own photographs, written by python -m scripts.plan.",
        f"{len(fingerprint.cases)} photographs in {source}. The comments give the reason of each value; {page.name}",
        "beside this file shows the same with pictures. Change what you know better.",
        "",
        *commands,
    ]
    write_text(output, preset_text(plan.choices, head))
    return page


def next_commands(
    output: Path, folds: int, *, source: str, reading: Sequence[str], healthy: Sequence[Path]
) -> list[str]:
    """Returns the command lines that train by a preset and score the model, or the models of the folds."""
    config, given = f"--config={output}", f"--source={source}"
    single = [
        ["shard", config, given, "--records=RECORDS", *reading],
        ["train", config, given, *(f"--source={one}" for one in healthy), "--records=RECORDS", "--workdir=RUN"],
        ["eval", "--model=RUN/model", given, "--split=validation", "--output=RUN", *without_patients(reading)],
    ]
    several = [
        ["crossval", config, given, "--workdir=CV", f"--folds={folds}", *reading],
        ["ensemble", "--models=CV/fold_*/run/model", "--output=CV/ensemble"],
        ["calibrate", "--model=CV/ensemble", "--results=CV", "--output=MODEL"],
    ]
    return [f"python -m scripts.{shlex.join(line)}" for line in (single if folds == 1 else several)]
