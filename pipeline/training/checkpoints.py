"""Checkpoint files that survive being killed at any moment.

A checkpoint is one `.npz` file with the whole state of a training: weights, averages, optimizer, seeds, running
metrics, the state of the callbacks, and the position in the stream. It is written next to the previous one; then the
list `checkpoints.json` is replaced by one that includes it, and files that are no longer listed are removed. NumPy
arrays work with any number of devices and any backend; Keras' own files are written in place, and hold neither seeds
nor callbacks.
"""

import dataclasses
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from records import complete_file, write_text

LIST_FILE = "checkpoints.json"
BEST_WEIGHTS = "BestWeights"  # the callback whose state says which epoch was best; a key in the files
KEPT = 2  # the last checkpoint, and the one before in case the last one gets damaged
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state of a training at one moment. All fields are stored in the file under their names.

    Attributes:
      epoch: number of finished epochs.
      step: number of finished steps of the next epoch.
      ended: whether the training is finished.
      records: digest of the records that it trains on.
      monitor: the quantity that chooses the best epoch.
      callbacks: states of the callbacks by name, see `pipeline.training.callbacks.saving.Resumable`.
      arrays: variables by group, such as `arrays["weights"]`.
      teacher: fingerprint of `train.teacher`, None without one.
    """

    epoch: int
    step: int
    ended: bool
    records: str
    monitor: str | None
    callbacks: dict[str, dict]
    arrays: dict[str, list[np.ndarray]]
    teacher: str | None = None


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; once it is complete, adds it to the list and removes older files."""
    name = f"epoch_{checkpoint.epoch:04d}_{checkpoint.step:06d}.npz"
    metadata = {field.name: getattr(checkpoint, field.name) for field in dataclasses.fields(Checkpoint)}
    arrays = metadata.pop("arrays")
    save_arrays(folder / name, arrays, metadata)
    entries = [{"checkpoint": name, "best": best_file(checkpoint.callbacks[BEST_WEIGHTS]["epoch"])}]
    entries += [entry for entry in _read_list(folder) if entry["checkpoint"] != name][: KEPT - 1]
    write_text(folder / LIST_FILE, json.dumps(entries, indent=2) + "\n")
    listed = {file for entry in entries for file in entry.values()} | {LIST_FILE}
    for file in folder.iterdir():
        if file.name not in listed:
            file.unlink()


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the last readable checkpoint of a folder, or None if there is no checkpoint.

    Raises:
      InputError: there are checkpoints, but none can be read.
    """
    faults = []
    for entry in _read_list(folder):
        path = folder / entry["checkpoint"]
        try:
            arrays, metadata = load_arrays(path)
            if metadata["callbacks"][BEST_WEIGHTS]["epoch"]:
                load_arrays(folder / entry["best"])
            return Checkpoint(**metadata, arrays=arrays)
        except DAMAGE as error:
            faults.append(f"{path} ({type(error).__name__}: {error})")
            print(f"warning: damaged checkpoint {faults[-1]}; trying the one before.", file=sys.stderr)
    if faults:
        raise InputError(f"no checkpoint can be read: {'; '.join(faults)}. Train from scratch with --overwrite.")
    return None


def best_file(epoch: int) -> str:
    """Returns the name of the file with the weights of an epoch."""
    return f"best_{epoch:04d}.npz"


def save_arrays(path: Path, arrays: Mapping[str, Sequence[np.ndarray]], metadata: Mapping[str, Any]) -> None:
    """Writes groups of arrays and JSON metadata into one file, completely or not at all."""
    named = {f"{group}/{number:05d}": array for group, values in arrays.items() for number, array in enumerate(values)}
    with complete_file(path) as temporary:
        named |= {"words": np.array(json.dumps(dict(metadata))), "groups": np.array(json.dumps(list(arrays)))}
        np.savez(temporary, allow_pickle=False, **named)


def load_arrays(path: Path) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]]:
    """Returns the arrays and metadata that `save_arrays` wrote, and verifies the file's checksums."""
    with np.load(path, allow_pickle=False) as file:
        metadata = json.loads(str(file["words"]))
        arrays: dict[str, list[np.ndarray]] = {group: [] for group in json.loads(str(file["groups"]))}
        for name in sorted(set(file.files) - {"words", "groups"}):
            arrays[name.split("/")[0]].append(file[name])
    return arrays, metadata


def assign(variables: Sequence[Any], values: Sequence[np.ndarray], group: str) -> None:
    """Sets variables to the values of a checkpoint.

    Raises:
      InputError: their number or shapes differ, as in a checkpoint of another version of this software.
    """
    expected, found = ([tuple(one.shape) for one in side] for side in (variables, values))
    if expected != found:
        raise InputError(
            f"the checkpoint's {group} do not fit this network ({len(found)} arrays, {len(expected)} expected, or "
            "other shapes): it was written by another version of this software. Train from scratch with --overwrite."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _read_list(folder: Path) -> list[dict[str, str]]:
    path = folder / LIST_FILE
    if not path.exists():
        return []
    try:
        return [
            {"checkpoint": entry["checkpoint"], "best": entry["best"]}
            for entry in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); train from scratch with --overwrite.") from error
