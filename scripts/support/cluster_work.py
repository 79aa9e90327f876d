"""Photographs that the nodes of a cluster read, segment and write."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from configs import InputError
from pipeline.prediction import PhotographFile
from records import LostPieceError
from scripts.support.cluster import RayCluster


class SweptFolder(Protocol):
    """A folder for output, such as a `PredictionFolder`."""

    output: Path

    def sweep(self) -> None:
        """Removes temporary files of processes that have ended."""
        ...


class ClusterWork:
    """Reads, segments and writes photographs on a cluster, as `OverlappedWork` does in this process.

    Attributes:
      failures: error messages of photographs that could not be read, segmented or written.
    """

    def __init__(
        self,
        cluster: RayCluster,
        make: Callable[[], Callable[[PhotographFile], None]],
        *,
        files: Mapping[str, Path],
        folder: SweptFolder,
        stopped: Callable[[], bool],
    ):
        """Sends nothing yet; `run` does.

        Args:
          cluster: the cluster.
          make: loads a model in a process of a node, and returns the function that works through one photograph.
          files: the photographs by the names of their cases.
          folder: the folder that they are written to.
          stopped: function that is called again and again; when it returns True, no more photographs are begun.
        """
        self._cluster, self._make, self._files = cluster, make, files
        self._folder, self._stopped = folder, stopped
        self.failures: list[str] = []

    def run(self, cases: Iterable[str]) -> Iterator[str]:
        """Yields the name of each case when it is written, as they come.

        Raises:
          InputError: a node cannot work for the command.
          OSError: a file could not be written.
        """
        pieces = [(case, self._files[case]) for case in cases]
        need = self._cluster.model_need()
        outcomes = self._cluster.map_prepared(
            self._make, pieces, folder=self._folder.output, need=need, stopped=self._stopped
        )
        for number, outcome in outcomes:
            case, path = pieces[number]
            if isinstance(outcome, LostPieceError):
                self.failures.append(f"{path}: {outcome}")
            elif isinstance(outcome, InputError):
                self.failures.append(str(outcome))
            else:
                yield case
        self._folder.sweep()  # of processes that were lost
