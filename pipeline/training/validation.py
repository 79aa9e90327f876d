"""Validation on whole photographs while a network is trained: what eval counts, and the best thresholds."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from configs import Config, DataConfig, InputError
from models import Network
from pipeline.evaluation.counting import PhotographCounts, pool
from pipeline.evaluation.photographs import evaluate_photographs, segmented_by
from pipeline.evaluation.scores import best_threshold, score
from pipeline.inference.segmenter import SegmenterSpec, TiledSegmenter
from pipeline.input import RecordSet
from records import Case, case_digests, find_cases

NAMED = 3  # cases that an error names


@dataclasses.dataclass(frozen=True)
class PhotographScores:
    """How a network does on whole photographs.

    Attributes:
      logs: `val_photo_aupr` and `val_photo_dice`, pooled over the photographs' full frames, means over the classes that
        have lesion pixels; of several classes each one too, `val_photo_aupr_HE`. Dice at the config's thresholds.
      thresholds: of each class, at which its pooled Dice is highest; without lesion pixels, the config's.
    """

    logs: dict[str, float]
    thresholds: tuple[float, ...]


class PhotographSegmenter(Protocol):
    """Segments whole photographs with the weights that a network has when it is asked."""

    def segment(self, photograph: np.ndarray) -> np.ndarray:
        """Maps uint8 RGB `[H, W, 3]` to probabilities, float32 `[H, W, C]`."""
        ...

    def score(self, cases: Sequence[Case]) -> PhotographScores:
        """Returns the scores of cases, of which at least one shows a lesion, as `score_photographs` does."""
        ...


class LiveSegmenter:
    """A `PhotographSegmenter` by the tiled graph around the network itself: one trace, under which weights change."""

    def __init__(self, network: Network, spec: SegmenterSpec, config: Config):
        self._segmenter, self._config = TiledSegmenter(network, spec), config

    def segment(self, photograph: np.ndarray) -> np.ndarray:
        return self._segmenter.segment(photograph).numpy()

    def score(self, cases: Sequence[Case]) -> PhotographScores:
        data, thresholds = self._config.data, self._segmenter.spec.thresholds
        return score_photographs(self.segment, cases, data, thresholds=thresholds, bins=self._config.evaluate.bins)


class PhotographValidation(keras.callbacks.Callback):
    """Puts the scores of whole photographs into the logs of all callbacks behind it.

    The last epoch is scored in any case, also when a callback before this one has asked for the end.
    """

    def __init__(self, score: Callable[[], PhotographScores], every: int, epochs: int):
        """Args:
        score: of the weights as they are when it is called.
        every: epochs from one validation to the next.
        epochs: of the whole training.
        """
        super().__init__()
        self.score, self.every, self.epochs = score, every, epochs

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.epochs or self.model.stop_training:
            logs.update(self.score().logs)


def validation_cases(sources: Sequence[Path], sets: Sequence[RecordSet]) -> list[Case]:
    """Finds the photographs and masks that the validation tiles of records were cut from.

    Args:
      sources: folders of photographs and masks, as `records.find_cases` takes them.
      sets: of records, made with one config.

    Returns:
      The cases, in the order of the sets. A file that is not the one that was sharded is not taken.

    Raises:
      InputError: the records have no validation photographs, or none with a lesion; a folder that is no source, or
        sources that do not have all of them.
    """
    data = sets[0].index.data
    wanted = {
        entry.digest: (name, entry)
        for one in sets
        for name, entry in one.index.cases.items()
        if entry.split == "validation"
    }
    if not wanted:
        raise InputError(
            "--source is for validation photographs, of which these records have none; shard with "
            "data.validation_fraction above 0, or leave --source out."
        )
    if not any(sum(entry.lesion_pixels.values()) for _, entry in wanted.values()):
        raise InputError(
            f"none of the {len(wanted)} validation photographs of these records shows a lesion, so that they have no "
            "scores; shard with another data.seed or data.validation_fraction, or leave --source out."
        )
    names = {name for name, _ in wanted.values()}
    found: dict[str, Case] = {}
    for source in sources:
        # A photograph without a mask may be free of lesions: the digests know.
        _, cases = find_cases(source, data.classes, colored=bool(data.colors), allow_missing_masks=True)
        found |= {case_digests(case)[1]: case for case in cases if case.name in names}
    missing = [name for digest, (name, _) in wanted.items() if digest not in found]
    if missing:
        more = ", …" if len(missing) > NAMED else ""
        raise InputError(
            f"--source={', '.join(map(str, sources))}: {len(missing)} of the records' {len(wanted)} validation "
            f"photographs are not there as they were sharded ({', '.join(missing[:NAMED])}{more}): no such photograph, "
            "or another file, or another mask. Name the folder that python -m scripts.shard was given, or shard again."
        )
    return [found[digest] for digest in wanted]


def score_photographs(
    segment: Callable[[np.ndarray], np.ndarray],
    cases: Iterable[Case],
    data: DataConfig,
    *,
    thresholds: tuple[float, ...],
    bins: int,
) -> PhotographScores:
    """Segments and counts photographs as eval does.

    Args:
      segment: uint8 RGB `[H, W, 3]` → float32 0..1 `[H, W, C]`.
      cases: of which at least one shows a lesion.
      data: classes and the largest number of pixels.
      thresholds: operating threshold of each class.
      bins: of the histograms.

    Raises:
      InputError: a photograph or mask that cannot be read, or a map with numbers that are none.
    """
    evaluated = evaluate_photographs(segmented_by(segment), cases, data, thresholds=thresholds, bins=bins)
    pooled = pool(_counts(outcome) for _, outcome in evaluated)["frame"]
    by_class = {name: score(counts) for name, counts in pooled.items() if counts.lesion.any()}
    logs: dict[str, float] = {}
    for key in ("aupr", "dice"):
        values = np.array([one[key] for one in by_class.values()], np.float64)
        logs[f"val_photo_{key}"] = float(values.mean())
        if len(data.classes) > 1:
            logs |= {f"val_photo_{key}_{name}": float(value) for name, value in zip(by_class, values, strict=True)}
    best = [best_threshold(pooled[name].lesion, pooled[name].other) for name in data.classes]
    return PhotographScores(
        logs, tuple(given if one is None else one for one, given in zip(best, thresholds, strict=True))
    )


def _counts(outcome: PhotographCounts | InputError) -> PhotographCounts:
    if isinstance(outcome, InputError):
        raise outcome
    return outcome
