"""Splits: which cases train, which validate, which test. By case, and by patient where patients are known."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from configs import InputError
from records.cases.sources import Case


def assign_validation(
    cases: list[Case], lesion_fraction: Mapping[str, float], *, fraction: float, seed: int
) -> list[Case]:
    """Moves a share of the training cases to validation, so that both hold small and large lesion areas alike.

    The training cases (or patients, whose cases stay together) are sorted by lesion area and divided into as many
    strata as validation is to have; one is drawn from each. A source that has validation cases of its own keeps them.

    Args:
      cases: cases with the splits of their source.
      lesion_fraction: lesion area of each case, by its name, as a share of its photograph.
      fraction: share of the training cases that validate, in [0, 1); at least one does where fraction is above 0
        and there are two.
      seed: of the draws.

    Returns:
      The cases in the same order.
    """
    by_area = _patients_by_area(cases, lesion_fraction)
    has_validation = any(case.split == "validation" for case in cases)
    wanted = min(max(round(fraction * len(by_area)), 1), len(by_area) - 1)
    if fraction == 0 or has_validation or wanted < 1:
        return cases
    draw = np.random.default_rng(seed)
    # Not np.array_split: it puts all the larger strata first, among the small lesions.
    edges = [len(by_area) * stratum // wanted for stratum in range(1, wanted)]
    chosen = {str(draw.choice(stratum)) for stratum in np.split(np.array(by_area), edges)}
    return [
        dataclasses.replace(case, split="validation") if case.split == "train" and _patient(case) in chosen else case
        for case in cases
    ]


def assign_folds(cases: list[Case], lesion_fraction: Mapping[str, float], *, folds: int, seed: int) -> dict[str, int]:
    """Deals the training and validation cases into folds that hold small and large lesion areas alike.

    Sorted by lesion area, every run of `folds` cases (or patients) is dealt to the folds in an order drawn anew.

    Returns:
      The fold, 0 to folds - 1, of each case that is not of a test part, by its name.

    Raises:
      InputError: fewer than two folds, or fewer cases (or patients) than folds.
    """
    kept = [dataclasses.replace(case, split="train") for case in cases if case.split != "test"]
    by_area = _patients_by_area(kept, lesion_fraction)
    if not 2 <= folds <= len(by_area):
        raise InputError(f"folds must be 2 to the number of cases or patients ({len(by_area)}); received {folds}.")
    draw = np.random.default_rng(seed)
    fold_of: dict[str, int] = {}
    for start in range(0, len(by_area), folds):
        order = draw.permutation(folds)
        fold_of |= {patient: int(order[i]) for i, patient in enumerate(by_area[start : start + folds])}
    return {case.name: fold_of[_patient(case)] for case in kept}


def _patients_by_area(cases: list[Case], lesion_fraction: Mapping[str, float]) -> list[str]:
    """Returns the patients of the training cases by lesion area, ties by name: the cases' order plays no part."""
    area: dict[str, float] = {}
    for case in sorted(cases, key=lambda case: case.name):
        if case.split == "train":
            area[_patient(case)] = area.get(_patient(case), 0.0) + lesion_fraction[case.name]
    return sorted(area, key=lambda patient: (area[patient], patient))


def _patient(case: Case) -> str:
    """A case whose patient is not known is a patient of its own; the prefixes keep the two kinds of name apart."""
    return f"case {case.name}" if case.patient is None else f"patient {case.patient}"
