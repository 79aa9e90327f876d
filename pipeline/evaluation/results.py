"""Results: the folder that an evaluation leaves, written photograph by photograph and read back the same way.

- `counts.npz`: the counts themselves, from which every score can be computed again. `numpy.load` opens it; its arrays:

  | name | what it is |
  | --- | --- |
  | `schema_version` | `SCHEMA_VERSION` |
  | `classes`, `regions` | strings `[C]`, `[R]` |
  | `bins` | of the histograms |
  | `thresholds` | float64 `[C]` |
  | `cases` | strings `[N]`, in the order in which they were scored |
  | `sizes` | int64 `[N, 2]`, height and width of each photograph |
  | `NUMBER/histograms` | int64 `[R, C, 2, bins]` of photograph NUMBER (from 0): other pixels, then lesion pixels |
  | `NUMBER/outcomes` | int64 `[R, C, 2]`: false positives, then true positives |
  | `NUMBER/lesions/CLASS` | its lesions, `pipeline.evaluation.lesion_matching.LESION` |
  | `NUMBER/findings/CLASS` | what was found in it, the same |

- `scores.json`: what was scored and all numbers (`pipeline.evaluation.summary`).
- `photographs.csv`: a row a photograph, class and region.
- `lesions.csv`: a row a lesion or finding.

`read_result` reads `counts.npz` and what `scores.json` says of the run. Photographs are read one at a time.
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
from records import complete_file

SCHEMA_VERSION = 1
COUNTS, SCORES = "counts.npz", "scores.json"


@dataclasses.dataclass(frozen=True)
class Result:
    """One evaluation, or several of different photographs together.

    Attributes:
      folders: of the evaluations.
      classes: names.
      bins: of the histograms.
      thresholds: of each class by folder; the folds of a cross-validation may have different ones.
      cases: names of the photographs, in order.
      about: what `scores.json` of the first folder holds.
    """

    folders: tuple[Path, ...]
    classes: tuple[str, ...]
    bins: int
    thresholds: tuple[tuple[float, ...], ...]
    cases: tuple[str, ...]
    about: Mapping[str, Any]

    def photographs(self) -> Iterator[PhotographCounts]:
        """Reads the photographs one by one, in the order of `cases`; can be called again."""
        for folder in self.folders:
            with _opened(folder / COUNTS) as arrays:
                sizes = arrays["sizes"].tolist()
                for number, (case, size) in enumerate(zip(arrays["cases"].tolist(), sizes, strict=True)):
                    yield _photograph(arrays, number, case, size=size, classes=self.classes)


class CountsWriter:
    """Writes `counts.npz` photograph by photograph."""

    def __init__(self, archive: zipfile.ZipFile, *, classes: tuple[str, ...], bins: int, thresholds: tuple[float, ...]):
        self._archive, self._classes = archive, classes
        self._cases: list[str] = []
        self._sizes: list[tuple[int, int]] = []
        self._write("schema_version", np.array(SCHEMA_VERSION))
        self._write("classes", np.array(classes))
        self._write("regions", np.array(REGIONS))
        self._write("bins", np.array(bins))
        self._write("thresholds", np.array(thresholds, np.float64))

    def add(self, photograph: PhotographCounts) -> None:
        counts = [[photograph.counts[region][name] for name in self._classes] for region in REGIONS]
        number = len(self._cases)
        histograms = np.array([[(one.other, one.lesion) for one in row] for row in counts], np.int64)
        outcomes = np.array([[(one.false_positive, one.true_positive) for one in row] for row in counts], np.int64)
        self._write(f"{number}/histograms", histograms)
        self._write(f"{number}/outcomes", outcomes)
        for name in self._classes:
            self._write(f"{number}/lesions/{name}", photograph.lesions[name])
            self._write(f"{number}/findings/{name}", photograph.findings[name])
        self._cases.append(photograph.case)
        self._sizes.append((photograph.height, photograph.width))

    def close(self) -> None:
        """Writes what is known only at the end; without it the file is not complete."""
        self._write("cases", np.array(self._cases, np.str_))
        self._write("sizes", np.array(self._sizes, np.int64).reshape(-1, 2))

    def _write(self, name: str, array: np.ndarray) -> None:
        with self._archive.open(f"{name}.npy", "w") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)


@contextlib.contextmanager
def counts_writer(
    folder: Path, *, classes: tuple[str, ...], bins: int, thresholds: tuple[float, ...]
) -> Iterator[CountsWriter]:
    """Lends a writer of `counts.npz`, which is there when the block ends well, whole or not at all."""
    with (
        complete_file(folder / COUNTS) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        writer = CountsWriter(archive, classes=classes, bins=bins, thresholds=thresholds)
        yield writer
        writer.close()


def read_result(*folders: Path) -> Result:
    """Opens the result of an evaluation, or those of several that scored different photographs.

    Raises:
      InputError: no result there, a damaged one or one of another schema version; of several, other classes or
        numbers of bins, or a photograph in two of them.
    """
    parts = [_read_one(folder) for folder in folders]
    first = parts[0]
    owner: dict[str, Path] = {}
    for folder, part in zip(folders, parts, strict=True):
        for what in ("classes", "bins"):
            if getattr(part, what) != getattr(first, what):
                raise InputError(
                    f"{folder}: {what} {getattr(part, what)}, but {folders[0]} has {getattr(first, what)}; "
                    "only results of the same can be put together."
                )
        for case in part.cases:
            if case in owner:
                raise InputError(f"{folder}: photograph {case} was scored in {owner[case]} too; it would count twice.")
            owner[case] = folder
    thresholds = tuple(threshold for part in parts for threshold in part.thresholds)
    return Result(tuple(folders), first.classes, first.bins, thresholds, tuple(owner), first.about)


def read_counts(folder: Path, about: Mapping[str, Any]) -> Result:
    """Opens the counts of one evaluation.

    Raises:
      InputError: none there, damaged ones or of another schema version.
    """
    if not (folder / COUNTS).is_file():
        raise InputError(f"{folder}: no {COUNTS} there; expected a folder that python -m scripts.eval left.")
    with _opened(folder / COUNTS) as arrays:
        if (version := int(arrays["schema_version"])) != SCHEMA_VERSION:
            raise InputError(f"{folder / COUNTS}: schema version {version}, but this software reads {SCHEMA_VERSION}.")
        classes, thresholds = tuple(arrays["classes"].tolist()), tuple(arrays["thresholds"].tolist())
        cases = tuple(arrays["cases"].tolist())
        return Result((folder,), classes, int(arrays["bins"]), (thresholds,), cases, about)


def _read_one(folder: Path) -> Result:
    path = folder / SCORES
    if not path.is_file():
        raise InputError(f"{folder}: no {SCORES} there; expected a folder that python -m scripts.eval left.")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); run python -m scripts.eval again.") from error
    return read_counts(folder, about)


def _photograph(
    arrays: Mapping[str, np.ndarray], number: int, case: str, *, size: Sequence[int], classes: tuple[str, ...]
) -> PhotographCounts:
    histograms, outcomes = arrays[f"{number}/histograms"], arrays[f"{number}/outcomes"].tolist()
    counts = {
        region: {
            name: Counts(histograms[r, c, 1], histograms[r, c, 0], outcomes[r][c][1], outcomes[r][c][0])
            for c, name in enumerate(classes)
        }
        for r, region in enumerate(REGIONS)
    }
    lesions = {name: arrays[f"{number}/lesions/{name}"] for name in classes}
    findings = {name: arrays[f"{number}/findings/{name}"] for name in classes}
    return PhotographCounts(case, size[0], size[1], counts, lesions, findings)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            yield arrays
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: damaged ({type(error).__name__}: {error}); run python -m scripts.eval again."
        ) from error
