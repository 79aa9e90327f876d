"""Training on: which photographs it learns from, one training at a time, its end, and the exchange of the model."""

import csv
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from configs import DataConfig, InputError
from pipeline.interruption import StoppedError
from pipeline.planning import Stage
from pipeline.viewer import Corrections
from pipeline.viewer.corrections import Drawn
from pipeline.viewer.library import Library, Viewed
from pipeline.viewer.training import Training
from pipeline.viewer.training_set import FEWEST, write_training_set
from records import find_cases

CLASSES = ("HE", "MA")
DATA = DataConfig(classes=CLASSES)
SIZE = (64, 80)


class Waiting:
    """Stages that run until they are let go or stopped, and leave a history as training does."""

    def __init__(self, code: int = 0):
        self.code, self.let_go, self.is_stopped = code, threading.Event(), False
        self.stages: Sequence[Stage] = ()

    def run(self, stages: Sequence[Stage], log: Path, began: Callable[[int], None]) -> int:
        self.stages = stages
        run = log.parent / "run"
        run.mkdir(exist_ok=True)
        (run / "history.csv").write_text("epoch,loss,val_photo_aupr\n1,0.5,\n2,0.25,0.75\n")
        log.write_text("error: no memory.\nTraceback\n")
        began(2)
        self.let_go.wait(20)
        if self.is_stopped:
            raise StoppedError("train, which was stopped", 130)
        return self.code

    def stop(self) -> None:
        self.is_stopped = True
        self.let_go.set()


@pytest.fixture
def corrections(tmp_path) -> Corrections:
    (tmp_path / "out").mkdir()
    return Corrections(tmp_path / "out", CLASSES, max_pixels=10**6, model="f" * 16)


@pytest.fixture
def training(corrections, train_on, described, model_folder) -> Callable[..., Training]:
    """Makes the trainings of a page, whose stages run as a runner says."""
    model = described(model_folder)
    return lambda runner: Training(train_on(lambda: runner), corrections, now=lambda: model)


def splits(corrections: Corrections) -> dict[str, str]:
    with open(corrections.output / "trainings" / "splits.csv", newline="") as file:
        return {row["case"]: row["split"] for row in csv.DictReader(file)}


def test_what_is_kept_apart_is_never_learnt_from_and_stays_so(corrections, correct):
    correct(corrections, 1, 8)
    first = write_training_set(corrections, corrections.output / "trainings" / "1", DATA)
    assert dataclasses.astuple(first) == (5, 1, 2)
    before = splits(corrections)
    correct(corrections, 9, 20)
    second = write_training_set(corrections, corrections.output / "trainings" / "2", DATA)
    assert dataclasses.astuple(second) == (13, 3, 4)
    assert splits(corrections).items() >= before.items()
    folder = corrections.output / "trainings" / "2"
    _, learnt = find_cases(folder / "learnt_from", CLASSES)
    _, apart = find_cases(folder / "kept_apart", CLASSES)
    assert {case.name: case.split for case in learnt} | {case.name: "test" for case in apart} == splits(corrections)


def test_a_photograph_that_one_training_leaves_out_keeps_what_it_is_for(corrections, correct):
    correct(corrections, 1, 12)
    write_training_set(corrections, corrections.output / "trainings" / "1", DATA)
    before = splits(corrections)
    name = next(case for case, split in before.items() if split == "train")
    blank = Drawn(np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8), ())
    case = Viewed(0, name, corrections.output / "images" / f"{name}.png")
    corrections.save(case, blank, revision=1, by="", levels=np.zeros((2, 4, 6), np.uint8), started_from={})
    write_training_set(corrections, corrections.output / "trainings" / "2", DATA)
    assert splits(corrections) == before
    assert not list((corrections.output / "trainings" / "2").rglob(f"{name}.png"))


def test_what_is_learnt_from_is_what_was_saved_and_what_is_saved_later_changes_nothing(corrections, correct):
    correct(corrections, 1, 5, complete=("HE",))
    folder = corrections.output / "trainings" / "1"
    write_training_set(corrections, folder, DATA)
    lines: list[str] = []
    _, cases = find_cases(folder / "learnt_from", CLASSES, warn=lines.append)
    assert lines == []
    assert all(case.unknown == {"MA"} for case in cases)
    files = {file: file.read_bytes() for case in cases for file in case.files}
    name = cases[0].name
    blank = Drawn(np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8), CLASSES)
    case = Viewed(0, name, corrections.output / "images" / f"{name}.png")
    corrections.save(case, blank, revision=1, by="", levels=np.zeros((2, 4, 6), np.uint8), started_from={})
    assert {file: file.read_bytes() for file in files} == files
    _, all_cases = find_cases(corrections.output, CLASSES, warn=lines.append)  # as a person shards it
    assert len(all_cases) == 5 and not any("trainings" in line for line in lines)


def test_without_enough_photographs_it_says_why_not(corrections, correct, training):
    correct(corrections, 1, FEWEST - 1)
    correct(corrections, 8, 9, complete=())
    trainings = training(Waiting())
    assert trainings.whole()["why_not"].endswith("so far, 4 are.")
    with pytest.raises(InputError, match=f"Correct at least {FEWEST} photographs first"):
        trainings.start(1)
    correct(corrections, 5, 5)
    assert (trainings.usable(), trainings.whole()["why_not"]) == (5, "")
    with pytest.raises(InputError, match="above 0"):
        trainings.start(0)


def test_only_one_runs_at_a_time_and_one_that_was_stopped_goes_on_where_it_was(corrections, correct, training):
    correct(corrections, 1, 6)
    runner = Waiting()
    trainings = training(runner)
    trainings.start(10)
    with pytest.raises(InputError, match="running already"):
        trainings.start(10)
    wait_for(lambda: trainings.brief()["stage"] == 2)
    brief = trainings.brief()
    assert (brief["state"], brief["epochs"], brief["stages"][2]) == ("running", 2, "train")
    assert 9.5 < brief["minutes_left"] <= 10
    whole = trainings.whole()
    assert whole["curves"] == {"loss": [0.5, 0.25], "val_photo_aupr": [None, 0.75]}
    assert json.dumps(whole)
    trainings.stop()
    trainings.join()
    assert trainings.whole()["state"] == "stopped"
    stages = runner.stages
    runner.__init__(code=2)
    runner.let_go.set()
    trainings.go_on()
    trainings.join()
    assert runner.stages == stages
    assert (trainings.whole()["state"], trainings.whole()["message"]) == ("failed", "no memory.")
    with pytest.raises(InputError, match="no new model"):
        trainings.trained_model()
    trainings.close()
    with pytest.raises(InputError, match="is ending"):
        trainings.start(10)


def test_a_later_start_of_the_command_shows_the_last_training_and_continues_it(corrections, correct, training):
    correct(corrections, 1, 6)
    runner = Waiting()
    trainings = training(runner)
    assert trainings.brief() == {"state": "idle"}
    trainings.start(10)
    wait_for(lambda: trainings.brief()["stage"] == 2)
    trainings.stop()
    trainings.join()
    later = training(runner)
    before, after = trainings.whole(), later.whole()
    assert after["state"] == "stopped"
    for key in ("folder", "minutes", "stages", "commands", "chosen", "curves", "epochs"):
        assert after[key] == before[key]
    stages = runner.stages
    runner.__init__()
    runner.let_go.set()
    later.go_on()
    later.join()
    assert runner.stages == stages and later.brief()["state"] == "done"
    for stage in stages:
        stage.product.parent.mkdir(parents=True, exist_ok=True)
        stage.product.touch()
    assert training(runner).brief()["state"] == "done"


@pytest.mark.parametrize("content", ["", "[]", '{"model": "/gone", "minutes": 1, "seconds": 0, "chosen": {}}'])
def test_a_training_that_cannot_be_read_is_not_shown(corrections, correct, training, content):
    correct(corrections, 1, 6)
    folder = corrections.output / "trainings" / "3"
    folder.mkdir(parents=True)
    (folder / "training.json").write_text(content)
    assert training(Waiting()).brief() == {"state": "idle"}


def test_the_end_of_the_page_stops_a_training(serve, ask_at, correct):
    runner = Waiting()
    opened, _, output = serve(runner=lambda: runner)
    with opened as page:
        served = ask_at(page.url)
        for method, path, body, status in (
            ("POST", "training", b'{"minutes": 5}', 409),  # nothing is corrected
            ("POST", "training", b'{"hours": 5}', 400),
            ("PUT", "model", b'{"model": "new"}', 409),
            ("PUT", "model", b'{"model": "/etc"}', 400),
        ):
            assert served.ask(method, f"/api/{path}", body).status == status
        correct(Corrections(output, CLASSES, max_pixels=10**6, model=""), 1, FEWEST)
        assert served.ask("POST", "/api/training", b'{"minutes": 5}').status == 202
        wait_for(lambda: served.ask("GET", "/api/training").json["stage"] == 2)
        page.stop()
    assert runner.is_stopped
    assert not [thread for thread in threading.enumerate() if thread.name == "training on"]


def test_another_model_segments_all_photographs_anew(tmp_path):
    library = Library({name: tmp_path / name for name in "ab"})
    first, second = library.take(), library.take()
    assert library.finish(first, state="ready")
    library.restart()
    assert not library.finish(second, state="ready")  # of the model before
    assert [case.state for case in library.all()] == ["waiting", "waiting"]
    assert library.finish(library.take(), state="ready")
    assert [case.state for case in library.all()] == ["ready", "waiting"]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
