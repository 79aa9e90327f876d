"""Reading, segmenting and writing at once: order, failures, memory, ends and reported times."""

import re
import threading
import time
import weakref

import numpy as np
import pytest

from configs import InputError
from pipeline.inference import MeasuredPhotograph, ProbabilityMap, Segmented
from pipeline.prediction.overlap import OverlappedWork, Timings
from pipeline.prediction.pool import SegmenterPool
from records import PhotographScale

CPU = ["/device:CPU:0"]
CASES = [f"eye{number}" for number in range(12)]
UNSCALED = PhotographScale(1.0, "fixed")


class Segmenter:
    """In place of a `TiledSegmenter`: calls a function with each photograph, whose map is black."""

    network = None

    def __init__(self, spec, segment=lambda pixels: None):
        self.spec, self.rule, self._segment = spec, spec.rule(), segment

    def measure(self, photograph, degrees=None):
        return MeasuredPhotograph(photograph, UNSCALED)

    def segment_measured(self, photograph):
        began = time.perf_counter()
        self._segment(photograph.pixels)
        black = np.zeros((2, 2, 1), np.float32)
        found = ProbabilityMap(black, (2, 2), resized=False)
        return Segmented(found, photograph.scale, time.perf_counter() - began)


@pytest.fixture
def work(spec):
    """Makes OverlappedWork of functions that take a case's name, each of which may be left out."""

    def make(*, read=None, segment=None, write=None, stopped=None, devices=1):
        def segmented(pixels):
            if segment is not None:
                segment(f"eye{pixels[0, 0, 0]}")

        def photograph(case):
            if read is not None:
                read(case)
            return MeasuredPhotograph(np.full((2, 2, 3), int(case.removeprefix("eye")), np.uint8), UNSCALED)

        return OverlappedWork(
            SegmenterPool(lambda: Segmenter(spec(), segmented), CPU * devices, say=print),
            devices,
            photograph,
            write=lambda case, photograph, segmented: write(case) if write else None,
            stopped=stopped or (lambda: False),
        )

    return make


@pytest.mark.parametrize("devices", [1, 3])
def test_cases_come_in_order_however_long_each_takes(work, devices):
    delays = np.random.default_rng(0).uniform(0, 0.02, (3, len(CASES)))
    read, segmented, written = [], [], []

    def slowly(kind, seen):
        def wait(case):
            time.sleep(delays[kind, CASES.index(case)])
            seen.append(case)

        return wait

    one = work(read=slowly(0, read), segment=slowly(1, segmented), write=slowly(2, written), devices=devices)
    assert list(one.run(CASES)) == CASES
    assert one.failures == []
    assert sorted(read) == sorted(segmented) == sorted(written) == sorted(CASES)


def test_a_photograph_is_read_and_another_written_while_one_is_segmented(work):
    together = threading.Barrier(3, timeout=20)  # breaks where they do not come at the same time
    one = work(
        read=lambda case: together.wait() if case == "eye4" else None,
        segment=lambda case: together.wait() if case == "eye1" else None,
        write=lambda case: together.wait() if case == "eye0" else None,
    )
    one._threads = 2  # also on a machine of one core
    assert list(one.run(CASES)) == CASES


def test_what_cannot_be_read_segmented_or_written_is_named_and_the_others_are_done(work):
    def fail_at(bad):
        def step(case):
            if case == bad:
                raise InputError(f"bad {case}")

        return step

    one = work(read=fail_at("eye0"), segment=fail_at("eye5"), write=fail_at("eye11"))
    assert list(one.run(CASES)) == [case for case in CASES if case not in ("eye0", "eye5", "eye11")]
    assert one.failures == ["bad eye0", "eye5: bad eye5", "eye11: bad eye11"]
    assert one.timings.segmented == 10


def test_a_file_that_cannot_be_written_ends_it(work):
    written = []

    def write(case):
        if case == "eye3":
            raise OSError(28, "No space left on device", "masks/eye3.png")
        written.append(case)

    with pytest.raises(OSError, match=r"No space left on device: 'masks/eye3\.png'"):
        list(work(write=write).run(CASES))
    assert {"eye0", "eye1", "eye2"} <= set(written) < set(CASES)


def test_once_stopped_nothing_is_begun_and_what_was_begun_is_written(work):
    segmented, written = [], []
    one = work(segment=segmented.append, write=written.append, stopped=lambda: len(segmented) >= 2)
    assert sorted(one.run(CASES)) == sorted(written) == segmented  # several threads write
    assert 2 <= len(written) <= 5


def test_no_more_photographs_are_in_memory_however_many_there_are(spec):
    alive: weakref.WeakSet = weakref.WeakSet()
    counting = threading.Lock()
    most = []

    class Photograph(np.ndarray):
        __hash__ = object.__hash__

        def __eq__(self, other):
            return self is other

    def read(case):
        photograph = np.zeros((2, 2, 3), np.uint8).view(Photograph)
        with counting:
            alive.add(photograph)
            most.append(len(alive))
        return MeasuredPhotograph(photograph, UNSCALED)

    pool = SegmenterPool(lambda: Segmenter(spec()), CPU, say=print)
    one = OverlappedWork(pool, 1, read, write=lambda *_: time.sleep(0.002), stopped=lambda: False)
    assert len(list(one.run([str(number) for number in range(100)]))) == 100
    threads = one._threads
    # Read ahead and being read, at the device and before it, being written, and one in each hand between.
    assert max(most) <= (threads + 1) + 2 + threads + 3


def test_the_times_add_up_to_the_total(work):
    def wait(seconds):
        return lambda case: time.sleep(seconds)

    one = work(read=wait(0.03), segment=wait(0.05), write=wait(0.1))
    list(one.run(CASES[:8]))
    times = one.timings
    assert times.segmented == 8
    assert times.segmenting == pytest.approx(0.4, abs=0.15)
    assert times.until_first >= 0.03
    assert times.after_last >= 0.1
    assert times.total >= times.until_first + times.segmenting + times.after_last
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", str(times))]
    total, ratio, segmenting, rest, until_first, after_last, between, *_ = numbers
    assert total == pytest.approx(times.total, abs=0.051)
    assert ratio == pytest.approx(times.total / times.segmenting, abs=0.0051)
    assert rest == pytest.approx(times.total - times.segmenting, abs=0.0051)
    assert rest == pytest.approx(until_first + after_last + between, abs=0.016)
    assert segmenting == pytest.approx(times.segmenting, abs=0.051)


def test_several_devices_are_held_against_their_share():
    words = str(Timings(devices=2, segmented=10, segmenting=20.0, total=11.0, until_first=0.4, after_last=0.5))
    assert words.startswith("10 photographs in 11.0 s, 1.10 times the 10.0 s spent segmenting on each device.")


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(("memory", "most"), [(1, 1), (10, 1), (20, 2), (35, 3)])
def test_as_many_photographs_are_in_flight_as_fit_into_the_free_memory(work, memory, most, devices):
    """At least one, whatever is free."""
    counting, flying, numbers = threading.Lock(), set(), []

    def begin(case):
        with counting:
            flying.add(case)
            numbers.append(len(flying))
        if case == "eye3":
            flying.discard(case)
            raise InputError("bad eye3")

    def end(case):
        time.sleep(0.002)
        with counting:
            flying.discard(case)

    one = work(read=begin, write=end, devices=devices)
    one._memory, one._bytes_of = memory, lambda case: 10
    assert list(one.run(CASES)) == [case for case in CASES if case != "eye3"]
    assert max(numbers) <= most
    assert one.failures == ["bad eye3"]


def test_a_large_photograph_waits_for_the_small_ones_before_it(work):
    flying, beside = set(), {}

    def begin(case):
        beside[case] = set(flying)
        flying.add(case)

    one = work(read=begin, write=flying.discard)
    one._memory, one._bytes_of = 50, lambda case: 100 if case == "eye5" else 10
    assert list(one.run(CASES)) == CASES
    assert beside["eye5"] == set() and "eye5" not in beside["eye6"]
