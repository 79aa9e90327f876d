"""Files for TensorBoard: curves, previews, the network's graph and the hyperparameters."""

import functools
import re
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api, api_pb2, summary

from configs import Config
from configs.schema import field_names
from pipeline.training.callbacks.history import HistoryFiles
from pipeline.training.callbacks.preview_sheets import read_preview
from pipeline.training.callbacks.previews import epoch_file

# TensorFlow's names of the files: time, host, process, number.
EVENTS = re.compile(r"(events\.out\.tfevents\.\d+)\..+(\.\d+\.\d+\.v2)")
TRAINING, VALIDATION, BOTH = "train", "validation", "."  # folders, which TensorBoard calls runs


class TensorBoardWriter(keras.callbacks.Callback):
    """Writes the values of `history.csv`, previews, graph and config for TensorBoard; steps are epochs, from 1.

    A resumed training adds files to those of its earlier starts. Always `close` it, also after an exception
    (`contextlib.closing`).

    It replaces `keras.callbacks.TensorBoard` (3.15.1), which also writes the loss that counts tiles of weight 0, has no
    graph of a network inside another model, counts epochs from 0, and leaves its files open after an exception.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        network: keras.Model | None,
        *,
        history: HistoryFiles,
        previews: Path,
        anonymous: bool = False,
    ):
        """Initializes the callback.

        Args:
          folder: where the files are written.
          config: the settings of the training.
          network: the network whose graph is shown; None for no graph.
          history: a callback before this one.
          previews: folder of a `Previews` callback before this one.
          anonymous: whether the name of this computer is removed from the files' names when they are closed.
        """
        super().__init__()
        self.folder, self.config, self.network, self.history = folder, config, network, history
        self.previews, self.anonymous = previews, anonymous
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def on_train_begin(self, logs=None):
        """Writes graph and hyperparameters."""
        with self._writer(BOTH).as_default(step=0):
            if self.network is not None:
                tf.summary.graph(self._graph(self.network))
            api.hparams(hyperparameters(self.config))
        self._flush()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the last row of the history and the previews of the epoch."""
        for name, value in self.history.rows[-1].items():
            if name != "epoch":
                run = VALIDATION if name.startswith("val_") else TRAINING
                with self._writer(run).as_default(step=epoch + 1):
                    tf.summary.scalar(name.removeprefix("val_"), value)
        with self._writer(BOTH).as_default(step=epoch + 1):
            for file in sorted(self.previews.glob(f"*/{epoch_file(epoch + 1)}")):
                tf.summary.image(f"previews/{file.parent.name}", read_preview(file)[None])
        self._flush()

    def on_train_end(self, logs=None):
        """Marks the session as finished, if the training is, and closes the files."""
        if self.history.rows[-1]["epoch"] == self.config.train.epochs or self.model.stop_training:
            with self._writer(BOTH).as_default(step=0):
                ended = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
                tf.summary.experimental.write_raw_pb(ended.SerializeToString())
        self.close()

    def close(self) -> None:
        """Closes the files; if the training continues, new ones are opened."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
        if self.anonymous:
            for file in list(self.folder.rglob("events.out.tfevents.*")):  # also of a start that was killed
                file.rename(file.with_name(EVENTS.sub(r"\1.anonymous\2", file.name)))

    def _graph(self, network: keras.Model) -> tf.Graph:
        side = self.config.train.crop or self.config.data.tile
        images = tf.TensorSpec([None, side, side, 3], tf.float32, name="images")
        return (
            tf.function(lambda images: network(images, training=False), autograph=False)
            .get_concrete_function(images)
            .graph
        )

    def _writer(self, run: str) -> tf.summary.SummaryWriter:
        if run not in self._writers:
            self._writers[run] = tf.summary.create_file_writer(str(self.folder / run))
        return self._writers[run]

    def _flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()


def hyperparameters(config: Config) -> dict[str, bool | float | str]:
    """Returns all fields of a config that are set, by their dotted names; tuples as text."""
    values: dict[str, Any] = {name: functools.reduce(getattr, name.split("."), config) for name in field_names()}
    texts = {name: ", ".join(map(str, value)) for name, value in values.items() if isinstance(value, tuple)}
    return {name: value for name, value in (values | texts).items() if value is not None}
