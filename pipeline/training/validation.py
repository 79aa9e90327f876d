"""Validation on whole photographs during a training: the scores of `eval`, and the best thresholds."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from configs import Config, DataConfig, InputError
from models import Network
from pipeline.evaluation import (
    Counts,
    MapOf,
    Measure,
    PhotographCounts,
    add_counts,
    best_threshold,
    evaluate_photographs,
    pool,
    score,
)
from pipeline.evaluation.network_maps import by_segmenter, segmented_by
from pipeline.hosts import Hosts
from pipeline.inference import SegmenterSpec, TiledSegmenter
from pipeline.input import RecordSet
from pipeline.operating_point import OperatingPoint
from records import Case, CaseEntry, KnownRules, case_digests, find_cases, is_source

MOST_NAMED = 3  # cases that an error lists


@dataclasses.dataclass(frozen=True)
class PhotographScores:
    """The scores of a network on whole photographs.

    Attributes:
      logs: `val_photo_aupr` and `val_photo_dice`: of all pixels of all photographs together, averaged over the classes
        with lesion pixels; if there are several classes also each one's, such as `val_photo_aupr_HE`. Dice is that at
        the thresholds that the training began with.
      thresholds: for each class the one with the highest pooled Dice; for a class without lesion pixels, or that is
        known in none of the photographs, the one that the training began with.
    """

    logs: dict[str, float]
    thresholds: tuple[float, ...]


class PhotographSegmenter(Protocol):
    """Segments whole photographs with the current weights of a network."""

    def segment(self, photograph: np.ndarray) -> np.ndarray:
        """Returns the probability map, float32 `[H, W, C]`, of a photograph, uint8 RGB `[H, W, 3]`."""
        ...

    def count(self, cases: Sequence[Case]) -> dict[str, Counts]:
        """Returns the pixel counts of cases by class, as `count_photographs` does."""
        ...


class LiveSegmenter:
    """A `PhotographSegmenter` that runs the tiled graph on the network itself: one trace sees all later weights."""

    def __init__(self, network: Network, spec: SegmenterSpec, config: Config):
        self._segmenter, self._config = TiledSegmenter(network, spec), config

    def segment(self, photograph: np.ndarray) -> np.ndarray:
        """Returns the probability map, float32 `[H, W, C]`, of a photograph, uint8 RGB `[H, W, 3]`."""
        return self._segmenter.segment_measured(self._segmenter.measure(photograph)).probabilities

    def count(self, cases: Sequence[Case]) -> dict[str, Counts]:
        """Returns the pixel counts of cases by class."""
        return count_photographs(
            by_segmenter(self._segmenter),
            cases,
            self._config.data,
            thresholds=self._segmenter.spec.thresholds,
            bins=self._config.evaluate.bins,
            measure=self._segmenter.measure,
        )


class PhotographValidation(keras.callbacks.Callback):
    """Adds the scores of whole photographs to the logs of all callbacks after this one.

    The last epoch is always scored, also if its time is up or a callback before this one ends the training.
    """

    def __init__(
        self, score: Callable[[], PhotographScores], every: int, epochs: int, *, time_is_up: Callable[[], bool]
    ):
        """Initializes the callback.

        Args:
          score: returns the scores of the current weights.
          every: number of epochs from one validation to the next.
          epochs: number of epochs of the whole training.
          time_is_up: returns whether the training ends with this epoch because of its time.
        """
        super().__init__()
        self.score, self.every, self.epochs, self.time_is_up = score, every, epochs, time_is_up

    def on_epoch_end(self, epoch, logs=None):
        """Scores the photographs if it is their turn."""
        last = self.time_is_up() or self.model.stop_training or epoch + 1 == self.epochs
        if last or (epoch + 1) % self.every == 0:
            logs.update(self.score().logs)


def validation_cases(sources: Sequence[Path], sets: Sequence[RecordSet]) -> list[Case]:
    """Finds the photographs and masks that the validation tiles of records were cut from.

    Args:
      sources: folders of photographs and masks, as `records.find_cases` takes them.
      sets: sets of records, made with one config.

    Returns:
      The cases, in the order of the sets. A file that differs from the one in the records does not count.

    Raises:
      InputError: the records have no validation photographs, or none with a lesion; a folder is not a source; or
        the sources lack some of the photographs.
    """
    _check_validation(sets)
    cases: list[Case] = []
    missing: list[str] = []
    for one in sets:
        wanted = {name: entry for name, entry in one.index.cases.items() if entry.split == "validation"}
        found = [_found_in(source, one) for source in sources] if wanted else []
        for name, entry in wanted.items():
            same = (_as_known(case[name], entry, one) for case in found if name in case)
            case = next((case for case in same if case_digests(case)[1] == entry.digest), None)
            if case is None:
                missing.append(name)
            else:
                cases.append(_with_all_classes(case, one))
    if missing:
        more = ", …" if len(missing) > MOST_NAMED else ""
        raise InputError(
            f"--source={', '.join(map(str, sources))}: {len(missing)} of the records' {len(missing) + len(cases)} "
            f"validation photographs are missing or changed since they were sharded "
            f"({', '.join(missing[:MOST_NAMED])}{more}). "
            "Name the folder that python -m scripts.shard was given, and with a further --source that of --healthy, or "
            "shard again."
        )
    return cases


def _found_in(source: Path, one: RecordSet) -> dict[str, Case]:
    """Returns the cases of a source, or of a folder of photographs alone, by name, with the classes of a set."""
    classes, data = one.index.classes, one.index.data
    if not is_source(source) and source.is_dir():  # healthy photographs, which need no masks
        known = KnownRules(healthy=str(source), absent=classes)
        _, cases = find_cases(None, classes, recursive=True, known=known)
    else:
        # Read as generously as can be: the digests tell whether masks were missing or several when it was sharded, and
        # what was known then is in the index.
        labelled = {name for entry in one.index.cases.values() for name in entry.known}
        _, cases = find_cases(
            source,
            classes,
            colored=bool(data.colors),
            allow_missing_masks=True,
            unite_masks=True,
            recursive=True,
            known=KnownRules(labelled=",".join(sorted(labelled))),
            warn=lambda _: None,  # sharding has named the files that are not used
        )
    return {case.name: case for case in cases}


def _as_known(case: Case, entry: CaseEntry, one: RecordSet) -> Case:
    """Returns a case with what was known of it when it was sharded."""
    return case.with_known(unknown=frozenset(one.index.classes).difference(entry.known), absent=frozenset(entry.absent))


def _with_all_classes(case: Case, one: RecordSet) -> Case:
    """Returns a case with the classes of all sets, in order; those that its own set does not have are unknown."""
    masks = {name: case.masks.get(name) for name in one.classes}
    return dataclasses.replace(case, masks=masks, unknown=case.unknown | (masks.keys() - case.masks.keys()))


def kept_thresholds(cases: Sequence[Case], thresholds: Mapping[str, float]) -> list[str]:
    """Returns a message about the classes whose thresholds validation cannot choose, as no case has labels of them.

    Args:
      cases: the validation photographs.
      thresholds: what the classes keep.
    """
    unknown = [f"{name} ({kept:g})" for name, kept in thresholds.items() if all(name in case.unknown for case in cases)]
    if not cases or not unknown:
        return []
    return [
        f"warning: {', '.join(unknown)}: labelled in none of the {len(cases)} validation photographs, so the threshold "
        "in brackets stays"
    ]


def score_photographs(
    segmenter: PhotographSegmenter, cases: Sequence[Case], thresholds: Sequence[float], *, hosts: Hosts | None = None
) -> PhotographScores:
    """Segments and scores photographs as `eval` does.

    Args:
      segmenter: segments them.
      cases: photographs and masks, at least one of which has a lesion.
      thresholds: operating threshold of each class.
      hosts: hosts that share the photographs and all return the scores of all; None: this one segments them all.

    Raises:
      InputError: a photograph or mask cannot be read, or a probability map contains NaN.
    """
    if hosts is None:
        return scores_of(segmenter.count(cases), thresholds)
    counts = segmenter.count(cases[hosts.index :: hosts.count])
    of_hosts = hosts.gather({name: one.as_json() for name, one in counts.items()})
    total: dict[str, Counts] = {}
    for counted in of_hosts:
        add_counts(total, {name: Counts.from_json(content) for name, content in counted.items()})
    return scores_of(total, thresholds)


def count_photographs(
    segment: MapOf,
    cases: Iterable[Case],
    data: DataConfig,
    *,
    thresholds: tuple[float, ...],
    bins: int,
    measure: Measure | None = None,
) -> dict[str, Counts]:
    """Segments photographs as `eval` does, and returns the counts of all their pixels by class.

    Args:
      segment: computes the probability map of a loaded case.
      cases: photographs and masks; without any, nothing is counted.
      data: the classes, and the largest photograph that is read.
      thresholds: operating threshold of each class.
      bins: number of equal bins over 0..1.
      measure: measures photographs for a model, such as `TiledSegmenter.measure`.

    Raises:
      InputError: a photograph or mask cannot be read, or a probability map contains NaN.
    """
    evaluated = evaluate_photographs(
        segmented_by(segment),
        cases,
        data,
        operating_point=OperatingPoint(thresholds),
        bins=bins,
        measure=measure,
    )
    return pool(_counts(outcome) for _, outcome in evaluated)["frame"]


def scores_of(counts: Mapping[str, Counts], thresholds: Sequence[float]) -> PhotographScores:
    """Returns the scores of pixel counts by class, of which one has lesion pixels, and the best thresholds.

    `thresholds` are those that the training began with.
    """
    by_class = {name: score(one) for name, one in counts.items() if one.lesion.any()}
    logs: dict[str, float] = {}
    for key in ("aupr", "dice"):
        values = np.array([one[key] for one in by_class.values()], np.float64)
        logs[f"val_photo_{key}"] = float(values.mean())
        if len(counts) > 1:
            logs |= {f"val_photo_{key}_{name}": float(value) for name, value in zip(by_class, values, strict=True)}
    best = [best_threshold(one.lesion, one.negatives) for one in counts.values()]
    chosen = tuple(given if one is None else one for one, given in zip(best, thresholds, strict=True))
    return PhotographScores(logs, chosen)


def _counts(outcome: PhotographCounts | InputError) -> PhotographCounts:
    if isinstance(outcome, InputError):
        raise outcome
    return outcome


def _check_validation(sets: Sequence[RecordSet]) -> None:
    """Refuses sets without validation photographs, or without a lesion in them."""
    entries = [entry for one in sets for entry in one.index.cases.values() if entry.split == "validation"]
    if not entries:
        raise InputError(
            "--source names validation photographs, but these records have none; shard with data.validation_fraction "
            "above 0, or leave --source out."
        )
    if not any(sum(entry.lesion_pixels.values()) for entry in entries):
        raise InputError(
            f"none of the {len(entries)} validation photographs of these records has a lesion to score; shard with "
            "another data.seed or data.validation_fraction, or leave --source out."
        )
