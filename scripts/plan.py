"""Looks at photographs and masks, tries training steps on this machine, and writes a preset with the reasons in it.

    python -m scripts.plan --source=SOURCE --minutes=90 --output=configs/mine.py

Writes the preset, a page with pictures beside it (configs/mine.html), and what was measured of each photograph
(configs/mine.fingerprint.json), so that a second plan of the same photographs reads none of them again.

    python -m scripts.plan … --probe=10

also trains for ten minutes in all, to say what 30, 100 and 300 minutes would score.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from configs import DataConfig, InputError
from pipeline.interruption import StoppedError
from pipeline.machine import usable_cores
from pipeline.planning import Fingerprint, refuse_without_lesions, take_fingerprint
from records import Case, healthy_folders, make_folder
from scripts.support import cluster, command, planning, source
from scripts.support.children import Children
from scripts.support.photographs import with_bar
from scripts.support.stages import run_stages
from scripts.support.warnings import print_warnings

if TYPE_CHECKING:
    from pipeline.planning.writing import Plan, Probe

_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and masks.", required=True)
_OUTPUT = flags.DEFINE_string("output", "configs/mine.py", "File for the preset; the page is beside it.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an existing preset.")
planning.define_flags()
source.define_flags()
cluster.define_flags()


def main(_: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    output = Path(_OUTPUT.value)
    _check_flags(output)
    options = planning.given()
    classes, layout, cases = planning.find_planned_cases(Path(_SOURCE.value), warn=lambda line: print_warnings([line]))
    make_folder(output.parent, flag="--output")
    fingerprint = _take_fingerprint(
        layout, cases, DataConfig(classes=classes), kept=output.with_suffix(".fingerprint.json")
    )
    from pipeline.planning.writing import plan_training, write_plan  # imports tensorflow, which takes seconds

    print("trying training steps on this machine, which takes a minute or less.", flush=True)
    plan = plan_training(fingerprint, **options)
    print_warnings(plan.problems, more="on the page")
    print("\n".join(planning.lines(plan)), flush=True)
    reading = planning.reading_flags()
    healthy = healthy_folders(source.given()["known"], fingerprint.cases)
    try:
        probe = _probe(plan, beside=output.parent, reading=reading, healthy=healthy)
    except StoppedError as stopped:
        print("stopped; no preset is written.", flush=True)
        return stopped.code
    page = write_plan(output, plan, fingerprint, source=_SOURCE.value, reading=reading, healthy=healthy, probe=probe)
    print(f"preset: {output}    see: {page}")
    return command.SOME_FAILED if fingerprint.failures else command.DONE


def _check_flags(output: Path) -> None:
    if output.suffix != ".py":
        raise InputError(f"--output={output}: a preset is a Python file; give a name that ends in .py.")
    if output.exists() and not _OVERWRITE.value:
        raise InputError(f"--output={output}: exists; name another file, or add --overwrite to replace it.")


def _take_fingerprint(layout: str, cases: list[Case], data: DataConfig, *, kept: Path) -> Fingerprint:
    print(f"{len(cases)} photographs in {_SOURCE.value} ({layout}), classes {', '.join(data.classes)}.", flush=True)
    with cluster.workers(usable_cores(), reads=[_SOURCE.value, flags.FLAGS.healthy]) as workers:
        fingerprint = take_fingerprint(layout, cases, data, kept=kept, workers=workers, progress=with_bar)
    if fingerprint.measured < len(fingerprint.cases):
        print(f"{len(fingerprint.cases) - fingerprint.measured} of them as measured before, in {kept}.", flush=True)
    refuse_without_lesions(fingerprint, source=f"--source={_SOURCE.value}")
    return fingerprint


def _probe(plan: "Plan", *, beside: Path, reading: Sequence[str], healthy: Sequence[Path]) -> "Probe | None":
    """Trains for --probe minutes, in a folder of the disk of the output that is removed; None without the flag."""
    if flags.FLAGS.probe is None:
        return None
    from pipeline.planning.writing import probe_lengths, probe_stages, read_probe

    lengths = probe_lengths(plan, flags.FLAGS.probe)
    print(f"trainings of {', '.join(f'{one:.3g}' for one in lengths)} minutes, which say what longer ones buy:")
    with tempfile.TemporaryDirectory(prefix="probe.", dir=beside) as folder:
        stages = probe_stages(
            Path(folder),
            plan,
            lengths,
            source=_SOURCE.value,
            healthy=healthy,
            reading=reading,
        )
        children = Children()
        with children.listening():
            code = run_stages(children, stages, again="run the same command again.")
        if not all(stage.is_finished for stage in stages):
            raise InputError(f"--probe: a training failed with exit code {code}, see above; plan without it.")
        probe = read_probe(Path(folder), plan, lengths)
    print("\n".join(planning.probe_lines(probe)), flush=True)
    return probe


if __name__ == "__main__":
    command.run(main, here=lambda: ("output",))
