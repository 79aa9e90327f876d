"""Work on many cases at once: in threads of this process, or on the nodes of a cluster."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2

from configs import InputError

Piece = TypeVar("Piece")
Result = TypeVar("Result")
# Passes results on one by one and may show a progress bar; called with the results, their number and what is read.
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


class Cluster(Protocol):
    """Machines that work on pieces together; what runs them is passed in by the commands."""

    def map(
        self, function: Callable[[Piece], Result], pieces: Sequence[Piece], *, folder: Path | None = None
    ) -> Iterator[Result | InputError]:
        """Calls a function with each piece, each call in a process of some node.

        A call may be made twice, if a node is lost, also at the same time. So a function depends on its piece alone,
        and what it writes appears whole, under a name that depends on the piece.

        Args:
          function: is pickled, as pieces and results are, all of which are small.
          pieces: the pieces.
          folder: folder that the function writes to, which all nodes must see.

        Yields:
          The results in order; the InputError that a call raised, or a `LostPieceError`.
        """
        ...


# Number of threads, or the cluster whose nodes do the work instead.
Workers = int | Cluster


class LostPieceError(InputError):
    """Says that a piece ended the process that worked on it whenever it was tried, at last with nothing beside it."""


def map_cases(
    function: Callable[[Piece], Result], cases: Sequence[Piece], *, workers: Workers, folder: Path | None = None
) -> Generator[Result | InputError]:
    """Calls a function with each case; yields the results in order, or the InputError that a call raised.

    Args:
      function: called in several threads, or on several nodes.
      cases: the cases.
      workers: number of threads, or a cluster.
      folder: folder that the function writes to, if any.
    """
    if not isinstance(workers, int):
        yield from workers.map(function, cases, folder=folder)
        return

    def result_or_error(case: Piece) -> Result | InputError:
        try:
            return function(case)
        except InputError as error:
            return error

    cv2.setNumThreads(1)  # the pool uses all cores already
    with ThreadPoolExecutor(workers) as pool:  # threads: decoding and encoding release Python's global lock
        yield from pool.map(result_or_error, cases)


def no_progress(results: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    """Passes results on without showing a progress bar."""
    return results
