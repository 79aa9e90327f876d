"""Splits: which cases train, which validate, which test. By case, and by patient where patients are known."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from records.sources import Case


def assign_validation(
    cases: list[Case], lesion_share: Mapping[str, float], *, fraction: float, seed: int
) -> list[Case]:
    """Moves a share of the training cases to validation, so that both hold small and large lesion areas alike.

    The training cases (or patients, whose cases stay together) are sorted by lesion area and divided into as many
    strata as validation is to have; one is drawn from each. A source that has validation cases of its own keeps them.

    Args:
      cases: cases with the splits of their source.
      lesion_share: lesion area of each case, by its name, as a share of its photograph.
      fraction: share of the training cases that validate, in [0, 1); at least one does where fraction is above 0
        and there are two.
      seed: of the draws.

    Returns:
      The cases in the same order.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        if case.split == "train":
            groups.setdefault(case.patient or case.name, []).append(case)
    has_validation = any(case.split == "validation" for case in cases)
    wanted = min(max(round(fraction * len(groups)), 1), len(groups) - 1)
    if fraction == 0 or has_validation or wanted < 1:
        return cases
    # The name breaks ties, so that the order of the cases plays no part.
    by_area = sorted(groups, key=lambda name: (sum(lesion_share[case.name] for case in groups[name]), name))
    draw = np.random.default_rng(seed)
    chosen = {str(draw.choice(stratum)) for stratum in np.array_split(np.array(by_area), wanted)}
    return [
        dataclasses.replace(case, split="validation")
        if case.split == "train" and (case.patient or case.name) in chosen
        else case
        for case in cases
    ]
