"""Records → a trained model folder.

python -m scripts.train --config=configs/idrid_haemorrhages.py --records=RECORDS --workdir=WORKDIR
"""

import sys
from pathlib import Path

from absl import flags

from configs import InputError
from records import make_folder
from scripts import command

_RECORDS = flags.DEFINE_multi_string(
    "records", None, "Folder that python -m scripts.shard wrote; given again, the sets are mixed.", required=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the run: model, history, curves, previews.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Train anew in a workdir that holds a run already.")
command.define_config()


def main(_: list[str]) -> int:
    config = command.config()
    workdir = Path(_WORKDIR.value)
    if (workdir / "config.json").exists() and not _OVERWRITE.value:
        raise InputError(f"--workdir={workdir}: holds a run already; name another folder or add --overwrite.")
    with command.quiet_start():
        from pipeline import training

        run = training.prepare(config, [Path(folder) for folder in _RECORDS.value], workdir)
    make_folder(workdir, flag="--workdir")
    _print_plan(run)
    model = training.fit(run, verbose=1 if sys.stdout.isatty() else 2)
    print(f"model: {model}    look: {workdir / 'curves.png'}, {workdir / 'previews'}, {workdir / 'history.csv'}")
    return command.DONE


def _print_plan(run) -> None:
    from pipeline.training import count_tiles

    train, data, tiles = run.config.train, run.config.data, count_tiles(run.sets)
    print(
        f"network {run.config.model.network}: {run.network.count_params():,} parameters, stride {run.network.stride}; "
        f"classes {', '.join(data.classes)}; loss {train.loss}, {train.optimizer}"
    )
    print(
        f"{tiles['train']} training tiles of {data.tile} pixels at scale {data.scale:.4g}, "
        f"{tiles['validation']} for validation ({run.validation_steps} batches); {run.cache}"
    )
    print(
        f"{train.epochs} epochs of {run.steps} steps, {train.batch_size} tiles a step → {run.workdir}",
        flush=True,
    )


if __name__ == "__main__":
    command.run(main)
