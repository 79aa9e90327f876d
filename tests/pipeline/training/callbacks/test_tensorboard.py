"""The files for TensorBoard, read back with its own reader."""

import contextlib
import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from configs import TrainConfig
from models import Network
from pipeline.training.callbacks import HistoryFiles, PreviewCase, Previews
from pipeline.training.callbacks.preview_sheets import read_preview
from pipeline.training.callbacks.tensorboard import TensorBoardWriter, hyperparameters

START, END = "_hparams_/session_start_info", "_hparams_/session_end_info"


class Failing(keras.callbacks.Callback):
    """Fails in the middle of an epoch, or ends the training after it."""

    def __init__(self, epoch: int, *, asks: bool = False):
        super().__init__()
        self.epoch, self.asks = epoch, asks

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch and not self.asks:
            raise RuntimeError("the machine failed")

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.epoch and self.asks


@pytest.fixture(scope="module")
def small(config):
    """A config of three epochs; its tiles have 64 pixels."""
    return dataclasses.replace(config, train=TrainConfig(epochs=3, learning_rate=1e-3, metrics=("dice_coef", "recall")))


@pytest.fixture(scope="module")
def fit(small, network):
    """Fits with history, previews and TensorBoard, starting at any epoch, and returns the history."""
    model = Network.from_config(network.get_config())
    model.compile(keras.optimizers.SGD(0.01), "mse", metrics=["mae"], jit_compile=False)
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    masks = np.zeros((2, 16, 16, 2), np.float32)
    picture = PreviewCase("D", images[0].astype(np.uint8), masks[0] > 0)

    def run(workdir: Path, *others: keras.callbacks.Callback, first: int = 0) -> HistoryFiles:
        history = HistoryFiles(workdir)
        previews = Previews(
            workdir / "previews", [picture], lambda image: masks[0], classes=small.data.classes, thresholds=(0.5, 0.5)
        )
        with contextlib.closing(
            TensorBoardWriter(workdir / "tensorboard", small, model, history=history, previews=workdir / "previews")
        ) as writer:
            model.fit(
                images,
                masks,
                validation_data=(images, masks),
                epochs=small.train.epochs,
                initial_epoch=first,
                callbacks=[*others, history, previews, writer],
                verbose=0,
            )
        return history

    return run


@pytest.fixture(scope="module")
def whole(fit, tmp_path_factory):
    """History and workdir of a training that was not interrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    return fit(workdir), workdir


def read(workdir: Path, run: str = ".") -> EventAccumulator:
    accumulator = EventAccumulator(str(workdir / "tensorboard" / run), size_guidance={"tensors": 0})
    return accumulator.Reload()


def scalars(workdir: Path, run: str) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name."""
    events = read(workdir, run)
    return {
        tag: [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def session(workdir: Path, tag: str) -> plugin_data_pb2.HParamsPluginData:
    content = read(workdir).SummaryMetadata(tag).plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def open_files(folder: Path) -> list[str]:
    links = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    return [str(link.readlink()) for link in links if str(link.readlink()).startswith(str(folder))]


@pytest.mark.slow
def test_scalars_are_the_values_of_the_history_with_epochs_as_steps(whole):
    history, workdir = whole
    train, validation = scalars(workdir, "train"), scalars(workdir, "validation")
    assert set(train) == {"loss", "mae", "learning_rate", "seconds"}
    assert set(validation) == {"loss", "mae"}
    columns = {name: ("train", name) for name in train} | {f"val_{name}": ("validation", name) for name in validation}
    for column, (run, name) in columns.items():
        steps, values = zip(*{"train": train, "validation": validation}[run][name], strict=True)
        assert steps == (1, 2, 3)
        np.testing.assert_array_equal(values, np.float32([row[column] for row in history.rows]))


def test_the_previews_are_there_as_they_were_written(whole):
    _, workdir = whole
    events = read(workdir).Tensors("previews/D")
    assert [event.step for event in events] == [1, 2, 3]
    for event in events:
        width, height, picture = tf.make_ndarray(event.tensor_proto)
        written = read_preview(workdir / "previews" / "D" / f"epoch_{event.step:03d}.png")
        assert (int(height), int(width)) == written.shape[:2]
        assert np.array_equal(tf.io.decode_png(picture), written)


def test_the_graph_is_the_networks_with_its_input(whole, network):
    _, workdir = whole
    graph = read(workdir).Graph()
    names = {part.removesuffix("_1") for node in graph.node for part in node.name.split("/")}
    layers = {layer.name for layer in network.layers if layer.weights}
    assert layers
    assert layers <= names
    (images,) = [node for node in graph.node if node.op == "Placeholder" and node.name == "images"]
    assert [size.size for size in images.attr["shape"].shape.dim] == [-1, 64, 64, 3]


def test_the_hyperparameters_are_the_config_and_the_session_is_marked_as_finished(whole, small):
    _, workdir = whole
    found = {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in session(workdir, START).session_start_info.hparams.items()
    }
    assert found == hyperparameters(small)
    assert found["train.learning_rate"] == 1e-3
    assert found["train.epochs"] == 3
    assert found["train.deterministic"] is False
    assert found["train.loss"] == "bce_dice"
    assert found["train.metrics"] == "dice_coef, recall"
    assert found["data.classes"] == "HE, MA"
    assert "train.max_minutes" not in found  # it is None
    assert session(workdir, END).session_end_info.status == api_pb2.STATUS_SUCCESS


def test_files_are_closed_after_a_failure_and_contain_the_finished_epochs(fit, tmp_path, monkeypatch):
    held, writers = [], []  # writers that no one holds close by themselves, some time
    make = tf.summary.create_file_writer
    monkeypatch.setattr(tf.summary, "create_file_writer", lambda path: writers.append(make(path)) or writers[-1])

    class Looking(Failing):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                held.extend(open_files(tmp_path))
            super().on_epoch_begin(epoch)

    with pytest.raises(RuntimeError, match="the machine failed"):
        fit(tmp_path, Looking(1))
    assert len(held) == len(writers) == 3
    assert open_files(tmp_path) == []
    assert [step for step, _ in scalars(tmp_path, "validation")["loss"]] == [1]
    assert END not in read(tmp_path).Tags()["tensors"]


@pytest.mark.slow
def test_a_resumed_training_adds_to_the_same_runs(fit, tmp_path):
    with pytest.raises(RuntimeError, match="the machine failed"):
        fit(tmp_path, Failing(2))
    before = set((tmp_path / "tensorboard").rglob("*tfevents*"))
    history = fit(tmp_path, first=2)
    after = set((tmp_path / "tensorboard").rglob("*tfevents*"))
    assert before < after
    assert len(after) == 2 * len(before) == 6
    losses = scalars(tmp_path, "validation")["loss"]
    assert [step for step, _ in losses] == [1, 2, 3]
    assert losses[-1][1] == pytest.approx(history.rows[-1]["val_loss"])
    assert [event.step for event in read(tmp_path).Tensors("previews/D")] == [1, 2, 3]
    assert session(tmp_path, END).session_end_info.status == api_pb2.STATUS_SUCCESS


def test_one_writer_serves_two_fits_one_after_the_other(small, network, tmp_path):
    """As when a training is resumed in the middle of an epoch."""
    history = HistoryFiles(tmp_path)
    with contextlib.closing(
        TensorBoardWriter(tmp_path / "tensorboard", small, network, history=history, previews=tmp_path / "previews")
    ) as writer:
        writer.set_model(network)
        for epoch in (1, 2):
            writer.on_train_begin()
            history.rows.append({"epoch": epoch, "loss": 1 / epoch})
            writer.on_epoch_end(epoch - 1)
            network.stop_training = False
            writer.on_train_end()
    assert scalars(tmp_path, "train") == {"loss": [(1, 1.0), (2, 0.5)]}
    assert END not in read(tmp_path).Tags()["tensors"]  # the third epoch is still to come


@pytest.mark.slow
def test_a_training_that_ends_early_by_itself_is_marked_as_finished_too(fit, tmp_path):
    fit(tmp_path, Failing(1, asks=True))
    assert [step for step, _ in scalars(tmp_path, "train")["loss"]] == [1, 2]
    assert session(tmp_path, END).session_end_info.status == api_pb2.STATUS_SUCCESS


def test_without_previews_there_are_no_images(small, network, tmp_path):
    history = HistoryFiles(tmp_path)
    with contextlib.closing(
        TensorBoardWriter(tmp_path / "tensorboard", small, network, history=history, previews=tmp_path / "previews")
    ) as writer:
        writer.set_model(network)
        writer.on_train_begin()
        history.rows.append({"epoch": 1, "loss": 0.5})
        writer.on_epoch_end(0)
    assert scalars(tmp_path, "train") == {"loss": [(1, 0.5)]}
    assert read(tmp_path).Tags()["tensors"] == [START]
