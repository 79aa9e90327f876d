"""The corrected photographs as two sources: those to learn from, and those that are kept apart to score models.

What a photograph is for is decided once, in `trainings/splits.csv`: if one that is kept apart were learnt from in a
later training, the scores of that model would flatter. Files are linked, not copied: a save replaces them.
"""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from configs import DataConfig, InputError
from pipeline.planning import KEPT_APART, LEARNT_FROM
from pipeline.viewer.corrections import Corrections
from records import (
    LABELS,
    TRAININGS,
    Case,
    assign_validation,
    find_cases,
    make_folder,
    read_splits,
    read_table,
    survey_case,
    write_table,
)

SPLITS_TABLE = "splits.csv"
FEWEST = 5  # corrected photographs: three to learn from, one to choose the epoch and the thresholds, one to score
APART, VALIDATING = 0.2, 0.15  # fractions of them


@dataclasses.dataclass(frozen=True)
class TrainingSet:
    """How many photographs there are for what.

    Attributes:
      train: to learn from.
      validation: to choose the epoch and the thresholds.
      apart: to score the models.
    """

    train: int
    validation: int
    apart: int


def write_training_set(corrections: Corrections, workdir: Path, data: DataConfig) -> TrainingSet:
    """Writes the sources LEARNT_FROM and KEPT_APART of all photographs that were corrected.

    Args:
      corrections: the source that they were saved in.
      workdir: folder for the two sources, in the folder of the trainings.
      data: classes, and the largest photograph that is read.

    Raises:
      InputError: there are too few, too few show a lesion, or a file cannot be read.
    """
    names = set(corrections.usable())
    make_folder(workdir, flag="--output")
    with corrections.unchanged():
        _, found = find_cases(corrections.output, data.classes, warn=lambda line: None)
        cases = _with_splits([case for case in found if case.name in names], corrections.output / TRAININGS, data)
        chosen = {split: [case for case in cases if case.split == split] for split in ("train", "validation", "test")}
        for split in ("train", "validation"):
            _link(chosen[split], corrections.output, workdir / LEARNT_FROM / split)
        _write_labels(workdir / LEARNT_FROM, [*chosen["train"], *chosen["validation"]])
        _link(chosen["test"], corrections.output, workdir / KEPT_APART)
        _write_labels(workdir / KEPT_APART, chosen["test"])
    return TrainingSet(*(len(some) for some in chosen.values()))


def _with_splits(cases: list[Case], folder: Path, data: DataConfig) -> list[Case]:
    """Returns cases with the splits that they had before; new ones get theirs, so that fractions stay as they are."""
    path, before, others = folder / SPLITS_TABLE, {}, []
    if path.exists():
        names = {case.name for case in cases}  # one that is left out today keeps its row for later
        others = [row for row in read_table(path, ("case", "split"), flag=None) if row[0] not in names]
        before = {case.name: case for case in read_splits(path, cases, warn=lambda line: None)}
    new = [dataclasses.replace(case, split="train") for case in cases if case.name not in before]
    area = {case.name: survey_case(case, data).lesion_fraction for case in new}
    known = list(before.values())
    for split, fraction in (("test", APART), ("validation", VALIDATING)):
        lacking = max(round(fraction * len(cases)), 1) - sum(case.split == split for case in known)
        drawn = _drawn(new, area, lacking)
        known += [dataclasses.replace(case, split=split) for case in drawn]
        new = [case for case in new if case not in drawn]
    known += new
    counts = {split: sum(case.split == split for case in known) for split in ("train", "validation", "test")}
    if not all(counts.values()):
        raise InputError(
            f"expected at least {FEWEST} corrected photographs, three of which show a lesion; there are "
            f"{counts['train']} to learn from, {counts['validation']} to choose the epoch, {counts['test']} to score."
        )
    rows = [("case", "split"), *sorted([*others, *((case.name, case.split) for case in known)])]
    write_table(path, rows)
    return known


def _drawn(cases: Sequence[Case], area: dict[str, float], number: int) -> list[Case]:
    """Returns some of the cases that show lesions, of small area and of large, but never all."""
    showing = [case for case in cases if area[case.name] > 0]
    number = min(number, len(showing) - 1)
    if number < 1:
        return []
    drawn = assign_validation(showing, area, fraction=number / len(showing), seed=0)
    chosen = {case.name for case in drawn if case.split == "validation"}
    return [case for case in showing if case.name in chosen]


def _link(cases: Sequence[Case], source: Path, folder: Path) -> None:
    """Makes files of cases appear in a folder as they lie in their source."""
    for case in cases:
        for file in case.files:
            path = folder / file.relative_to(source)
            make_folder(path.parent, flag="--output")
            path.unlink(missing_ok=True)
            try:
                os.link(file, path)
            except OSError:  # a file system without links
                shutil.copyfile(file, path)


def _write_labels(folder: Path, cases: Sequence[Case]) -> None:
    known = [
        (case.name, " ".join(one for one in case.masks if one not in case.unknown), " ".join(sorted(case.absent)))
        for case in cases
    ]
    write_table(folder / LABELS, [("case", "labelled", "absent"), *sorted(known)])
