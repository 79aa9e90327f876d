"""Reads photographs and writes results while the devices segment others, and measures the time."""

import collections
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from configs import InputError
from pipeline.machine import free_memory, usable_cores

# Threads that read, and as many that write: decoding and encoding take about four times as long as a GPU's work.
THREADS_PER_DEVICE = 4
MEMORY_FRACTION = 0.8  # of what is free when the work begins, for photographs in flight


class Timed(Protocol):
    """A segmented photograph."""

    @property
    def seconds(self) -> float:
        """Time that it took."""
        ...


Photograph = TypeVar("Photograph")
Result = TypeVar("Result", bound=Timed)


class Segmenters(Protocol[Photograph, Result]):
    """Segments photographs on all devices, such as a `SegmenterPool`."""

    def segment_all(
        self, photographs: Iterable[tuple[str, Photograph] | None]
    ) -> Iterator[tuple[str, Photograph, Future[Result]] | None]:
        """Yields names, photographs and future results, as `SegmenterPool.segment_all` does."""
        ...


@dataclasses.dataclass
class Timings:
    """How the time for many photographs was spent, in seconds.

    Attributes:
      devices: number of devices that share the photographs.
      segmented: number of segmented photographs.
      segmenting: sum of the times for segmenting a photograph.
      total: time from the start until the last photograph was written.
      until_first: time until the first photograph was read.
      after_last: time from the end of the last segmentation until all photographs were written.
      reading: time spent waiting for a photograph to be read.
      writing: time spent waiting for a free writing thread.
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
        busy = self.segmenting / self.devices
        rest = self.total - busy
        between = rest - self.until_first - self.after_last
        each = "" if self.devices == 1 else " on each device"
        return (
            f"{self.segmented} photographs in {self.total:.1f} s, {self.total / busy:.2f} times the {busy:.1f} s spent "
            f"segmenting{each}. The other {rest:.2f} s: {self.until_first:.2f} before the first was read, "
            f"{self.after_last:.2f} after the last was segmented, {between:.2f} in between (waiting {self.reading:.2f} "
            f"for reading, {self.writing:.2f} for writing)"
        )


class OverlappedWork(Generic[Photograph, Result]):
    """Reads, segments and writes photographs, all three at the same time.

    Memory holds only the photographs that threads and devices work on and a few that wait for them, however many there
    are in total; and only one, if another would not fit into the free memory.

    Attributes:
      failures: error messages of photographs that could not be read, segmented or written.
      timings: how the time was spent; complete when `run` has ended.
    """

    def __init__(
        self,
        pool: Segmenters[Photograph, Result],
        devices: int,
        read: Callable[[str], Photograph],
        *,
        write: Callable[[str, Photograph, Result], None],
        stopped: Callable[[], bool],
        bytes_of: Callable[[str], int] = lambda case: 0,
    ):
        """Creates the threads' work; `run` starts it.

        Args:
          pool: the segmenters.
          devices: number of their devices.
          read: function that reads and measures the photograph of a case. If it raises InputError, the case
            has failed.
          write: function that writes the results of a case. If it raises InputError, the case has failed; an OSError
            ends the work.
          stopped: function that is called before each photograph; when it returns True, no more are started.
          bytes_of: function that returns how much memory a case takes until it is written.
        """
        self._pool, self._read, self._write, self._stopped = pool, read, write, stopped
        self._bytes_of, self._memory = bytes_of, MEMORY_FRACTION * free_memory()
        self._held: dict[str, int] = {}  # bytes of the cases that are begun and not written
        self._threads = min(usable_cores(), THREADS_PER_DEVICE * devices)
        self.failures: list[str] = []
        self.timings = Timings(devices)

    def run(self, cases: Iterable[str]) -> Iterator[str]:
        """Yields the name of each case when it is written, in order.

        Raises:
          OSError: a file could not be written. Photographs that other threads are writing are completed first.
        """
        timings = self.timings
        began = last = time.perf_counter()
        writing: collections.deque[tuple[str, Future[None]]] = collections.deque()
        with ThreadPoolExecutor(self._threads) as readers, ThreadPoolExecutor(self._threads) as writers:
            for one in self._pool.segment_all(self._photographs(readers, cases, began)):
                if one is None:
                    yield from self._written(writing)
                    continue
                case, photograph, future = one
                try:
                    segmented = future.result()
                except InputError as error:
                    self.failures.append(f"{case}: {error}")
                    del self._held[case]
                    continue
                last = time.perf_counter()
                timings.segmented += 1
                timings.segmenting += segmented.seconds
                if len(writing) == self._threads:
                    yield from self._written(writing)
                    timings.writing += time.perf_counter() - last
                writing.append((case, writers.submit(self._write, case, photograph, segmented)))
                del one, photograph, future, segmented  # frees their memory before the next ones arrive
            while writing:
                yield from self._written(writing)
        timings.after_last = time.perf_counter() - last
        timings.total = time.perf_counter() - began

    def _photographs(
        self, readers: ThreadPoolExecutor, cases: Iterable[str], began: float
    ) -> Iterator[tuple[str, Photograph] | None]:
        """Yields the photographs that can be read, in order; each thread is one photograph ahead.

        Yields None while there is no memory for the next one: first, others must be segmented and written.
        """
        reading: collections.deque[tuple[str, Future[Photograph]]] = collections.deque()
        for case in cases:
            if self._stopped():
                break
            needed = self._bytes_of(case)
            while self._held and sum(self._held.values()) + needed > self._memory:
                if reading:
                    yield from self._next_read(reading, began)
                else:
                    yield None
            self._held[case] = needed
            reading.append((case, readers.submit(self._read, case)))
            if len(reading) > self._threads:
                yield from self._next_read(reading, began)
        while reading and not self._stopped():
            yield from self._next_read(reading, began)
        for _, future in reading:
            future.cancel()

    def _next_read(
        self, reading: collections.deque[tuple[str, Future[Photograph]]], began: float
    ) -> Iterator[tuple[str, Photograph]]:
        case, future = reading.popleft()
        waited = time.perf_counter()
        try:
            photograph = future.result()
        except InputError as error:
            self.failures.append(str(error))
            del self._held[case]
            return
        finally:
            self.timings.reading += time.perf_counter() - waited
        del future
        self.timings.until_first = self.timings.until_first or time.perf_counter() - began
        yield case, photograph

    def _written(self, writing: collections.deque[tuple[str, Future[None]]]) -> Iterator[str]:
        """Waits until the photograph that started to be written first is written."""
        case, future = writing.popleft()
        try:
            future.result()
        except InputError as error:
            self.failures.append(f"{case}: {error}")
            return
        finally:
            del self._held[case]
        yield case
