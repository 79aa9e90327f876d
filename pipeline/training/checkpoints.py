"""Checkpoints that a kill at any moment cannot spoil, and the weights of the best epoch.

A checkpoint is one `.npz` file with all that a training is: weights, averages, optimizer, seeds, running metrics, the
state of the callbacks, and where in the stream it is. It is written beside the earlier one; the list `checkpoints.json`
then takes it in by being replaced, and what the list no longer names is removed. NumPy's arrays serve any number of
devices and any backend; Keras' own files are written in place, and hold neither seeds nor callbacks.
"""

import dataclasses
import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from configs import InputError
from pipeline.interruption import StopRequest
from pipeline.training.callbacks.schedules import AveragedWeights
from records import complete_file, write_text

LIST_FILE = "checkpoints.json"
KEPT = 2  # the last, and the one before it should the last be damaged
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A point of a training.

    Attributes:
      epoch: epochs that are over.
      step: steps of the next epoch that were taken.
      ended: whether the training is over.
      records: digest of the records that are trained on.
      monitor: quantity by which the best epoch is chosen.
      callbacks: states by the callbacks' class names.
      arrays: variables by group, such as `arrays["weights"]`.
    """

    epoch: int
    step: int
    ended: bool
    records: str
    monitor: str | None
    callbacks: dict[str, dict]
    arrays: dict[str, list[np.ndarray]]


class Checkpoints(keras.callbacks.Callback):
    """Saves after each epoch and when someone asks for the end; the last of the callbacks.

    Raises:
      StoppedError: someone asked for the end, and all is saved.
      InputError: a weight is no number any more: nothing is saved.
    """

    def __init__(
        self,
        folder: Path,
        *,
        variables: Callable[[], Mapping[str, Sequence[Any]]],
        callbacks: Sequence[keras.callbacks.Callback],
        records: str,
        monitor: str | None,
        epochs: int,
        steps: int,
        request: StopRequest,
        start: Checkpoint | None,
    ):
        """Args:
        folder: of the files.
        variables: returns all that changes, by group; "metrics" is what an epoch has gathered so far.
        callbacks: those before this one.
        records: digest of the records.
        monitor: quantity by which the best epoch is chosen.
        epochs: of the whole training.
        steps: of an epoch.
        request: for the end.
        start: where the training goes on, None at its start.
        """
        super().__init__()
        self.folder, self.variables, self.callbacks, self.records = folder, variables, callbacks, records
        self.monitor = monitor
        self.epochs, self.steps, self.request = epochs, steps, request
        self.last = start
        self._epoch = 0
        self._first_step = start.step if start else 0

    def on_train_begin(self, logs=None):
        # Here and not before: the other callbacks have just set themselves back.
        if self.last is not None:
            for callback in self._resumable():
                callback.restore(self.last.callbacks[type(callback).__name__])

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self.last is not None and self._first_step:
            assign(self.variables()["metrics"], self.last.arrays["metrics"], "metrics")

    def on_train_batch_end(self, batch, logs=None):
        step = self._first_step + batch + 1
        error = self.request.error()
        if error and step < self.steps and not self.model.stop_training:  # else the epoch's end is near, and saves
            self._save(self._epoch, step, ended=False)
            raise error

    def on_epoch_end(self, epoch, logs=None):
        self._first_step = 0
        ended = self.model.stop_training or epoch + 1 == self.epochs
        self._save(epoch + 1, 0, ended=ended)
        error = self.request.error()
        if error and not ended:
            raise error

    def _save(self, epoch: int, step: int, *, ended: bool) -> None:
        for callback in self.callbacks:
            if isinstance(callback, AveragedWeights):
                callback.leave()
        arrays = {
            group: [keras.ops.convert_to_numpy(value) for value in values] for group, values in self.variables().items()
        }
        if not all(np.all(np.isfinite(value)) for value in arrays["weights"]):
            raise InputError(
                f"training diverged: a weight is no number after step {step or self.steps} of epoch "
                f"{epoch + (step > 0)}. The last good checkpoint is kept; lower train.learning_rate or set "
                "train.global_clipnorm, and start in another --workdir or with --overwrite."
            )
        states = {type(callback).__name__: callback.state() for callback in self._resumable()}
        self.last = Checkpoint(epoch, step, ended, self.records, self.monitor, states, arrays)
        save_checkpoint(self.folder, self.last)

    def _resumable(self) -> list[Any]:
        return [callback for callback in self.callbacks if hasattr(callback, "restore")]


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch whose monitored quantity is best; of the last one where there is none.

    A file an epoch, so that the best of a checkpoint are there when a training goes on from it.
    """

    def __init__(self, folder: Path, monitor: str | None):
        super().__init__()
        self.folder, self.monitor = folder, monitor
        self.best: float | None = None
        self.epoch = 0

    @property
    def path(self) -> Path:
        return self.folder / best_file(self.epoch)

    def on_epoch_end(self, epoch, logs=None):
        value = logs.get(self.monitor)
        if self.monitor is not None and (value is None or not is_better(value, self.best, self.monitor)):
            return
        self.best, self.epoch = value, epoch + 1
        save_arrays(self.path, {"weights": self.model.get_weights()}, {})

    def load(self) -> None:
        """Gives the model the best weights."""
        arrays, _ = load_arrays(self.path)
        assign(self.model.weights, arrays["weights"], "weights")

    def state(self) -> dict:
        return {"best": self.best, "epoch": self.epoch}

    def restore(self, state: dict) -> None:
        self.best, self.epoch = state["best"], state["epoch"]


def best_file(epoch: int) -> str:
    """Returns the name of the file with the weights of an epoch."""
    return f"best_{epoch:04d}.npz"


def is_better(value: float, best: float | None, monitor: str) -> bool:
    """Tells whether a value of the monitored quantity is the best so far: losses are to fall, all else to rise."""
    return best is None or (value < best if monitor_mode(monitor) == "min" else value > best)


def monitor_mode(monitor: str) -> str:
    """Returns Keras' word for where a quantity is to go, "min" or "max"."""
    return "min" if monitor.endswith("loss") else "max"


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; only when it is complete does the list take it in, and older ones go."""
    name = f"epoch_{checkpoint.epoch:04d}_{checkpoint.step:06d}.npz"
    words = {field.name: getattr(checkpoint, field.name) for field in dataclasses.fields(Checkpoint)}
    arrays = words.pop("arrays")
    save_arrays(folder / name, arrays, words)
    best = best_file(checkpoint.callbacks["BestWeights"]["epoch"])
    entries = [{"checkpoint": name, "best": best}]
    entries += [entry for entry in _read_list(folder) if entry["checkpoint"] != name][: KEPT - 1]
    write_text(folder / LIST_FILE, json.dumps(entries, indent=2) + "\n")
    named = {file for entry in entries for file in entry.values()} | {LIST_FILE}
    for file in folder.iterdir():
        if file.name not in named:
            file.unlink()


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the last checkpoint of a folder that can be read, None where there is none.

    Raises:
      InputError: there are some, but none can be read.
    """
    entries = _read_list(folder)
    faults = []
    for entry in entries:
        path = folder / entry["checkpoint"]
        try:
            arrays, words = load_arrays(path)
            if words["callbacks"]["BestWeights"]["epoch"]:
                load_arrays(folder / entry["best"])
            return Checkpoint(**words, arrays=arrays)
        except DAMAGE as error:
            faults.append(f"{path} ({type(error).__name__}: {error})")
            print(f"damaged, so the one before is taken: {faults[-1]}", file=sys.stderr)
    if faults:
        raise InputError(f"no checkpoint can be read: {'; '.join(faults)}. Start anew with --overwrite.")
    return None


def save_arrays(path: Path, arrays: Mapping[str, Sequence[np.ndarray]], words: Mapping[str, Any]) -> None:
    """Writes groups of arrays, and what JSON can hold, as one file, whole or not at all."""
    named = {f"{group}/{number:05d}": array for group, values in arrays.items() for number, array in enumerate(values)}
    with complete_file(path) as temporary:
        named |= {"words": np.array(json.dumps(dict(words))), "groups": np.array(json.dumps(list(arrays)))}
        np.savez(temporary, allow_pickle=False, **named)


def load_arrays(path: Path) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]]:
    """Returns what `save_arrays` wrote; the file's checksums are held."""
    with np.load(path, allow_pickle=False) as file:
        words = json.loads(str(file["words"]))
        arrays: dict[str, list[np.ndarray]] = {group: [] for group in json.loads(str(file["groups"]))}
        for name in sorted(set(file.files) - {"words", "groups"}):
            arrays[name.split("/")[0]].append(file[name])
    return arrays, words


def assign(variables: Sequence[Any], values: Sequence[np.ndarray], group: str) -> None:
    """Sets variables.

    Raises:
      InputError: other numbers or shapes: the checkpoint is another software version's.
    """
    shapes, found = ([tuple(one.shape) for one in side] for side in (variables, values))
    if shapes != found:
        raise InputError(
            f"the checkpoint's {group} are not this network's ({len(found)} arrays, {len(shapes)} expected, or other "
            "shapes): it was written by another version of this software. Start anew with --overwrite."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _read_list(folder: Path) -> list[dict[str, str]]:
    path = folder / LIST_FILE
    if not path.exists():
        return []
    try:
        return [{"checkpoint": entry["checkpoint"], "best": entry["best"]} for entry in json.loads(path.read_text())]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); start anew with --overwrite.") from error
