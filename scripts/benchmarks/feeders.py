"""Ways to feed `keras.Model.fit` with the same tiles: the streams of this project, and two common alternatives.

The network that they feed does nothing, so that only the feeding is timed.
"""

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import keras
import numpy as np
import psutil
import tensorflow as tf

from configs import AugmentConfig, TrainConfig
from pipeline.input import Cache, RecordSet, training_batches
from pipeline.machine import usable_cores
from records import locate_records
from records.shards.record import decode_record
from scripts.benchmarks.measuring import PeakMemory

STREAMS: dict[str, Cache] = {"uncached": "none", "cache records": "records", "cache decoded": "decoded"}
# The PyDataset reads image files with OpenCV, in as many threads as there are cores; with processes instead it is
# several times slower, since they pass every batch through a pipe. The NumPy arrays hold all tiles as uint8.
FEEDERS = (*STREAMS, "PyDataset and OpenCV", "NumPy arrays")
NO_AUGMENTATION = AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, quarter_turn=0.0)


class TileFiles(NamedTuple):
    """A tile as two image files: RGB, and one channel whose bit c is class c."""

    image: str
    mask: str


def write_files(one: RecordSet, folder: Path) -> list[TileFiles]:
    """Creates the folder and writes the training tiles to it in order, encoded as they are in the records."""
    folder.mkdir()
    files: list[TileFiles] = []
    for shard, _ in locate_records(one.index, "train", one.folder):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            tile = decode_record(record)
            stem = folder / f"{len(files):05d}"
            paths = (stem.with_suffix(f".{one.index.data.codec}"), stem.with_suffix(".mask.png"))
            for path, content in zip(paths, (tile.image, tile.mask), strict=True):
                path.write_bytes(content)
            files.append(TileFiles(*map(str, paths)))
    return files


class Feeder:
    """One of `FEEDERS` in a process of its own, which idles between its turns.

    Each has its own process because the generator behind a PyDataset changes how memory is freed in its whole process.

    Attributes:
      before: resident megabytes of the process after importing TensorFlow and before loading any tile.
    """

    def __init__(self, name: str, one: RecordSet, files: Sequence[TileFiles], *, train: TrainConfig):
        """Starts the process and loads what the feeder keeps in memory."""
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        ready = self._pool.submit(_prepare, name, one, files, train=train)
        self.before = ready.result()

    def __enter__(self) -> "Feeder":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def seconds_of_epoch(self, uncounted: int) -> float:
        """Returns the seconds of one epoch of full batches, without its first `uncounted` ones."""
        return self._pool.submit(_seconds_of_epoch, uncounted).result()

    def peaks_of_epochs(self, epochs: int) -> list[float]:
        """Returns the peak memory of the process in each of several epochs, megabytes."""
        return self._pool.submit(_peaks_of_epochs, epochs).result()


_prepared: dict[str, Any] = {}  # in the process of a feeder: the arguments of `keras.Model.fit` for one epoch


def _prepare(name: str, one: RecordSet, files: Sequence[TileFiles], *, train: TrainConfig) -> float:
    before = psutil.Process().memory_info().rss / 1e6
    classes, steps = len(one.index.classes), len(files) // train.batch_size
    if name in STREAMS:
        batches = training_batches([one], train, NO_AUGMENTATION, cache=STREAMS[name])
        _prepared.update(x=batches, steps_per_epoch=steps, shuffle=False)
    elif name == "PyDataset and OpenCV":
        _prepared.update(x=TilesFromFiles(files, train.batch_size, classes, workers=usable_cores()))
    else:
        count, tile = steps * train.batch_size, one.index.data.tile
        images, masks = np.empty((count, tile, tile, 3), np.uint8), np.empty((count, tile, tile, classes), np.uint8)
        for number in range(count):
            images[number], masks[number] = _read(files[number], classes)
        _prepared.update(x=images, y=masks, batch_size=train.batch_size)
    return before


def _seconds_of_epoch(uncounted: int) -> float:
    clock = _Clock(uncounted)
    _idle_model().fit(**_prepared, verbose=0, callbacks=[clock])
    return clock.seconds


def _peaks_of_epochs(epochs: int) -> list[float]:
    with PeakMemory() as peak:
        peaks = _EpochPeaks(peak)
        _idle_model().fit(**_prepared, epochs=epochs, verbose=0, callbacks=[peaks])
    return peaks.megabytes


class TilesFromFiles(keras.utils.PyDataset):
    """Full batches of tiles from image files, read as in Keras' guides."""

    def __init__(self, files: Sequence[TileFiles], batch_size: int, classes: int, **options: Any):
        super().__init__(**options)
        self._files, self._batch_size, self._classes = files, batch_size, classes

    def __len__(self) -> int:
        return len(self._files) // self._batch_size

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        files = self._files[number * self._batch_size : (number + 1) * self._batch_size]
        images, masks = zip(*(_read(file, self._classes) for file in files), strict=True)
        return np.stack(images).astype(np.float32), np.stack(masks).astype(np.float32)


def _read(file: TileFiles, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads image `[T, T, 3]` and mask 0/1 `[T, T, C]`, uint8."""
    image = cv2.cvtColor(cv2.imread(file.image), cv2.COLOR_BGR2RGB)
    bits = np.asarray(cv2.imread(file.mask, cv2.IMREAD_GRAYSCALE))
    return np.asarray(image), (bits[..., None] >> np.arange(classes, dtype=np.uint8)) & 1


class _IdleModel(keras.Model):
    """A model that converts images and masks to float32, as a network and its loss do, and does nothing with them."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Touches one value of each, so that the conversion is not optimized away."""
        image, mask = (keras.ops.cast(pixels, "float32") for pixels in data)
        return {"loss": image[0, 0, 0, 0] + mask[0, 0, 0, 0]}


def _idle_model() -> keras.Model:
    network = _IdleModel()
    network.compile(jit_compile=False)
    return network


class _Clock(keras.callbacks.Callback):
    """Measures the seconds from the end of the last uncounted batch to the end of the last batch."""

    def __init__(self, uncounted: int):
        super().__init__()
        self._uncounted = uncounted
        self._began = self.seconds = 0.0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if batch == self._uncounted - 1:
            self._began = time.perf_counter()
        self.seconds = time.perf_counter() - self._began


class _EpochPeaks(keras.callbacks.Callback):
    """Records the peak memory of each epoch."""

    def __init__(self, peak: PeakMemory):
        super().__init__()
        self._peak = peak
        self.megabytes: list[float] = []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.megabytes.append(self._peak.megabytes)
        self._peak.megabytes = 0.0
