"""Photographs are read and results are written while the devices segment others, and what time that took."""

import collections
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from configs import InputError
from pipeline.prediction.pool import Segmented, SegmenterPool

THREADS_PER_DEVICE = 4  # that read, and as many that write: decoding and encoding take some four times as long as a GPU


@dataclasses.dataclass
class Timings:
    """Where the time of many photographs went, in seconds.

    Attributes:
      devices: among which the photographs were divided.
      segmented: how many were segmented.
      segmenting: their segment times, summed.
      total: from the start until the last was written.
      until_first: until the first one was read.
      after_last: from the last one segmented until all were written.
      reading: waited for a photograph to be read.
      writing: waited for a thread that writes to be free.
    """

    devices: int
    segmented: int = 0
    segmenting: float = 0.0
    total: float = 0.0
    until_first: float = 0.0
    after_last: float = 0.0
    reading: float = 0.0
    writing: float = 0.0

    def __str__(self):
        share = self.segmenting / self.devices
        rest = self.total - share
        between = rest - self.until_first - self.after_last
        words = "the sum of their segment times" if self.devices == 1 else "each device's share of the segment times"
        return (
            f"{self.segmented} photographs in {self.total:.1f} s: {self.total / share:.2f} times {words}, {share:.1f} "
            f"s. The rest, {rest:.2f} s: {self.until_first:.2f} until the first was read, {self.after_last:.2f} until "
            f"the last was written, {between:.2f} between them (waited {self.reading:.2f} for reading, "
            f"{self.writing:.2f} for writing)"
        )


class OverlappedWork:
    """Reads, segments and writes photographs, each step while the others are at work on other photographs.

    At any moment there are at most so many photographs in memory as threads and devices can be at work on, and a few
    that wait between them, however many there are in all.

    Attributes:
      failures: what was wrong with the photographs that could not be read, segmented or written.
      timings: complete once `run` has ended.
    """

    def __init__(
        self,
        pool: SegmenterPool,
        devices: int,
        read: Callable[[str], np.ndarray],
        *,
        write: Callable[[str, np.ndarray, Segmented], None],
        stopped: Callable[[], bool],
    ):
        """Args:
        pool: segments, on so many devices.
        devices: of the pool.
        read: the photograph of a case, uint8 RGB `[H, W, 3]`. An InputError that it raises is that case's failure.
        write: a case's results. An InputError that it raises is that case's failure; an OSError ends all.
        stopped: asked before each photograph; once it says yes, no more are begun.
        """
        self._pool, self._read, self._write, self._stopped = pool, read, write, stopped
        self._threads = min(os.cpu_count() or 1, THREADS_PER_DEVICE * devices)
        self.failures: list[str] = []
        self.timings = Timings(devices)

    def run(self, cases: Iterable[str]) -> Iterator[str]:
        """Yields the names of the cases that are written, in their order.

        Raises:
          OSError: a file could not be written. What is being written by then is finished first.
        """
        timings = self.timings
        began = last = time.perf_counter()
        writing: collections.deque[tuple[str, Future[None]]] = collections.deque()
        with ThreadPoolExecutor(self._threads) as readers, ThreadPoolExecutor(self._threads) as writers:
            for case, photograph, future in self._pool.segment_all(self._photographs(readers, cases, began)):
                try:
                    segmented = future.result()
                except InputError as error:
                    self.failures.append(f"{case}: {error}")
                    continue
                last = time.perf_counter()
                timings.segmented += 1
                timings.segmenting += segmented.seconds
                if len(writing) == self._threads:
                    yield from self._written(writing)
                    timings.writing += time.perf_counter() - last
                writing.append((case, writers.submit(self._write, case, photograph, segmented)))
                del photograph, future, segmented  # else they stay in memory until the next ones are there
            while writing:
                yield from self._written(writing)
        timings.after_last = time.perf_counter() - last
        timings.total = time.perf_counter() - began

    def _photographs(
        self, readers: ThreadPoolExecutor, cases: Iterable[str], began: float
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the photographs that can be read, in order; the threads are ahead by one each."""
        reading: collections.deque[tuple[str, Future[np.ndarray]]] = collections.deque()
        for case in cases:
            if self._stopped():
                break
            reading.append((case, readers.submit(self._read, case)))
            if len(reading) > self._threads:
                yield from self._next_read(reading, began)
        while reading and not self._stopped():
            yield from self._next_read(reading, began)
        for _, future in reading:
            future.cancel()

    def _next_read(
        self, reading: collections.deque[tuple[str, Future[np.ndarray]]], began: float
    ) -> Iterator[tuple[str, np.ndarray]]:
        case, future = reading.popleft()
        waited = time.perf_counter()
        try:
            photograph = future.result()
        except InputError as error:
            self.failures.append(str(error))
            return
        finally:
            self.timings.reading += time.perf_counter() - waited
        del future
        self.timings.until_first = self.timings.until_first or time.perf_counter() - began
        yield case, photograph

    def _written(self, writing: collections.deque[tuple[str, Future[None]]]) -> Iterator[str]:
        """Waits for the photograph that has been written for longest."""
        case, future = writing.popleft()
        try:
            future.result()
        except InputError as error:
            self.failures.append(f"{case}: {error}")
            return
        yield case
