"""Distributes photographs over the segmenters of all devices, with smaller batches if memory runs out."""

import collections
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import tensorflow as tf

from configs import InputError
from pipeline.inference import MeasuredPhotograph, Segmented, TiledSegmenter

Photograph = TypeVar("Photograph")
Result = TypeVar("Result")


class SegmenterPool:
    """One segmenter per device, each of which works in a thread, while the caller reads and uses photographs.

    Example:
      >>> pool = SegmenterPool(lambda: load_segmenter(folder), all_devices(), say=print)
      >>> for name, photograph, segmented in pool.segment_all(named_photographs):
      ...     print(name, segmented.result().probabilities.max())
    """

    def __init__(self, load: Callable[[], TiledSegmenter], devices: Sequence[str], *, say: Callable[[str], None]):
        """Loads the segmenters.

        Args:
          load: function that loads a segmenter; called once for each device, which then holds its weights.
          devices: names of devices, such as those of `all_devices`.
          say: function that receives a message when memory runs out and batches become smaller, once for each size.
        """
        self._say = say
        self._idle: queue.SimpleQueue[tuple[str, TiledSegmenter]] = queue.SimpleQueue()
        self._number = len(devices)
        self._said: set[int] = set()  # batch sizes that were reported to exceed the memory
        self._saying = threading.Lock()
        for device in devices:
            with tf.device(device):
                segmenter = load()
            self._idle.put((device, segmenter))
        self.spec, self.rule = segmenter.spec, segmenter.rule
        self.measure = segmenter.measure

    def warm_up(self) -> None:
        """Traces every segmenter and runs it once, so that the first photographs do not have to wait for it."""
        white = self.measure(np.full((1, 1, 3), 255, np.uint8))
        for _ in range(self._number):
            device, segmenter = self._idle.get()
            self._idle.put((device, _traced(segmenter, device)))
        for _ in range(self._number):
            self.segment(white)  # uses the segmenter that has been idle the longest

    def segment_all(
        self, photographs: Iterable[tuple[str, MeasuredPhotograph] | None]
    ) -> Iterator[tuple[str, MeasuredPhotograph, Future[Segmented]] | None]:
        """Segments photographs, as many at once as there are devices.

        Args:
          photographs: names and photographs; None asks for what has been given so far.

        Yields:
          Name, photograph and future result, in the given order; None if all were yielded when the next was asked for.
          The result raises InputError if a device's memory is too small even for one tile at a time.
        """
        yield from segment_in_order(photographs, self.segment, devices=self._number)

    def segment(self, photograph: MeasuredPhotograph) -> Segmented:
        """Segments a photograph on the device that has been idle the longest; waits for one.

        Raises:
          InputError: its memory is too small even for one tile at a time.
        """
        device, segmenter = self._idle.get()
        try:
            while True:
                try:
                    with tf.device(device):
                        return segmenter.segment_measured(photograph)
                except tf.errors.ResourceExhaustedError:
                    segmenter = _traced(self._with_smaller_batches(segmenter, photograph.pixels), device)
        finally:
            self._idle.put((device, segmenter))

    def _with_smaller_batches(self, segmenter: TiledSegmenter, photograph: np.ndarray) -> TiledSegmenter:
        """Returns the segmenter with half as many tiles per batch, which does not change its probability maps."""
        tiles, tile = segmenter.spec.tile_batch, segmenter.spec.tile
        if tiles == 1:
            height, width = photograph.shape[:2]
            raise InputError(
                f"out of memory with a photograph of {width}x{height} pixels, even with one tile of {tile} pixels at a "
                "time; free memory or use a machine with more."
            )
        with self._saying:
            if tiles not in self._said:
                self._said.add(tiles)
                self._say(f"out of memory with {tiles} tiles of {tile} pixels at a time; continuing with {tiles // 2}.")
        smaller = dataclasses.replace(segmenter.spec, tile_batch=tiles // 2)
        return TiledSegmenter(segmenter.network, smaller, segmenter.rule, uncertainty=segmenter.uncertainty)


def segment_in_order(
    photographs: Iterable[tuple[str, Photograph] | None], segment: Callable[[Photograph], Result], *, devices: int
) -> Iterator[tuple[str, Photograph, Future[Result]] | None]:
    """Segments photographs, as many at once as there are devices, as `SegmenterPool.segment_all` does.

    Args:
      photographs: names and photographs; None asks for what has been given so far.
      segment: segments a photograph; called in a thread.
      devices: number of devices.
    """
    waiting: collections.deque[tuple[str, Photograph, Future[Result]]] = collections.deque()
    with ThreadPoolExecutor(devices) as threads:
        for one in photographs:
            if one is None:
                yield waiting.popleft() if waiting else None
                continue
            name, photograph = one
            waiting.append((name, photograph, threads.submit(segment, photograph)))
            del one, photograph
            if len(waiting) > devices:  # one waits for the device that becomes free first
                yield waiting.popleft()
        yield from waiting


def _traced(segmenter: TiledSegmenter, device: str) -> TiledSegmenter:
    """Traces a segmenter before its first call; TensorFlow warns if the calls of five objects trace."""
    with tf.device(device):
        segmenter.graph.get_concrete_function()
    return segmenter


def all_devices() -> list[str]:
    """Returns the names of all GPUs, or that of the CPU if there are none."""
    return [device.name for device in tf.config.list_logical_devices("GPU")] or ["/device:CPU:0"]
