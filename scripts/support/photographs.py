"""Works through many photographs with a bar, and says which were left out."""

import contextlib
import sys
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Protocol

from tqdm import tqdm

from configs import InputError


class Work(Protocol):
    """Work on photographs, such as `OverlappedWork`."""

    failures: list[str]

    def run(self, cases: Iterable[str]) -> Iterator[str]:
        """Yields the name of each case when it is written."""
        ...


def work_through(work: Work, todo: Collection[str]) -> int:
    """Does the work for all photographs, names those that failed, and returns how many were written."""
    written = 0
    with tqdm(desc="photographs", total=len(todo), disable=None) as bar:
        for _ in work.run(todo):
            written += 1
            bar.update(written + len(work.failures) - bar.n)
        bar.update(written + len(work.failures) - bar.n)
    for line in work.failures:
        say(f"left out: {line}")
    return written


@contextlib.contextmanager
def saying_what_cannot_be_written() -> Iterator[None]:
    """Turns an OSError, which names the file that it is about, into a line that says how to go on.

    Raises:
      InputError: a file could not be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be written ({error.strerror}); the same command continues with the photographs "
            "that are not finished."
        ) from error


def with_bar(results: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    """Shows a bar of photographs on a terminal; a `records.Progress`."""
    return tqdm(results, total=total, desc=what, unit=" photographs", disable=None)


def say(line: str) -> None:
    """Prints a line to stderr, above a bar if there is one."""
    tqdm.write(line, file=sys.stderr)
