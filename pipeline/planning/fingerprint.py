"""The fingerprint of a source: what its photographs and masks are, measured once and kept in a file.

A photograph is measured again only if one of its files, or what is said of its classes, has changed.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from configs import DataConfig, InputError
from pipeline.planning.photograph_facts import (
    PhotographFacts,
    facts_from_dict,
    facts_to_dict,
    measure_photograph,
)
from records import Case, Progress, Workers, equivalent_diameter, map_cases, near_pairs, no_progress, write_text

VERSION = 1  # of what is measured; with another one, kept measurements are of no use


@dataclasses.dataclass(frozen=True)
class ClassFacts:
    """The lesions of one class in all photographs that are not of the test part.

    Attributes:
      name: the class.
      diameters: of circles of the lesions' areas, as fractions of the diameter of their photograph's field of view.
      extents: longer sides of the lesions' bounding boxes, as such fractions.
      contrasts: see `LesionFacts`.
      showing: number of photographs that show a lesion.
      known: number of photographs where the class is known, at least in a part.
      absent: number of photographs that are said to show none.
      fraction: lesion pixels, as a fraction of the fields of view of the photographs where the class is known.
    """

    name: str
    diameters: np.ndarray
    extents: np.ndarray
    contrasts: np.ndarray
    showing: int
    known: int
    absent: int
    fraction: float


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What the photographs and masks of a source are.

    Attributes:
      layout: layout of the source, as `find_cases` returns it.
      data: how they were read: classes, and how large photographs may be.
      cases: the photographs that could be measured, with the splits of the source.
      facts: the measurements, by the names of the cases.
      failures: for each photograph that cannot be read, by its name, a one-line reason.
      measured: number of photographs that were measured now, and not taken from the file.
    """

    layout: str
    data: DataConfig
    cases: Sequence[Case]
    facts: Mapping[str, PhotographFacts]
    failures: Mapping[str, str]
    measured: int

    @property
    def learnt_from(self) -> list[Case]:
        """The cases that a training may use: those that are not of the source's test part."""
        return [case for case in self.cases if case.split != "test"]

    @property
    def patients(self) -> int:
        """Number of patients that a training may use; a photograph of an unknown one counts as one."""
        return len({("patient", case.patient) if case.patient else ("case", case.name) for case in self.learnt_from})

    @property
    def shown_classes(self) -> tuple[str, ...]:
        """The classes of which any photograph that a training may use shows a lesion."""
        return tuple(name for name in self.cases[0].masks if self.of_class(name).showing)

    def of_class(self, name: str) -> ClassFacts:
        """Returns the lesions of a class."""
        facts = [self.facts[case.name] for case in self.learnt_from]
        known = [one for one in facts if name in one.lesions]
        lesions = [(one.lesions[name], one.ruler) for one in known]
        pixels = sum(sum(one.areas) for one, _ in lesions)
        return ClassFacts(
            name=name,
            diameters=np.array([equivalent_diameter(area) / ruler for one, ruler in lesions for area in one.areas]),
            extents=np.array([extent / ruler for one, ruler in lesions for extent in one.extents]),
            contrasts=np.array([contrast for one, _ in lesions for contrast in one.contrasts]),
            showing=sum(bool(one.areas) for one, _ in lesions),
            known=len(known),
            absent=sum(name in one.absent for one in facts),
            fraction=pixels / max(sum(one.field_pixels for one in known), 1),
        )

    def look_alikes(self) -> list[tuple[str, str, int]]:
        """Returns pairs of photographs that look the same, and in how many of 256 bits they differ."""
        return near_pairs({name: one.perceptual_hash for name, one in self.facts.items()})


def take_fingerprint(
    layout: str,
    cases: Sequence[Case],
    data: DataConfig,
    *,
    kept: Path,
    workers: Workers,
    progress: Progress = no_progress,
) -> Fingerprint:
    """Measures the photographs of a source, several at once, except those that the file has already.

    Args:
      layout: layout of the source, as `find_cases` returns it.
      cases: its cases.
      data: classes, and how large photographs may be.
      kept: file for the measurements; what it says of files that have not changed is taken as it is.
      workers: number of photographs that are read at once, or a cluster.
      progress: shows how many photographs have been measured.

    Raises:
      InputError: no photograph can be read.
    """
    known = _read(kept)
    keys = {case.name: _key(case, data) for case in cases}
    facts = {name: known[key] for name, key in keys.items() if key in known}
    todo = [case for case in cases if case.name not in facts]
    measured, failures = {}, {}
    results = map_cases(lambda case: measure_photograph(case, data), todo, workers=workers)
    for case, result in zip(todo, progress(results, len(todo), "photographs"), strict=True):
        if isinstance(result, InputError):
            failures[case.name] = str(result)
        else:
            measured[case.name] = result
    facts |= measured
    if not facts:
        raise InputError(
            f"none of the {len(cases)} photographs can be read; the first: {next(iter(failures.values()))}"
        )
    readable = [case for case in cases if case.name in facts]
    if measured:
        _write(kept, {keys[case.name]: facts[case.name] for case in readable})
    return Fingerprint(layout, data, readable, facts=facts, failures=failures, measured=len(measured))


def _key(case: Case, data: DataConfig) -> str:
    """Returns what a photograph's measurements depend on: its files by name, size and time, and what is said of it."""
    files = [(str(file.resolve()), (status := file.stat()).st_size, status.st_mtime_ns) for file in case.files]
    roles = {name: [str(one) for one in case.mask_files(name)] for name in case.masks}
    said = [sorted(case.unknown), sorted(case.absent), data.classes, data.colors, data.soft_labels, data.max_pixels]
    return hashlib.sha256(json.dumps([VERSION, files, roles, said]).encode()).hexdigest()


def _read(path: Path) -> dict[str, PhotographFacts]:
    """Returns the measurements of an earlier run; none if there is no file, or one of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: facts_from_dict(values) for key, values in content["photographs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(path: Path, facts: Mapping[str, PhotographFacts]) -> None:
    content = {"version": VERSION, "photographs": {key: facts_to_dict(one) for key, one in facts.items()}}
    write_text(path, json.dumps(content) + "\n")
