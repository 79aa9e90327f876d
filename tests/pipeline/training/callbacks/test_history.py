"""Output for each epoch: history, curves, the line in a log, and the warning about long epochs."""

import csv
import json
import re

import cv2
import keras
import numpy as np
import pytest

from pipeline.training.callbacks import EpochLine, HistoryFiles, PaddedValidationLoss, history
from pipeline.training.callbacks.curves import draw_curves


class Logs(keras.callbacks.Callback):
    """Adds values to the logs of the callbacks after it; those of an epoch are `values[epoch]`."""

    def __init__(self, *values: dict[str, float]):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs |= self.values[epoch]


class Rates(keras.callbacks.Callback):
    """Makes the learning rate 0.01 times the number of the step."""

    step = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.step += 1
        self.model.optimizer.learning_rate = 0.01 * self.step


@pytest.fixture(scope="module")
def fit():
    """Fits a line to noise, three steps per epoch, starting at any epoch."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    x, y = np.random.default_rng(0).normal(size=(2, 6, 2))

    def run(*chosen: keras.callbacks.Callback, epochs: int, first: int = 0):
        sums = y.sum(axis=1)
        return model.fit(
            x,
            sums,
            batch_size=2,
            validation_data=(x, sums),
            epochs=epochs,
            initial_epoch=first,
            callbacks=list(chosen),
            verbose=0,
        )

    return run


@pytest.fixture
def clock(monkeypatch):
    """Lets a test set the time."""

    class Clock:
        seconds = 1000.0

        def monotonic(self) -> float:
            return self.seconds

    one = Clock()
    monkeypatch.setattr(history, "time", one)
    return one


def read_history(workdir) -> list[dict[str, str]]:
    with open(workdir / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_history_has_what_keras_has_and_blank_cells_where_a_quantity_is_missing(fit, tmp_path):
    photographs = Logs({}, {"val_photo_aupr": 0.25}, {}, {"val_photo_aupr": 0.5, "val_photo_dice": 0.75})
    seen = fit(photographs, HistoryFiles(tmp_path), epochs=4).history
    rows = read_history(tmp_path)
    assert list(rows[0]) == [
        *("epoch", "loss", "val_loss", "learning_rate", "seconds", "val_photo_aupr", "val_photo_dice")
    ]
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    for name in ("loss", "val_loss"):
        assert [float(row[name]) for row in rows] == seen[name]
    assert [row["val_photo_aupr"] for row in rows] == ["", "0.25", "", "0.5"]
    assert [row["val_photo_dice"] for row in rows] == ["", "", "", "0.75"]
    assert all(0 < float(row["seconds"]) < 60 for row in rows)
    assert cv2.imread(str(tmp_path / "curves.png")) is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "history.csv"]


def test_the_learning_rate_is_that_of_the_last_step(fit, tmp_path):
    fit(Rates(), HistoryFiles(tmp_path), epochs=3)
    assert [float(row["learning_rate"]) for row in read_history(tmp_path)] == pytest.approx([0.03, 0.06, 0.09])


# Keras 3.15.1 warns of itself where its callback reads the learning rate.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_the_learning_rate_is_the_one_before_a_plateau_reduced_it_and_has_one_column(fit, tmp_path, capsys):
    reduce = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=1e9)
    fit(Rates(), reduce, HistoryFiles(tmp_path), EpochLine(3, 3, 1, quiet=False), epochs=3)
    rates = [0.03, 0.06, 0.09]
    assert reduce.wait == 0  # it has reduced in the last epoch, too
    assert float(reduce.model.optimizer.learning_rate) == pytest.approx(0.045)
    assert [float(row["learning_rate"]) for row in read_history(tmp_path)] == pytest.approx(rates)
    assert list(read_history(tmp_path)[0]).count("learning_rate") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [re.findall("learning_rate (.*?),", line) for line in lines] == [[f"{rate:.2e}"] for rate in rates]


@pytest.mark.slow
def test_a_resumed_history_has_the_earlier_rows(fit, tmp_path):
    values = [{}, {"val_photo_aupr": 0.25}, {}, {}]
    before = HistoryFiles(tmp_path)
    fit(Logs(*values), before, epochs=2)
    earlier = read_history(tmp_path)
    state = json.loads(json.dumps(before.state()))
    after = HistoryFiles(tmp_path)
    after.restore(state)
    fit(Logs(*values), after, epochs=4, first=2)
    assert read_history(tmp_path)[:2] == earlier
    assert [row["epoch"] for row in read_history(tmp_path)] == ["1", "2", "3", "4"]
    assert len(state["rows"]) == 2  # what was restored from is not changed


def test_a_history_resumed_after_its_first_epoch_forgets_a_second_one_that_was_not_saved(fit, tmp_path):
    before = HistoryFiles(tmp_path)
    fit(before, epochs=1)
    state = json.loads(json.dumps(before.state()))
    fit(before, epochs=2, first=1)
    after = HistoryFiles(tmp_path)
    after.restore(state)
    fit(after, epochs=2, first=1)
    assert [row["epoch"] for row in read_history(tmp_path)] == ["1", "2"]


def test_the_weighted_loss_replaces_the_padded_one_in_the_history(fit, tmp_path):
    logs = Logs({"bce": 0.1, "val_bce": 0.2})
    fit(logs, PaddedValidationLoss("bce"), HistoryFiles(tmp_path), epochs=1)
    (row,) = read_history(tmp_path)
    assert float(row["val_loss"]) == 0.2
    assert not {"bce", "val_bce"} & set(row)


def history_of(epochs: int, **columns) -> list[dict[str, float]]:
    """Rows in which a column is a number, or a function of the epoch that may return None for a blank cell."""
    rows = []
    for epoch in range(1, epochs + 1):
        values = {name: value(epoch) if callable(value) else value for name, value in columns.items()}
        given = {name: value for name, value in values.items() if value is not None}
        rows.append({"epoch": epoch, **given, "learning_rate": 1e-3, "seconds": 9.0})
    return rows


def panels_of(rows) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """The points of the lines by their labels, by the panels' titles."""
    return {
        axes.get_title(): {
            line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()
        }
        for axes in draw_curves(rows).axes
    }


def test_each_quantity_has_a_panel_with_training_and_validation_the_loss_first_the_rate_last():
    rows = history_of(2, dice_coef=0.5, loss=lambda epoch: 1 / epoch, val_dice_coef=0.4, val_loss=2.0)
    panels = panels_of(rows)
    assert list(panels) == ["loss", "dice_coef", "learning_rate"]
    assert panels["loss"] == {"training": ([1, 2], [1.0, 0.5]), "validation": ([1, 2], [2.0, 2.0])}
    assert panels["dice_coef"] == {"training": ([1, 2], [0.5, 0.5]), "validation": ([1, 2], [0.4, 0.4])}
    assert list(panels["learning_rate"].values()) == [([1, 2], [1e-3, 1e-3])]


def test_without_validation_only_training_is_drawn():
    assert list(panels_of(history_of(1, loss=1.0))["loss"]) == ["training"]


def test_scores_of_photographs_share_a_panel_and_are_drawn_at_the_epochs_that_have_them():
    every_third = lambda epoch: epoch / 10 if epoch % 3 == 0 else None  # noqa: E731
    rows = history_of(7, loss=1.0, val_photo_aupr=every_third, val_photo_dice=every_third)
    panels = panels_of(rows)
    assert list(panels) == ["loss", "whole photographs", "learning_rate"]
    assert panels["whole photographs"] == dict.fromkeys(("aupr", "dice"), ([3, 6], [0.3, 0.6]))


def test_many_scores_of_photographs_have_a_panel_per_kind():
    names = [f"val_photo_{kind}{name}" for kind in ("aupr", "dice") for name in ("", "_HE", "_MA")]
    panels = panels_of(history_of(1, loss=1.0, **dict.fromkeys(names, 0.5)))
    assert list(panels) == ["loss", "whole photographs: aupr", "whole photographs: dice", "learning_rate"]
    assert list(panels["whole photographs: dice"]) == ["dice", "dice_HE", "dice_MA"]


@pytest.mark.parametrize(
    ("rates", "scale"),
    [((1e-3, 2e-4), "linear"), ((1e-3, 1e-3), "linear"), ((1e-3, 9e-5), "log"), ((1e-3, 1e-5, 0.0), "log")],
)
def test_a_learning_rate_that_spans_more_than_a_decade_is_drawn_on_a_log_scale(rates, scale):
    rows = [{"epoch": epoch, "loss": 1.0, "learning_rate": rate, "seconds": 1.0} for epoch, rate in enumerate(rates, 1)]
    *others, last = draw_curves(rows).axes
    assert last.get_yscale() == scale
    assert all(axes.get_yscale() == "linear" for axes in others)


def test_no_row_has_more_than_four_panels_and_all_fit_into_the_figure(tmp_path):
    names = [name for index in range(7) for name in (f"dice_coef_{index}", f"val_dice_coef_{index}")]
    figure = draw_curves(history_of(70, loss=1.0, **dict.fromkeys(names, 0.5)))
    figure.savefig(tmp_path / "curves.png")
    assert len(figure.axes) == 9
    width, height = figure.canvas.get_width_height()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    tops = [round(axes.get_position().y1, 3) for axes in figure.axes]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == [4, 4, 1]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)
    assert not any(
        one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place]
    )  # titles and labels included


def test_a_log_has_one_line_per_epoch(fit, capsys):
    metrics = {"val_dice_coef": 0.41234567, "dice_coef": 0.51234567, "learning_rate": 1.93e-3}
    seen = fit(Logs({}, {}, metrics), EpochLine(40, 3, 15, quiet=False), epochs=3, first=2).history
    (line,) = capsys.readouterr().out.splitlines()
    loss, validation = f"{seen['loss'][0]:.4g}", f"{seen['val_loss'][0]:.4g}"
    expected = (
        f"epoch 3/40: loss {loss}, dice_coef 0.5123, val_loss {validation}, val_dice_coef 0.4123, "
        "learning_rate 1.93e-03, "
    )
    assert line.startswith(expected)
    assert re.fullmatch(r"\d+\.\d s", line.removeprefix(expected))


def epoch_of(line: EpochLine, clock, *, tracing: float, step: float, steps: int, validation: float) -> None:
    """Runs the callback through an epoch that takes the given seconds."""
    line.on_epoch_begin(0)
    clock.seconds += tracing
    for batch in range(steps):
        clock.seconds += step
        line.on_train_batch_end(batch)
    clock.seconds += validation
    line.on_epoch_end(0, {"learning_rate": 0.1})


@pytest.mark.parametrize("steps", [100, 60])  # all of an epoch, and what is left of one that was begun earlier
def test_a_long_epoch_is_warned_about_once_with_the_number_of_steps_that_fit(steps, clock, capsys):
    line = EpochLine(9, 100, 15, quiet=True)
    timing = {"tracing": 300, "step": 12, "steps": steps, "validation": 180}
    epoch_of(line, clock, **timing)
    # 100 steps of 12 s and 3 minutes of validation; 12 minutes of steps are 60.
    assert capsys.readouterr().out == (
        "warning: an epoch takes 23.0 minutes, which are lost if the machine fails; "
        "--config.train.steps_per_epoch=60 saves the training every 15 minutes.\n"
    )
    epoch_of(line, clock, **timing)
    assert capsys.readouterr().out == ""


def test_an_epoch_that_follows_the_advice_causes_no_warning(clock, capsys):
    epoch_of(EpochLine(9, 60, 15, quiet=True), clock, tracing=300, step=12, steps=60, validation=180)
    assert capsys.readouterr().out == ""


def test_a_validation_that_is_too_long_by_itself_is_named_as_such(clock, capsys):
    epoch_of(EpochLine(9, 10, 15, quiet=True), clock, tracing=0, step=12, steps=10, validation=960)
    assert capsys.readouterr().out == (
        "warning: an epoch takes 18.0 minutes, which are lost if the machine fails; 16.0 of them are "
        "validation: see train.validation_steps and train.photographs_every.\n"
    )


def test_an_epoch_of_one_step_is_measured_from_its_beginning(clock, capsys):
    epoch_of(EpochLine(9, 1, 0.1, quiet=True), clock, tracing=0, step=60, steps=1, validation=0)
    assert "an epoch takes 1.0 minutes" in capsys.readouterr().out


def test_the_seconds_of_a_line_are_those_of_the_whole_epoch(clock, capsys):
    epoch_of(EpochLine(1, 2, 15, quiet=False), clock, tracing=30, step=10, steps=2, validation=25.2)
    assert capsys.readouterr().out == "epoch 1/1: , learning_rate 1.00e-01, 75.2 s\n"
