"""Records → a trained model folder. Started again, it goes on where it was ended.

python -m scripts.train --config=configs/idrid_haemorrhages.py --records=RECORDS --workdir=WORKDIR
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path

from absl import flags

from records import make_folder
from scripts.support import command

_RECORDS = flags.DEFINE_multi_string(
    "records", None, "Folder that python -m scripts.shard wrote; given again, the sets are mixed.", required=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the run: model, history, curves, previews.", required=True)
_SOURCE = flags.DEFINE_multi_string(
    "source", [], "Folder that holds the records' validation photographs, which then are scored whole; can be repeated."
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Train anew in a workdir that holds a run already; else that one goes on."
)
command.define_config()


def main(_: list[str]) -> int:
    config = command.config()
    workdir = Path(_WORKDIR.value)
    with command.quiet_start():
        from pipeline.interruption import StoppedError
        from pipeline.training import fit as training

        records = [Path(folder) for folder in _RECORDS.value]
        sources = [Path(folder) for folder in _SOURCE.value]
        run = training.prepare(config, records, workdir, sources=sources, overwrite=_OVERWRITE.value)
    if run.over:
        print(f"this training is over; model: {run.model_folder}. Add --overwrite to train anew.")
        return command.DONE
    make_folder(workdir, flag="--workdir")
    _print_plan(run)
    try:
        model = training.fit(run, verbose=1 if sys.stdout.isatty() else 0)
    except StoppedError as stopped:
        print(f"stopped by {stopped}, all is saved; the same command goes on from there.", flush=True)
        return stopped.code
    print(f"model: {model}    look: {workdir / 'curves.png'}, {workdir / 'previews'}, {workdir / 'history.csv'}")
    return command.DONE


def _print_plan(run) -> None:
    from pipeline.training.fit import count_tiles

    train, data, tiles = run.config.train, run.config.data, count_tiles(run.sets)
    print(
        f"network {run.config.model.network}: {run.network.count_params():,} parameters, stride {run.network.stride}; "
        f"classes {', '.join(data.classes)}; loss {train.loss}, {train.optimizer}"
    )
    print(
        f"{tiles['train']} training tiles of {data.tile} pixels at scale {data.scale:.4g}, "
        f"{tiles['validation']} for validation ({run.validation_steps} batches)"
        + (f", and {len(run.cases)} whole photographs" if run.cases else "")
    )
    print("\n".join(run.words))
    if run.start is not None:
        print(f"goes on after epoch {run.start.epoch} and {run.start.step} steps")
    limit = "" if train.max_minutes is None else f" or {train.max_minutes:g} minutes"
    print(
        f"{train.epochs} epochs of {run.steps} steps{limit}, {train.batch_size} tiles a step; "
        f"the best epoch is kept, by {run.monitor or 'being the last'} → {run.workdir}",
        flush=True,
    )


if __name__ == "__main__":
    command.run(main)
