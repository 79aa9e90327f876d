"""The folds of a cross-validation over one or more sources: which photographs train, validate and are held out."""

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs import DataConfig, InputError
from records.cases.case import ALL_KNOWN, Case, KnownRules
from records.cases.duplicates import refuse_equal_files
from records.cases.sources import find_cases
from records.cases.splits import assign_folds, assign_validation
from records.cases.survey import Survey
from records.cases.tables import read_patients


@dataclasses.dataclass(frozen=True)
class FoldPlan:
    """The assignment of cases to folds.

    Attributes:
      folds: number of folds.
      sources: for each source, the cases that take part, all of split "train".
      surveys: survey of each case, by its name.
      fold_of: fold in which each case is held out, by its name.
      data: the data config; its `validation_fraction` and `seed` divide the cases that are not held out.
    """

    folds: int
    sources: tuple[tuple[Case, ...], ...]
    surveys: Mapping[str, Survey]
    fold_of: Mapping[str, int]
    data: DataConfig

    def parts(self, fold: int) -> list[list[Case]]:
        """Returns, for each source, its cases with their splits in a fold; the cases held out have the split "test"."""
        areas = {name: survey.lesion_fraction for name, survey in self.surveys.items()}
        parts = []
        for cases in self.sources:
            dealt = [dataclasses.replace(c, split="test") if self.fold_of[c.name] == fold else c for c in cases]
            parts.append(assign_validation(dealt, areas, fraction=self.data.validation_fraction, seed=self.data.seed))
        return parts

    def members(self, fold: int, split: str) -> list[Case]:
        """Returns the cases of all sources that are in a split of a fold."""
        return [case for case in itertools.chain(*self.parts(fold)) if case.split == split]

    def shows_lesions(self, fold: int, split: str) -> bool:
        """Returns whether any case in a split of a fold shows a lesion of any class."""
        return any(any(self.surveys[case.name].lesion_pixels.values()) for case in self.members(fold, split))

    @functools.cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that depend only on the files of all cases and on their folds."""
        rows = sorted((name, self.surveys[name].digest, fold) for name, fold in self.fold_of.items())
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def find_training_cases(
    sources: Sequence[Path],
    data: DataConfig,
    *,
    patients: Path | None = None,
    allow_missing_masks: bool = False,
    unite_masks: bool = False,
    recursive: bool = False,
    known: KnownRules = ALL_KNOWN,
) -> tuple[list[list[Case]], int]:
    """Finds the cases that take part in a cross-validation: the training and validation parts of the sources.

    Args:
      sources: folders as `find_cases` takes them.
      data: the data config, for classes and colours.
      patients: CSV file as `read_patients` takes it, for the photographs of all sources.
      allow_missing_masks: whether in paired folders a photograph without a mask shows no lesion.
      unite_masks: whether several masks of one class and photograph are united.
      recursive: whether in paired folders images/ and masks/ are trees.
      known: what is said of the classes of the photographs; tables and healthy photographs are of a single source.

    Returns:
      For each source its cases, all of split "train"; and the number of cases in test parts, which are left out.

    Raises:
      InputError: a name or a patient is in two sources, a source has only a test part, several sources share a table or
        healthy photographs, or what `find_cases` and `read_patients` raise.
    """
    if len(sources) > 1 and (known.healthy is not None or known.names_table):
        raise InputError(
            "--healthy, and a table of --labelled, are of one --source; put a labels.csv into each of several, which "
            "also has a column absent for healthy photographs."
        )
    owner: dict[str, Path] = {}
    found: list[Case] = []
    for source in sources:
        _, cases = find_cases(
            source,
            data.classes,
            colored=bool(data.colors),
            allow_missing_masks=allow_missing_masks,
            unite_masks=unite_masks,
            recursive=recursive,
            known=known,
        )
        for case in cases:
            if case.name in owner:
                raise InputError(
                    f"--source={source}: {owner[case.name]} has a photograph {case.name}, too; names must be unique in "
                    "a cross-validation. Rename one."
                )
            owner[case.name] = source
        if all(case.split == "test" for case in cases):
            raise InputError(f"--source={source}: has only a test part, which a cross-validation does not use.")
        found += [case if case.split == "test" else dataclasses.replace(case, split="train") for case in cases]
    if patients is not None:
        found = read_patients(patients, found)
    taken = [case for case in found if case.split == "train"]
    source_of: dict[str, Path] = {}
    for case in taken:
        if case.patient is not None and source_of.setdefault(case.patient, owner[case.name]) != owner[case.name]:
            raise InputError(
                f"--patients={patients}: patient {case.patient!r} is in {source_of[case.patient]} and in "
                f"{owner[case.name]}, but folds are assigned within each source; put the photographs into one source."
            )
    return [[case for case in taken if owner[case.name] == source] for source in sources], len(found) - len(taken)


def plan_folds(
    sources: Sequence[list[Case]], surveys: Mapping[str, Survey], data: DataConfig, *, folds: int
) -> FoldPlan:
    """Assigns the cases of each source to folds, by patient, so that all folds have similar lesion areas.

    Args:
      sources: cases as `find_training_cases` returns them.
      surveys: survey of each case, by its name.
      data: the data config, for seed and `validation_fraction`.
      folds: number of folds, at least 2.

    Raises:
      InputError: there are fewer than two folds, a source has fewer cases or patients than folds, equal photographs
        could be separated, the training part of a fold shows no lesion or nothing is known of a class in it, or only
        some sources can validate in a fold.
    """
    areas = {name: survey.lesion_fraction for name, survey in surveys.items()}
    fold_of: dict[str, int] = {}
    # Each source has a seed of its own, so that the surplus cases of all sources do not go into the same folds.
    in_order = sorted(sources, key=lambda cases: min(case.name for case in cases))
    for number, cases in enumerate(in_order):
        fold_of |= assign_folds(cases, areas, folds=folds, seed=data.seed + number)
    plan = FoldPlan(folds, tuple(tuple(cases) for cases in sources), surveys, fold_of, data)
    _refuse_equal(plan)
    for fold in range(folds):
        training = plan.members(fold, "train")
        for name in data.classes:
            if all(name in case.unknown for case in training):
                raise InputError(
                    f"fold {fold} of {folds}: {name} is known in none of its {len(training)} training photographs; "
                    f"choose other --folds, data.seed or data.validation_fraction, or take {name} out of data.classes."
                )
        if not plan.shows_lesions(fold, "train"):
            raise InputError(
                f"fold {fold} of {folds}: none of its {len(training)} training photographs shows any of "
                f"{', '.join(data.classes)}; choose other --folds, data.seed or data.validation_fraction."
            )
        validating = [{case.split for case in cases} >= {"validation"} for cases in plan.parts(fold)]
        if any(validating) and not all(validating):
            few = sources[validating.index(False)]
            raise InputError(
                f"fold {fold} of {folds}: the source of {few[0].photograph} has {len(few)} photographs, too few to "
                "train and validate beside those held out; choose fewer --folds, or omit this source."
            )
    return plan


def _refuse_equal(plan: FoldPlan) -> None:
    """Refuses photographs whose files are equal, unless they have one patient and therefore stay together."""
    cases = {case.name: case for case in itertools.chain(*plan.sources)}
    in_folds = [dataclasses.replace(case, split=f"fold {plan.fold_of[name]}") for name, case in cases.items()]
    digests = {name: plan.surveys[name].photograph_digest for name in cases}
    for one, other in refuse_equal_files(in_folds, digests):
        if cases[one].patient is None or cases[one].patient != cases[other].patient:
            raise InputError(
                f"{cases[one].photograph} and {cases[other].photograph} are the same file; remove one of them, or give "
                "both the same patient with --patients."
            )
