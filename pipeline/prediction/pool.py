"""Photographs dealt out to the segmenters of all devices, which go on in smaller batches where memory runs out."""

import collections
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from configs import InputError
from pipeline.inference import TiledSegmenter


class Segmented(NamedTuple):
    """A photograph's probabilities, float32 `[H, W, C]`, and the seconds that they took."""

    probabilities: np.ndarray
    seconds: float


class SegmenterPool:
    """A segmenter a device. Meanwhile the photographs to come are read, and the maps before are put to use.

    Example:
      >>> pool = SegmenterPool(lambda: load_segmenter(folder), all_devices(), say=print)
      >>> for name, photograph, segmented in pool.segment_all(named_photographs):
      ...     print(name, segmented.result().probabilities.max())
    """

    def __init__(self, load: Callable[[], TiledSegmenter], devices: Sequence[str], *, say: Callable[[str], None]):
        """Args:
        load: makes a segmenter; called once for each device, under which its weights then lie.
        devices: such as `all_devices` names.
        say: is told, once, that batches of tiles do not fit into memory, and how many tiles the next ones have.
        """
        self._say = say
        self._idle: queue.SimpleQueue[tuple[str, TiledSegmenter]] = queue.SimpleQueue()
        self._number = len(devices)
        self._said: set[int] = set()  # of which batch sizes it was said that they do not fit into memory
        self._saying = threading.Lock()
        for device in devices:
            with tf.device(device):
                segmenter = load()
            self._idle.put((device, segmenter))
        self.spec = segmenter.spec

    def warm_up(self) -> None:
        """Traces every segmenter and runs it once, which else the first photographs would wait for."""
        white = np.full((1, 1, 3), 255, np.uint8)
        for _ in range(self._number):
            device, segmenter = self._idle.get()
            self._idle.put((device, _traced(segmenter, device)))
        for _ in range(self._number):
            self._segment(white)  # by the one that has been idle for longest

    def segment_all(
        self, photographs: Iterable[tuple[str, np.ndarray]]
    ) -> Iterator[tuple[str, np.ndarray, Future[Segmented]]]:
        """Segments named photographs, uint8 RGB `[H, W, 3]`, as many at once as there are devices.

        Yields:
          Name, photograph and future result, in the order in which they came. A result raises InputError where a
          device's memory does not suffice for a single tile at a time.
        """
        waiting: collections.deque[tuple[str, np.ndarray, Future[Segmented]]] = collections.deque()
        with ThreadPoolExecutor(self._number) as threads:
            for name, photograph in photographs:
                waiting.append((name, photograph, threads.submit(self._segment, photograph)))
                if len(waiting) > self._number:  # one is ready for the device that is free first
                    yield waiting.popleft()
            yield from waiting

    def _segment(self, photograph: np.ndarray) -> Segmented:
        device, segmenter = self._idle.get()
        try:
            while True:
                try:
                    with tf.device(device):
                        began = time.perf_counter()
                        probabilities = segmenter.segment(photograph).numpy()
                        return Segmented(probabilities, time.perf_counter() - began)
                except tf.errors.ResourceExhaustedError:
                    segmenter = _traced(self._with_smaller_batches(segmenter, photograph), device)
        finally:
            self._idle.put((device, segmenter))

    def _with_smaller_batches(self, segmenter: TiledSegmenter, photograph: np.ndarray) -> TiledSegmenter:
        """Returns the segmenter with half as many tiles in a batch, which changes no map."""
        tiles, tile = segmenter.spec.tile_batch, segmenter.spec.tile
        if tiles == 1:
            height, width = photograph.shape[:2]
            raise InputError(
                f"out of memory with a photograph of {width}x{height} pixels, even with one tile of {tile} pixels at a "
                "time; make memory free, or take a machine with more."
            )
        with self._saying:
            if tiles not in self._said:
                self._said.add(tiles)
                self._say(f"out of memory with {tiles} tiles of {tile} pixels at a time; going on with {tiles // 2}.")
        return TiledSegmenter(segmenter.network, dataclasses.replace(segmenter.spec, tile_batch=tiles // 2))


def _traced(segmenter: TiledSegmenter, device: str) -> TiledSegmenter:
    """Traces a segmenter ahead of its calls, where TensorFlow would warn of the fifth that traces."""
    with tf.device(device):
        segmenter.segment.get_concrete_function()
    return segmenter


def all_devices() -> list[str]:
    """Returns the names of all GPUs, without any that of the CPU."""
    return [device.name for device in tf.config.list_logical_devices("GPU")] or ["/device:CPU:0"]
