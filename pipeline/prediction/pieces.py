"""Photographs as pieces of work for the processes of a cluster, each of which loads a model once."""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from configs import InputError
from pipeline.inference import TiledSegmenter
from pipeline.prediction.folder import PredictionFolder
from pipeline.prediction.pool import SegmenterPool, all_devices
from records import PhotographWarning

Photograph = TypeVar("Photograph")
Result = TypeVar("Result")
Written_contra = TypeVar("Written_contra", contravariant=True)
PhotographFile = tuple[str, Path]  # name of the case, and its file


class OutputFolder(Protocol[Photograph, Written_contra]):
    """A folder for what is made of photographs, such as a `PredictionFolder`."""

    def read(self, case: str, path: Path) -> Photograph:
        """Reads and measures a photograph."""
        ...

    def write(self, case: str, path: Path, measured: Photograph, *, segmented: Written_contra) -> None:
        """Writes what was made of it."""
        ...


def predicting(load: Callable[[], TiledSegmenter], folder: PredictionFolder) -> Callable[[PhotographFile], None]:
    """Loads a segmenter, and returns a function that predicts a photograph, to be called in several threads.

    Args:
      load: loads the segmenter.
      folder: the folder of predictions, as it was pickled after `begin`.
    """
    pool = SegmenterPool(load, all_devices(), say=warn)
    folder.measure = pool.measure
    return functools.partial(work_through_one, folder, pool.segment)


def work_through_one(
    folder: OutputFolder[Photograph, Result], segment: Callable[[Photograph], Result], one: PhotographFile
) -> None:
    """Reads, segments and writes one photograph.

    Args:
      folder: reads and writes.
      segment: segments; waits for a free device.
      one: the photograph.

    Raises:
      InputError: it cannot be read, segmented or written, as in `OverlappedWork.failures`.
      OSError: a file could not be written.
    """
    case, path = one
    measured = folder.read(case, path)
    try:
        folder.write(case, path, measured, segmented=segment(measured))
    except InputError as error:
        raise InputError(f"{case}: {error}") from error


def warn(line: str) -> None:
    """Warns in a process of a cluster, whose warnings reach the command."""
    warnings.warn(PhotographWarning(line), stacklevel=2)
