"""Runs the steps of a cross-validation's fold as child processes, and pools what is finished."""

import time
from pathlib import Path
from typing import Any

from pipeline.evaluation import (
    CrossValidation,
    add_seconds,
    fold_result,
    fold_steps,
    pool_folds,
    read_fold,
    result_folder,
    write_fold,
)
from pipeline.interruption import StoppedError
from pipeline.reporting import write_crossvalidation_report
from records import claimed, make_folder
from scripts.support import command
from scripts.support.children import Children


def run_fold(children: Children, run: CrossValidation, fold: int) -> int:
    """Runs the steps of a fold that are left.

    Args:
      children: runs the commands.
      run: the cross-validation.
      fold: number of the fold.

    Returns:
      The exit code of the command that failed, 0 if none did.

    Raises:
      StoppedError: a signal, or the training's file `stop`, asked to stop.
    """
    folder, result = run.folder(fold), result_folder(run.workdir, fold)
    make_folder(result, flag="--workdir")
    with claimed(folder / "lock") as lock:
        if lock is None:
            print(f"fold {fold}: another process is working on it; skipped.", flush=True)
            return command.DONE
        if read_fold(result) is not None:
            print(f"fold {fold}: finished already.", flush=True)
            return command.DONE
        for step, arguments in fold_steps(run, fold):
            print(f"fold {fold} of {run.plan.folds}: {step}", flush=True)
            # The config may train with another backend; records and the tiled graph are TensorFlow's.
            environment = {} if step == "train" else {"KERAS_BACKEND": "tensorflow"}
            began = time.monotonic()
            code = children.run(step, arguments, environment=environment, keeps_open=[lock])
            add_seconds(folder, step, time.monotonic() - began)
            if code:
                return code
            if step == "train" and not run.is_trained(fold):
                raise StoppedError("its file `stop`", command.DONE)
        write_fold(result, fold_result(run, fold))
    return command.DONE


def pool(workdir: Path) -> dict[str, Any] | None:
    """Pools the folds finished so far, and writes the report of them.

    Args:
      workdir: folder of the cross-validation.

    Returns:
      The content of `crossval.json`; None if no fold is finished, and then nothing is written.
    """
    content = pool_folds(workdir)
    if content is not None:
        write_crossvalidation_report(workdir, content)
    return content
