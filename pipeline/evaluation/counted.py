"""Cases to counts and all else that an evaluation keeps of a photograph: in this process, or in one of a cluster."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from configs import InputError
from pipeline.evaluation.counting import PhotographCounts
from pipeline.evaluation.photographs import LoadedCase, Look, Seconds, evaluate_photographs
from pipeline.evaluation.plan import EvaluationPlan
from pipeline.inference import TiledSegmenter
from records import Case, MaskWarning, PhotographIdentity, perceptual_hash, sha256_of


@dataclasses.dataclass(frozen=True)
class Counted:
    """What an evaluation keeps of a photograph.

    Attributes:
      counts: its counts.
      identity: what it is recognised by.
      mask_warnings: what is not plausible about its masks.
      warnings: what is unusual about it for the model.
      seen: what the look at it returned, such as a drawing.
    """

    counts: PhotographCounts
    identity: PhotographIdentity
    mask_warnings: tuple[MaskWarning, ...]
    warnings: list[str]
    seen: Any


Outcome = tuple[Case, Counted | InputError]


def count_cases(
    plan: EvaluationPlan, cases: Iterable[Case], *, look: Look | None, seconds: Seconds | None = None
) -> Iterator[Outcome]:
    """Counts cases in order, as `evaluate_photographs` does.

    Args:
      plan: what is scored, and how.
      cases: the cases.
      look: called with each case after it was counted.
      seconds: times to add to.
    """
    warnings: dict[str, list[str]] = {}
    looks: dict[str, tuple[PhotographIdentity, tuple[MaskWarning, ...], Any]] = {}
    files = {}

    def given() -> Iterator[Case]:
        for case in cases:
            files[case.name] = case.photograph
            yield case

    def identify_and_look(loaded: LoadedCase, probabilities: np.ndarray, counts: PhotographCounts) -> None:
        photograph = sha256_of(files.pop(loaded.case))
        identity = PhotographIdentity(loaded.case, photograph, perceptual_hash(loaded.photograph))
        looks[loaded.case] = identity, loaded.mask_warnings, look and look(loaded, probabilities, counts)

    outcomes = evaluate_photographs(
        plan.map_of(warnings),
        given(),
        plan.data,
        operating_point=plan.operating_point,
        bins=plan.bins,
        measure=plan.segmenter.measure if plan.segmenter is not None else None,
        seconds=seconds,
        look=identify_and_look,
        sweeps=plan.request.sweep,
    )
    for case, outcome in outcomes:
        lines = warnings.pop(case.name, [])
        if isinstance(outcome, InputError):
            yield case, outcome
        else:
            identity, mask_warnings, seen = looks.pop(case.name)
            yield case, Counted(outcome, identity, mask_warnings, lines, seen)


def counting(
    load: Callable[[], TiledSegmenter] | None, plan: EvaluationPlan, look: Look | None
) -> Callable[[Case], tuple[Counted, Seconds]]:
    """Loads a model in a process of a cluster, and returns a function that counts a case.

    Args:
      load: loads the segmenter of the plan; None if there is none.
      plan: the plan without its segmenter and cases.
      look: called with each case after it was counted.
    """
    whole = dataclasses.replace(plan, segmenter=load and load())

    def count(case: Case) -> tuple[Counted, Seconds]:
        seconds = Seconds()
        ((_, outcome),) = count_cases(whole, [case], look=look, seconds=seconds)
        if isinstance(outcome, InputError):
            raise outcome
        return outcome, seconds

    return count
