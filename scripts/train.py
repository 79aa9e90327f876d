"""Trains a model on records and writes a model folder. Started again, it continues where it stopped.

python -m scripts.train --config=configs/idrid_haemorrhages.py --records=RECORDS --workdir=WORKDIR
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path

from absl import flags

from records import claimed_output
from scripts.support import command
from scripts.support.warnings import print_warnings

_RECORDS = flags.DEFINE_multi_string(
    "records", None, "Folder that python -m scripts.shard wrote; repeat the flag to mix several sets.", required=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the run: model, history, curves, previews.", required=True)
_SOURCE = flags.DEFINE_multi_string(
    "source", [], "Folder with the records' validation photographs, to score them whole; can be repeated."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Train from scratch in a workdir that already holds a run.")
_ANONYMOUS = flags.DEFINE_bool(
    "anonymous", False, "Write salted digests instead of names of photographs, no paths, and no previews."
)
command.define_config()


def main(_: list[str]) -> int:
    """Runs the command."""
    config = command.config()
    workdir = Path(_WORKDIR.value)
    from pipeline.interruption import StoppedError
    from pipeline.training import fit, prepare

    records = [Path(folder) for folder in _RECORDS.value]
    sources = [Path(folder) for folder in _SOURCE.value]
    with claimed_output(workdir, flag="--workdir") as make_workdir:
        options = {"overwrite": _OVERWRITE.value, "anonymous": _ANONYMOUS.value}
        run = prepare(config, records, workdir, sources=sources, **options)
        if run.plan.finished:
            print(f"this training is already finished; model: {run.plan.model_folder}. Add --overwrite to train again.")
            return command.DONE
        make_workdir()
        print("\n".join(run.plan.lines()), flush=True)
        print_warnings(run.plan.warnings)
        try:
            model = fit(run, verbose=1 if sys.stdout.isatty() else 0)
        except StoppedError as stopped:
            print(f"stopped by {stopped}; everything is saved. Run the same command again to continue.", flush=True)
            return stopped.code
    previews = f"{workdir / 'previews'}, " if run.plan.previewed else ""
    print(f"model: {model}    see: {workdir / 'curves.png'}, {previews}{workdir / 'history.csv'}")
    return command.DONE


if __name__ == "__main__":
    command.run(main)
