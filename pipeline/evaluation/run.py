"""An evaluation from its plan to the files of its result."""

import dataclasses
import importlib.metadata
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import InputError
from pipeline.evaluation.counted import Outcome, count_cases
from pipeline.evaluation.names import Names
from pipeline.evaluation.photographs import Look, Seconds
from pipeline.evaluation.plan import EvaluationPlan
from pipeline.evaluation.results import Result, counts_writer, read_counts
from pipeline.evaluation.seen import Seen
from pipeline.evaluation.summary import write_summary
from records import Case, MaskWarning, PhotographIdentity, by_kind

PACKAGES = ("fundus-tiles", "numpy", "opencv-python-headless", "pillow", "scipy", "tensorflow", "keras")

Outcomes = Iterable[Outcome]
Count = Callable[[Sequence[Case], Seconds], Outcomes]  # of cases, in order, and times to add to


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
      result: counts of the photographs that were scored.
      content: content of `scores.json`, see `pipeline.evaluation.summary`.
      names: the names that both give to the photographs; the other attributes have their own.
      scored: cases that were scored.
      hashes: perceptual hash of each photograph that was scored, by the name of its case.
      seen: which of these photographs the model has seen.
      mask_warnings: what is not plausible about masks, one line each, by kind, see `records.cases.mask_checks`.
      failures: message for each case that could not be scored, by its name.
      seconds: time that it took.
    """

    result: Result
    content: dict[str, Any]
    names: Names
    scored: tuple[Case, ...]
    hashes: Mapping[str, str]
    seen: Seen
    mask_warnings: Mapping[str, list[str]]
    failures: Mapping[str, str]
    seconds: Seconds


def evaluate(
    plan: EvaluationPlan,
    output: Path,
    *,
    names: Names | None = None,
    look: Look | None = None,
    progress: Callable[[Outcomes, int], Outcomes] = lambda outcomes, _: outcomes,
    warn: Callable[[str], None] = lambda message: None,
    count: Count | None = None,
) -> Evaluation:
    """Scores the cases of a plan, and writes `counts.npz`, the tables of `write_tables` and `scores.json`.

    Args:
      plan: what to score.
      output: folder for the files.
      names: the names that the files give to the photographs; None: their own.
      look: called with each case after it was counted, such as `pipeline.reporting.Gallery.look`.
      progress: wraps the outcomes, whose number it is given, such as tqdm.
      warn: called with a message for each case that could not be scored.
      count: counts the cases elsewhere, such as on a cluster; None: here.

    Returns:
      The evaluation.

    Raises:
      InputError: no case could be scored; then no file is written.
    """
    names = names or Names()
    failures = plan.without_needed_mask()
    cases = names.order([case for case in plan.cases if case.name not in failures])
    seconds = Seconds()
    warnings: dict[str, list[str]] = {}
    identities: dict[str, PhotographIdentity] = {}
    mask_warnings: list[MaskWarning] = []
    outcomes = count_cases(plan, cases, look=look, seconds=seconds) if count is None else count(cases, seconds)
    thresholds = plan.operating_point.thresholds
    with counts_writer(output, classes=plan.data.classes, bins=plan.bins, thresholds=thresholds) as writer:
        for case, outcome in progress(outcomes, len(cases)):
            if isinstance(outcome, InputError):
                failures[case.name] = str(outcome)
            else:
                identities[case.name] = outcome.identity
                mask_warnings.extend(outcome.mask_warnings)
                if outcome.warnings:
                    warnings[case.name] = outcome.warnings
                writer.add(
                    dataclasses.replace(outcome.counts, case=names.of(case.name)), names.identity(outcome.identity)
                )
        for message in failures.values():
            warn(message)
        if len(failures) == len(plan.cases):
            raise InputError(f"none of the {len(plan.cases)} photographs could be scored.")
    seen = plan.seen(list(identities.values()))
    about = _description(plan, failures, seconds, names=names, warnings=warnings, seen=seen)
    about["mask_warnings"] = by_kind(one._replace(text=names.within(one.text)) for one in mask_warnings)
    result = read_counts(output, about)
    return Evaluation(
        result,
        write_summary(output, result, about),
        names,
        scored=tuple(case for case in cases if case.name not in failures),
        hashes={case: identity.perceptual_hash for case, identity in identities.items()},
        seen=seen,
        mask_warnings=by_kind(mask_warnings),
        failures=failures,
        seconds=seconds,
    )


def _description(
    plan: EvaluationPlan,
    failures: Mapping[str, str],
    seconds: Seconds,
    *,
    names: Names,
    warnings: Mapping[str, list[str]],
    seen: Seen,
) -> dict[str, Any]:
    """Returns the first entries of `scores.json`, which describe the run."""
    request, spec = plan.request, plan.spec
    return {
        "anonymous": names.anonymous,
        "model": names.path(request.model),
        "predictions": names.path(request.predictions),
        "levels": plan.levels,
        "source": names.path(request.source),
        "layout": plan.layout,
        "labelled": names.path(request.known.labelled),
        "healthy": names.path(request.known.healthy),
        "absent": list(request.known.absent),
        "split": request.split,
        "records": names.path(request.records),
        "photographs": len(plan.cases) - len(failures),
        "left_out": [{"case": names.of(case), "why": names.within(why)} for case, why in failures.items()],
        "warnings": [{"case": names.of(case), "warnings": lines} for case, lines in warnings.items()],
        "classes": list(plan.data.classes),
        "bins": plan.bins,
        "thresholds": dict(zip(plan.data.classes, plan.operating_point.thresholds, strict=True)),
        "threshold_source": plan.threshold_source,
        "threshold_seen": bool(seen.thresholds_on),
        "threshold_seen_on": names.of_all({pair.one for pair in seen.thresholds_on}),
        "seen_by_name": names.of_all(seen.by_name),
        "named_alike": names.of_all(seen.named_alike),
        **plan.operating_point.areas_of(plan.data.classes),
        "versions": _versions(),
        "fingerprints": {"config": spec.config_fingerprint, "records": spec.records_fingerprint} if spec else None,
        "seconds": {"segmenting": round(seconds.segmenting, 3), "scoring": round(seconds.scoring, 3)},
    }


def _versions() -> dict[str, str]:
    versions = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        for name in (package, f"{package}-cpu"):
            try:
                versions[package] = importlib.metadata.version(name)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return versions
