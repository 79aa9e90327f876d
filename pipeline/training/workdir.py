"""The workdir of a training: what an earlier start left there, and whether this one may continue it."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from configs import Config, InputError, loading
from configs.schema import differing_fields
from pipeline.input import RecordSet
from pipeline.training.checkpoints import Checkpoint, load_checkpoint


def earlier_start(
    workdir: Path,
    config: Config,
    sets: Sequence[RecordSet],
    *,
    teacher: str | None,
    monitor: str | None,
    anonymous: bool,
) -> Checkpoint | None:
    """Returns the last checkpoint of the run in a workdir; None if there is no run, or it saved no checkpoint yet.

    Args:
      workdir: folder of the run.
      config: the settings to continue with, as they are written.
      sets: the sets of records to continue with.
      teacher: fingerprint of `train.teacher`, None without one.
      monitor: the column that chooses the best epoch from now on.
      anonymous: whether names and paths are left out from now on.

    Raises:
      InputError: the run was started with another config, other records, another teacher or another monitor, or the
        other way of `anonymous`.
    """
    path = workdir / "config.json"
    if not path.exists():
        return None
    remedy = "Name another folder, or add --overwrite to train from scratch."
    if _is_anonymous(workdir) != anonymous:
        how = "without" if anonymous else "with"
        raise InputError(f"--workdir={workdir} holds a run {how} --anonymous; continue it {how} that flag. {remedy}")
    before = loading.load_config(str(path))
    differing = differing_fields(before, config)
    if differing:
        raise InputError(f"--workdir={workdir} holds a run of another config: {'; '.join(differing)}. {remedy}")
    start = load_checkpoint(workdir / "checkpoints")
    if start is not None and start.records != records_digest(sets):
        raise InputError(f"--workdir={workdir} holds a run on other records than these. {remedy}")
    if start is not None and start.teacher != teacher:
        raise InputError(f"--workdir={workdir} holds a run with another model as train.teacher. {remedy}")
    if start is not None and start.monitor != monitor:
        raise InputError(
            f"--workdir={workdir} holds a run whose best epoch was chosen by {start.monitor}, not {monitor}; give "
            f"the same --source as then. {remedy}"
        )
    return start


def _is_anonymous(workdir: Path) -> bool:
    """Returns whether a run was started with --anonymous; runs of earlier versions were not."""
    path = workdir / "environment.json"
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("anonymous", False))
    except FileNotFoundError:
        return False
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({error}); train from scratch with --overwrite.") from error


def clear(workdir: Path) -> None:
    """Removes what an earlier run left, if there was one."""
    if not (workdir / "config.json").exists():
        return
    for name in ("checkpoints", "tensorboard", "previews", "model"):
        shutil.rmtree(workdir / name, ignore_errors=True)
    for name in ("history.csv", "curves.png"):
        (workdir / name).unlink(missing_ok=True)


def records_digest(sets: Sequence[RecordSet]) -> str:
    """Returns 16 hexadecimal digits that depend only on the content of all shards, and what is drawn more often."""
    content: list[object] = [
        shard.sha256 for one in sets for split in one.index.splits.values() for shard in split.shards
    ]
    for one in sets:
        aimed = {name: (case.absent, case.hard_negatives) for name, case in one.index.cases.items()}
        content += [(name, *what) for name, what in aimed.items() if any(what)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
