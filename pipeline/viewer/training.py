"""Training on: fine-tunes the model of the page on corrected photographs, in child processes that another one runs."""

import csv
import dataclasses
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from configs import Config, DataConfig, InputError
from pipeline.evaluation import read_result
from pipeline.inference import SegmenterSpec
from pipeline.interruption import StoppedError
from pipeline.planning import AFTER, BEFORE, COMPARED, CONFIG, RUN, Stage, fine_tuning_config, fine_tuning_stages
from pipeline.viewer.corrections import Corrections
from pipeline.viewer.model import ViewedModel
from pipeline.viewer.training_set import FEWEST, TrainingSet, write_training_set
from records import TRAININGS, disk_error, write_text

State = Literal["running", "stopped", "failed", "done"]
LOG, STATE = "log.txt", "training.json"
SCORES = ("aupr", "dice")
CURVES = ("loss", "val_loss", "val_photo_aupr", "val_photo_dice")  # columns of history.csv that the page draws
MOST_MINUTES = 24 * 60


class StageRunner(Protocol):
    """Runs stages as commands."""

    def run(self, stages: Sequence[Stage], log: Path, began: Callable[[int], None]) -> int:
        """Runs the stages that are not finished, and returns the exit code, 0 if all are done.

        Args:
          stages: the stages, in order.
          log: file to which they add what they print.
          began: is told the number of each stage, from 0, that begins.

        Raises:
          StoppedError: it was stopped.
        """
        ...

    def stop(self) -> None:
        """Asks the stage that is running to save its work and to end; again: to end at once. Takes no lock."""
        ...


@dataclasses.dataclass(frozen=True)
class TrainOn:
    """What training on needs beside the corrections.

    Attributes:
      runner: makes what runs the stages of one training.
      config_of: returns the config that a model was trained with, or raises an InputError that says why a model cannot
        be trained on.
      open_model: describes the model of a folder.
    """

    runner: Callable[[], StageRunner]
    config_of: Callable[[ViewedModel], Config]
    open_model: Callable[[Path], ViewedModel]


@dataclasses.dataclass
class _Training:
    """One training: its folder, the model that it starts from, its stages, and how far it is."""

    workdir: Path
    model: ViewedModel
    minutes: float
    stages: list[Stage] = dataclasses.field(default_factory=list)
    chosen: TrainingSet | None = None
    state: State = "running"
    is_stopping: bool = False
    stage: int = -1
    message: str = ""
    began: float = 0.0  # of the stage
    before: float = 0.0  # seconds of a training that was stopped


class Training:
    """The trainings of a page, one at a time, each in a folder of its own: OUTPUT/trainings/NUMBER."""

    def __init__(self, train_on: TrainOn, corrections: Corrections | None, *, now: Callable[[], ViewedModel]):
        """Describes them.

        Args:
          train_on: what they need.
          corrections: where the photographs are; None: nothing can be corrected.
          now: returns the model of the page.
        """
        self.train_on, self._corrections, self._now = train_on, corrections, now
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._runner: StageRunner | None = None
        self._training = self._last()
        self._is_closed = False

    def usable(self) -> int:
        """Returns the number of photographs that a training would use.

        Raises:
          InputError: no training can begin, and why not.
        """
        if self._corrections is None:
            raise InputError("Start the command with --output=FOLDER to correct photographs and to train on them.")
        self.train_on.config_of(self._now())
        usable = len(self._corrections.usable())
        if usable < FEWEST:
            raise InputError(
                f"Correct at least {FEWEST} photographs first, and say which classes are complete in them; so far, "
                f"{usable} are."
            )
        return usable

    def start(self, minutes: float) -> None:
        """Begins a training.

        Args:
          minutes: how long it trains.

        Raises:
          InputError: it cannot begin, or another one is running.
        """
        if not 0 < minutes <= MOST_MINUTES:
            raise InputError(f"minutes: expected a number above 0 and at most {MOST_MINUTES}.")
        with self._changing:
            self._refuse_running()
            self.usable()
            assert self._corrections is not None
            self._training = _Training(_free(self._corrections.output / TRAININGS), self._now(), minutes)
            self._begin(self._training)

    def go_on(self) -> None:
        """Continues the training that was stopped, or that failed.

        Raises:
          InputError: there is none.
        """
        with self._changing:
            self._refuse_running()
            training = self._training
            if training is None or training.state not in ("stopped", "failed"):
                raise InputError("There is no training to continue.")
            training.state, training.is_stopping, training.message = "running", False, ""
            self._begin(training)

    def stop(self, *, at_once: bool = False) -> None:
        """Asks the training to save its work and to end; takes no lock, so that signal handlers may call it.

        Args:
          at_once: if it was asked already, end it without saving.
        """
        training, runner = self._training, self._runner
        if training is None or runner is None:
            return
        if training.state == "running" and (at_once or not training.is_stopping):
            training.is_stopping = True
            runner.stop()

    def close(self) -> None:
        """Stops the training, waits for its end, and lets none begin."""
        with self._changing:
            self._is_closed = True
        self.stop()
        self.join()

    def join(self) -> None:
        """Waits until no training is running."""
        if self._thread is not None:
            self._thread.join()

    def trained_model(self) -> ViewedModel:
        """Returns the model that the training has made.

        Raises:
          InputError: it has made none.
        """
        training = self._training
        if training is None or training.state != "done":
            raise InputError("There is no new model.")
        return self.train_on.open_model(training.workdir / RUN / "model")

    def first_model(self) -> ViewedModel:
        """Returns the model that the training started from.

        Raises:
          InputError: there was no training.
        """
        if self._training is None:
            raise InputError("There is no other model.")
        return self._training.model

    def brief(self) -> dict[str, Any]:
        """Returns how far it is, in few words."""
        training = self._training
        if training is None:
            return {"state": "idle"}
        return {
            "state": "stopping" if training.is_stopping and training.state == "running" else training.state,
            "folder": str(training.workdir),
            "stage": training.stage,
            "stages": [stage.command for stage in training.stages],
            "minutes": training.minutes,
            "minutes_left": _minutes_left(training),
            "epochs": len(_history(training.workdir)),
        }

    def whole(self) -> dict[str, Any]:
        """Returns what the page shows of the training: its stages, curves, minutes left and scores."""
        training, brief = self._training, self.brief()
        try:
            brief |= {"usable": self.usable(), "why_not": ""}
        except InputError as error:
            brief |= {"usable": 0, "why_not": str(error)}
        if training is None:
            return brief
        done = training.state == "done"
        return brief | {
            "message": training.message,
            "chosen": None if training.chosen is None else dataclasses.asdict(training.chosen),
            "curves": _curves(_history(training.workdir)),
            "commands": [stage.line for stage in training.stages],
            "model": str(training.workdir / RUN / "model") if done else None,
            "scores": _scores(training.workdir) if done else None,
            "seen": _seen(training.workdir / BEFORE, training.model.spec) if done else [],
            "report": str(training.workdir / AFTER / "report.html") if done else None,
            "uses_new": self._now().folders == (training.workdir / RUN / "model",),
        }

    def _last(self) -> _Training | None:
        """Returns the last training of an earlier start of the command, to be shown or continued; None without one."""
        if self._corrections is None:
            return None
        folder = self._corrections.output / TRAININGS
        workdir = folder / str(max(_numbers(folder), default=0))
        try:
            content = json.loads((workdir / STATE).read_text(encoding="utf-8"))
            training = _Training(
                workdir,
                self.train_on.open_model(Path(content["model"])),
                content["minutes"],
                chosen=TrainingSet(**content["chosen"]),
                before=content["seconds"],
            )
        except (InputError, OSError, ValueError, KeyError, TypeError):
            return None  # none was begun, its model is not there any more, or the file is not ours
        if training.model.spec.classes != self._now().spec.classes:
            return None
        training.stages = _stages(training)
        training.state = "done" if all(stage.is_finished for stage in training.stages) else "stopped"
        return training

    def _refuse_running(self) -> None:
        if self._is_closed:
            raise InputError("The command that serves this page is ending.")
        if self._thread is not None and self._thread.is_alive():
            raise InputError("A training is running already; wait for its end, or stop it.")

    def _begin(self, training: _Training) -> None:
        self._runner = self.train_on.runner()
        self._thread = threading.Thread(target=self._run, args=(training, self._runner), name="training on")
        self._thread.start()

    def _run(self, training: _Training, runner: StageRunner) -> None:
        try:
            if not training.stages:
                training.chosen = self._prepare(training)
                _note(training)
                training.stages = _stages(training)

            def began(number: int) -> None:
                training.stage, training.began = number, time.monotonic()

            code = runner.run(training.stages, training.workdir / LOG, began)
            training.message = "" if code == 0 else _last_error(training.workdir / LOG)
            training.state = "done" if code == 0 else "failed"
        except StoppedError:
            training.before += time.monotonic() - training.began if training.stage == _train_stage(training) else 0
            _note(training)
            training.state = "stopped"
        except (InputError, OSError) as error:
            known = disk_error(error)
            training.message = str(error) if known is None else f"{known.reason}; {known.remedy}."
            training.state = "failed"
        except Exception as error:
            training.message, training.state = f"{type(error).__name__}: {error}", "failed"
            logging.getLogger(__name__).exception("training on")

    def _prepare(self, training: _Training) -> TrainingSet:
        """Writes the sources and the config, and returns how many photographs there are for what."""
        assert self._corrections is not None
        model, workdir = training.model, training.workdir
        config = self.train_on.config_of(model)
        data = DataConfig(classes=model.spec.classes, max_pixels=model.spec.max_pixels)
        chosen = write_training_set(self._corrections, workdir, data)
        config = fine_tuning_config(config, model.spec, validating=chosen.validation)
        write_text(workdir / CONFIG, config.to_json())
        return chosen


def _note(training: _Training) -> None:
    """Writes what a later start of the command needs to show the training, or to continue it."""
    assert training.chosen is not None
    content = {
        "model": str(training.model.folders[0].resolve()),
        "minutes": training.minutes,
        "seconds": training.before,
        "chosen": dataclasses.asdict(training.chosen),
    }
    write_text(training.workdir / STATE, json.dumps(content, indent=2) + "\n")


def _free(folder: Path) -> Path:
    """Returns the folder of the next training."""
    return folder / str(max(_numbers(folder), default=0) + 1)


def _numbers(folder: Path) -> list[int]:
    return [int(one.name) for one in folder.glob("*/") if one.name.isdecimal()]


def _stages(training: _Training) -> list[Stage]:
    """Returns the stages; the model's path is absolute, as a later start may be in another directory."""
    return fine_tuning_stages(training.workdir, training.model.folders[0].resolve(), minutes=training.minutes)


def _train_stage(training: _Training) -> int:
    return next((number for number, stage in enumerate(training.stages) if stage.command == "train"), -1)


def _minutes_left(training: _Training) -> float | None:
    """Returns for how many minutes it will still train; None once it has."""
    place = _train_stage(training)
    if training.state != "running" or (place >= 0 and training.stage > place):
        return None
    spent = training.before + (time.monotonic() - training.began if training.stage == place >= 0 else 0)
    return round(max(training.minutes - spent / 60, 0), 2)


def _history(workdir: Path) -> list[Mapping[str, str]]:
    """Returns the rows of the training's `history.csv`; none before its first epoch."""
    try:
        with open(workdir / RUN / "history.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def _curves(rows: Sequence[Mapping[str, str]]) -> dict[str, list[float | None]]:
    """Returns the columns that the page draws; None where an epoch has no value."""
    there = [name for name in CURVES if any(row.get(name) for row in rows)]
    return {name: [float(row[name]) if row.get(name) else None for row in rows] for name in there}


def _scores(workdir: Path) -> dict[str, dict[str, list[float | None]]]:
    """Returns scores of each class before and after, pooled over the photographs that were kept apart."""
    content = json.loads((workdir / COMPARED / "compare.json").read_text(encoding="utf-8"))
    pooled = content["pooled"]["frame"]
    return {
        name: {key: [of_class[key]["one"], of_class[key]["other"]] for key in SCORES}
        for name, of_class in pooled.items()
    }


def _seen(folder: Path, spec: SegmenterSpec) -> list[str]:
    """Returns the photographs of an evaluation that a model has been trained on."""
    scored = read_result(folder).identities
    known = spec.recognizing([one.case for one in scored], [one.sha256 for one in scored]).seen
    return sorted({pair.one for pair in known.find(scored)})


def _last_error(log: Path) -> str:
    """Returns the last line of a log that says what was wrong."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith(("error: ", "left out: "))]
    return errors[-1] if errors else f"A command failed; see {log}."
