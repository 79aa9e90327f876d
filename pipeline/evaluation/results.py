"""Results: the folder that an evaluation writes, one photograph at a time, and reading it back the same way.

- `counts.npz`: the counts, from which every score can be computed again. `numpy.load` opens it; its arrays:

  | name | content |
  | --- | --- |
  | `schema_version` | `SCHEMA_VERSION` |
  | `classes`, `regions` | strings `[C]`, `[R]` |
  | `bins` | number of equal bins over 0..1 |
  | `thresholds` | float64 `[C]`, operating thresholds |
  | `cases` | strings `[N]`, in the order of scoring |
  | `sizes` | int64 `[N, 2]`, height and width of each photograph |
  | `identities` | strings `[N, 2]`, sha256 of each photograph's file and its perceptual hash; may be absent |
  | `NUMBER/histograms` | int64 `[R, C, 2, B]` of photograph NUMBER (from 0): negatives, then lesion pixels |
  | `edges` | float64 `[B]`: the lower edges of the bins, see `pipeline.evaluation.probability_bins` |
  | `NUMBER/outcomes` | int64 `[R, C, 2]`: false positives, then true positives |
  | `NUMBER/lesions/CLASS` | lesions, `pipeline.evaluation.lesion_matching.LESION` |
  | `NUMBER/findings/CLASS` | detections, the same dtype |
  | `NUMBER/factor` | float64, by which the photograph was scaled for the network; may be absent |
  | `sweep_thresholds`, `sweep_areas` | float64 `[T]`, `[A]`: the grid of `pipeline.evaluation.sweeps`; may be absent |
  | `NUMBER/sweeps` | int64 `[C, 5, T, A]`, what each class counts there; may be absent |
  | `NUMBER/tiles` | tiles, `pipeline.evaluation.tile_errors.TILE_ERRORS`; may be absent |

  The histograms of a class that is unknown in a photograph are zero. Files of earlier versions know all classes.
  Those, and results of external maps, have no factors. Sweeps are there if `eval --sweep` asked for them. Files of
  schema version 1 have equal bins alone, and no edges.

- `scores.json`: what was scored, and all scores (`pipeline.evaluation.summary`).
- `photographs.csv`: one row per photograph, class and region (`pipeline.evaluation.tables`).
- `lesions.csv`: one row per lesion or detection.
- `tiles.csv`: one row per tile, with what is expected to be wrong and what is (`pipeline.evaluation.tile_errors`).

`read_result` reads `counts.npz`, and `scores.json` for its description of the run. Photographs are read one at a time.
"""

import contextlib
import dataclasses
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from pipeline.evaluation.counting import REGIONS, Counts, PhotographCounts
from pipeline.evaluation.probability_bins import lower_edges, widen
from pipeline.evaluation.sweeps import AREAS, THRESHOLDS
from records import PhotographIdentity, complete_file

SCHEMA_VERSION = 2
READABLE = (1, 2)
COUNTS, SCORES = "counts.npz", "scores.json"


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one evaluation, or of several that scored different photographs.

    Attributes:
      folders: folders of the evaluations.
      classes: names of the classes.
      bins: number of equal bins over 0..1.
      thresholds: thresholds of the classes for each folder; those of a cross-validation's folds differ.
      cases: names of the photographs, in order.
      about: content of the first folder's `scores.json`.
      identities: what the photographs are recognised by; empty if a folder of an earlier version does not say.
      schema_version: of the counts, the least of all folders.
    """

    folders: tuple[Path, ...]
    classes: tuple[str, ...]
    bins: int
    thresholds: tuple[tuple[float, ...], ...]
    cases: tuple[str, ...]
    about: Mapping[str, Any]
    identities: tuple[PhotographIdentity, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def photographs(self) -> Iterator[PhotographCounts]:
        """Reads the counts one photograph at a time, in the order of `cases`; can be called repeatedly."""
        for folder in self.folders:
            with _opened(folder / COUNTS) as arrays:
                sizes = arrays["sizes"].tolist()
                for number, (case, size) in enumerate(zip(arrays["cases"].tolist(), sizes, strict=True)):
                    yield _photograph(arrays, number, case, size=size, classes=self.classes)


class CountsWriter:
    """A writer of `counts.npz` that takes one photograph at a time; see `counts_writer`."""

    def __init__(self, archive: zipfile.ZipFile, *, classes: tuple[str, ...], bins: int, thresholds: tuple[float, ...]):
        self._archive, self._classes = archive, classes
        self._cases: list[str] = []
        self._sizes: list[tuple[int, int]] = []
        self._identities: list[PhotographIdentity] = []
        self._swept = False
        self._write("schema_version", np.array(SCHEMA_VERSION))
        self._write("classes", np.array(classes))
        self._write("regions", np.array(REGIONS))
        self._write("bins", np.array(bins))
        self._write("edges", lower_edges(bins))
        self._write("thresholds", np.array(thresholds, np.float64))

    def add(self, photograph: PhotographCounts, identity: PhotographIdentity | None = None) -> None:
        """Writes the counts of a photograph, and what it is recognised by."""
        counts = [[photograph.counts[region][name] for name in self._classes] for region in REGIONS]
        number = len(self._cases)
        histograms = np.array([[(one.negatives, one.lesion) for one in row] for row in counts], np.int64)
        outcomes = np.array([[(one.false_positive, one.true_positive) for one in row] for row in counts], np.int64)
        self._write(f"{number}/histograms", histograms)
        self._write(f"{number}/outcomes", outcomes)
        for name in self._classes:
            self._write(f"{number}/lesions/{name}", photograph.lesions[name])
            self._write(f"{number}/findings/{name}", photograph.detections[name])
        if photograph.factor is not None:
            self._write(f"{number}/factor", np.array(photograph.factor, np.float64))
        if photograph.sweeps:
            self._swept = True
            self._write(f"{number}/sweeps", np.array([photograph.sweeps[name] for name in self._classes], np.int64))
        if photograph.tiles is not None:
            self._write(f"{number}/tiles", photograph.tiles)
        self._cases.append(photograph.case)
        self._sizes.append((photograph.height, photograph.width))
        self._identities += [identity] if identity is not None else []

    def close(self) -> None:
        """Writes the lists of photographs, without which the file is not complete."""
        self._write("cases", np.array(self._cases, np.str_))
        if self._swept:
            self._write("sweep_thresholds", np.array(THRESHOLDS))
            self._write("sweep_areas", np.array(AREAS))
        self._write("sizes", np.array(self._sizes, np.int64).reshape(-1, 2))
        if len(self._identities) == len(self._cases):
            identities = [(one.sha256, one.perceptual_hash) for one in self._identities]
            self._write("identities", np.array(identities, np.str_).reshape(-1, 2))

    def _write(self, name: str, array: np.ndarray) -> None:
        with self._archive.open(f"{name}.npy", "w") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)


@contextlib.contextmanager
def counts_writer(
    folder: Path, *, classes: tuple[str, ...], bins: int, thresholds: tuple[float, ...]
) -> Iterator[CountsWriter]:
    """Opens a writer of `counts.npz`; the file appears, complete, if the block ends without an exception.

    Args:
      folder: folder for the file.
      classes: names of the classes.
      bins: number of equal bins over 0..1.
      thresholds: operating threshold of each class.

    Yields:
      The writer.
    """
    with (
        complete_file(folder / COUNTS) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        writer = CountsWriter(archive, classes=classes, bins=bins, thresholds=thresholds)
        yield writer
        writer.close()


def read_result(*folders: Path) -> Result:
    """Opens the result of an evaluation, or of several that scored different photographs.

    Args:
      *folders: folders that `python -m scripts.eval` wrote.

    Returns:
      The result; its photographs are read when they are asked for.

    Raises:
      InputError: a folder has no result, a damaged one or one of another schema version; or several differ in their
        classes or bins, or share a photograph.
    """
    parts = [_read_one(folder) for folder in folders]
    first = parts[0]
    owner: dict[str, Path] = {}
    for folder, part in zip(folders, parts, strict=True):
        for what in ("classes", "bins"):
            if getattr(part, what) != getattr(first, what):
                raise InputError(
                    f"{folder}: {what} {getattr(part, what)}, but {folders[0]} has {getattr(first, what)}; "
                    "results can only be pooled if both are equal."
                )
        for case in part.cases:
            if case in owner:
                raise InputError(f"{folder}: photograph {case} was also scored in {owner[case]}; it would count twice.")
            owner[case] = folder
    thresholds = tuple(threshold for part in parts for threshold in part.thresholds)
    identities = tuple(identity for part in parts for identity in part.identities)
    return Result(
        tuple(folders),
        first.classes,
        first.bins,
        thresholds=thresholds,
        cases=tuple(owner),
        about=first.about,
        identities=identities if len(identities) == len(owner) else (),
        schema_version=min(part.schema_version for part in parts),
    )


def read_counts(folder: Path, about: Mapping[str, Any]) -> Result:
    """Opens the counts of one evaluation.

    Args:
      folder: folder with `counts.npz`.
      about: description of the run.

    Returns:
      The result.

    Raises:
      InputError: there are no counts, or they are damaged or of another schema version.
    """
    if not (folder / COUNTS).is_file():
        raise InputError(f"{folder}: no {COUNTS} there; expected a folder that python -m scripts.eval wrote.")
    with _opened(folder / COUNTS) as arrays:
        if (version := int(arrays["schema_version"])) not in READABLE:
            readable = " and ".join(map(str, READABLE))
            raise InputError(f"{folder / COUNTS}: schema version {version}, but this software reads {readable}.")
        classes, thresholds = tuple(arrays["classes"].tolist()), tuple(arrays["thresholds"].tolist())
        cases = tuple(arrays["cases"].tolist())
        known = zip(cases, arrays["identities"].tolist(), strict=True) if "identities" in arrays else ()
        return Result(
            (folder,),
            classes,
            int(arrays["bins"]),
            thresholds=(thresholds,),
            cases=cases,
            about=about,
            identities=tuple(PhotographIdentity(case, *identity) for case, identity in known),
            schema_version=version,
        )


def _read_one(folder: Path) -> Result:
    path = folder / SCORES
    if not path.is_file():
        raise InputError(f"{folder}: no {SCORES} there; expected a folder that python -m scripts.eval wrote.")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); run python -m scripts.eval again.") from error
    return read_counts(folder, about)


def _photograph(
    arrays: Mapping[str, np.ndarray], number: int, case: str, *, size: Sequence[int], classes: tuple[str, ...]
) -> PhotographCounts:
    histograms, outcomes = arrays[f"{number}/histograms"], arrays[f"{number}/outcomes"].tolist()
    histograms = histograms if "edges" in arrays else widen(histograms)
    counts = {
        region: {
            name: Counts(histograms[r, c, 1], histograms[r, c, 0], outcomes[r][c][1], outcomes[r][c][0])
            for c, name in enumerate(classes)
        }
        for r, region in enumerate(REGIONS)
    }
    lesions = {name: arrays[f"{number}/lesions/{name}"] for name in classes}
    detections = {name: arrays[f"{number}/findings/{name}"] for name in classes}
    factor = float(arrays[f"{number}/factor"]) if f"{number}/factor" in arrays else None
    sweeps = dict(zip(classes, arrays[f"{number}/sweeps"], strict=True)) if _has_sweeps(arrays, number) else {}
    tiles = arrays.get(f"{number}/tiles", None)
    return PhotographCounts(
        case, size[0], size[1], counts, lesions, detections, factor=factor, sweeps=sweeps, tiles=tiles
    )


def _has_sweeps(arrays: Mapping[str, np.ndarray], number: int) -> bool:
    """Returns whether there are sweeps of a photograph, over the grid of this version."""
    return (
        f"{number}/sweeps" in arrays
        and arrays["sweep_thresholds"].tolist() == list(THRESHOLDS)
        and arrays["sweep_areas"].tolist() == list(AREAS)
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            yield arrays
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: damaged ({type(error).__name__}: {error}); run python -m scripts.eval again."
        ) from error
