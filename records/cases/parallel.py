"""Work on many cases at once, in threads: decoding and encoding release Python's global lock."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import cv2

from configs import InputError
from records.cases.case import Case

Result = TypeVar("Result")
# Passes results on one by one and may show a progress bar; called with the results, their number and what is read.
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


def map_cases(
    function: Callable[[Case], Result], cases: Sequence[Case], *, workers: int
) -> Iterator[Result | InputError]:
    """Calls a function with each case; yields the results in order, or the InputError that a call raised.

    Args:
      function: called in several threads.
      cases: the cases.
      workers: number of threads.
    """

    def result_or_error(case: Case) -> Result | InputError:
        try:
            return function(case)
        except InputError as error:
            return error

    cv2.setNumThreads(1)  # the pool uses all cores already
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(result_or_error, cases)


def no_progress(results: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    """Passes results on without showing a progress bar."""
    return results
