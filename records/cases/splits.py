"""Assigns cases to splits and folds: by case, or by patient where patients are known."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from configs import InputError
from records.cases.case import Case


def assign_validation(
    cases: list[Case], lesion_fraction: Mapping[str, float], *, fraction: float, seed: int
) -> list[Case]:
    """Moves a fraction of the training cases to validation, so that both have similar lesion areas.

    The training cases (or patients, whose cases stay together) are sorted by lesion area and divided into as many
    strata as there will be validation cases; one is drawn from each. If the source has validation cases, nothing moves.

    Args:
      cases: cases with the splits of their source.
      lesion_fraction: lesion area of each case, by its name, as a fraction of its photograph.
      fraction: fraction of the training cases (or patients) that validate, 0 to below 1. If above 0, at least one
        validates, provided that there are two.
      seed: seed of the draws.

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
    """Assigns the training and validation cases to folds with similar lesion areas.

    Of the cases (or patients), sorted by lesion area, each group of `folds` successive ones is assigned to the folds in
    a newly drawn order.

    Args:
      cases: cases; those of the split "test" are left out.
      lesion_fraction: lesion area of each case, by its name, as a fraction of its photograph.
      folds: number of folds, at least 2.
      seed: seed of the draws.

    Returns:
      The fold of each case, 0 to folds - 1, by its name.

    Raises:
      InputError: there are fewer than two folds, or fewer cases (or patients) than folds.
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
    """Returns the patients of the training cases by lesion area, ties by name, whatever the order of the cases."""
    area: dict[str, float] = {}
    for case in sorted(cases, key=lambda case: case.name):
        if case.split == "train":
            area[_patient(case)] = area.get(_patient(case), 0.0) + lesion_fraction[case.name]
    return sorted(area, key=lambda patient: (area[patient], patient))


def _patient(case: Case) -> str:
    """Returns the patient of a case, or the case itself if unknown; prefixes keep the two kinds of names apart."""
    return f"case {case.name}" if case.patient is None else f"patient {case.patient}"
