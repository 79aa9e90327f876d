"""The plan of an evaluation: which cases are scored, on which probability maps, and at which thresholds."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from configs import Config, DataConfig, InputError
from pipeline.evaluation import external_maps
from pipeline.evaluation.network_maps import by_segmenter, segmented_by
from pipeline.evaluation.photographs import CaseMap, LoadedCase, MapOf
from pipeline.evaluation.seen import Seen, compare_with_model
from pipeline.inference import SegmenterSpec, TiledSegmenter
from pipeline.operating_point import OperatingPoint, parse_operating_point
from records import ALL_KNOWN, SPLITS, Case, Index, KnownRules, PhotographIdentity, find_cases, labels_of


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate, as a user gives it.

    Attributes:
      source: folder of photographs and masks; None: those of `known.healthy` alone.
      split: name of the split to score, or "all".
      model: model folder; None if only external maps are scored.
      predictions: folder of external maps to score instead of the model's.
      records: folder of the records that the model was trained on, if their tiles are scored too.
      levels: which level of external maps means 1, see `external_maps.find_levels`; "auto" looks at them.
      classes: names of the classes of external maps, if they do not follow from the model or the files.
      threshold: operating thresholds instead of the model's, see `parse_operating_point`.
      min_area: least size of a detection, see `parse_operating_point`.
      allow_missing_masks: in paired folders, a photograph without a mask shows no lesion.
      unite_masks: several masks of one class and photograph are united.
      recursive: in paired folders, images/ and masks/ are trees.
      known: what is said of the classes of the photographs.
      strict: leave out photographs that do not suit the model.
      max_pixels: largest number of pixels of a photograph; None: the model's, or the default without a model.
      sweep: count at a grid of other operating points as well, see `pipeline.evaluation.sweeps`.
    """

    source: str | None
    split: str
    model: str | None = None
    predictions: str | None = None
    levels: external_maps.Levels | Literal["auto"] = "auto"
    records: str | None = None
    classes: Sequence[str] | None = None
    threshold: str | None = None
    min_area: str | None = None
    allow_missing_masks: bool = False
    unite_masks: bool = False
    recursive: bool = False
    known: KnownRules = ALL_KNOWN
    strict: bool = False
    max_pixels: int | None = None
    sweep: bool = False


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """What an evaluation scores, and how.

    Attributes:
      request: what was asked for.
      segmenter: segmenter of the model; None without a model.
      maps: files of external maps by stem; empty if the segmenter makes the maps.
      levels: which of their levels means 1, see `external_maps.find_levels`.
      layout: layout of the source, see `records.find_cases`.
      cases: cases of the split.
      data: classes and colours.
      bins: number of equal bins over 0..1.
      operating_point: what counts as a detection.
      threshold_source: where the thresholds come from, see `SegmenterSpec`, or "given".
      unlabelled: classes of the model that count as not labelled, as no photograph of the source has a mask of them.
    """

    request: EvaluationRequest
    segmenter: TiledSegmenter | None
    maps: Mapping[str, Path]
    levels: external_maps.Levels | None
    layout: str
    cases: tuple[Case, ...]
    data: DataConfig
    bins: int
    operating_point: OperatingPoint
    threshold_source: str
    unlabelled: tuple[str, ...] = ()

    @property
    def spec(self) -> SegmenterSpec | None:
        """Spec of the model, if there is one."""
        return self.segmenter.spec if self.segmenter is not None else None

    def seen(self, scored: Sequence[PhotographIdentity]) -> Seen:
        """Returns which photographs the model has seen."""
        if self.spec is None:
            return Seen()
        return compare_with_model(scored, self.spec, threshold_source=self.threshold_source)

    def without_needed_mask(self) -> dict[str, str]:
        """Returns the cases that cannot be scored because a mask is missing, with a message for each."""
        # In IDRiD's layout a class without a file is one that the photograph does not show.
        if self.layout == "idrid" or self.request.allow_missing_masks:
            return {}
        return {case.name: _no_mask(case) for case in self.cases if case.missing_masks}

    def map_of(self, warnings: dict[str, list[str]]) -> MapOf:
        """Returns the function that makes or reads the probability map of a case.

        Args:
          warnings: gets what is unusual about a photograph for the model, by the name of its case.
        """
        if self.segmenter is not None and not self.maps:
            return segmented_by(by_segmenter(self.segmenter, strict=self.request.strict, warnings=warnings))

        def read(loaded: LoadedCase) -> CaseMap:
            size, classes = loaded.masks.shape[:2], self.data.classes
            probabilities = external_maps.read_map(self.maps, loaded.case, size, classes=classes, levels=self.levels)
            # The model's least areas, if there is one, are those of its scale.
            return CaseMap(probabilities, loaded.measured and loaded.measured.scale.factor)

        return read


def plan_evaluation(
    request: EvaluationRequest, segmenter: TiledSegmenter | None, index: Index | None = None
) -> EvaluationPlan:
    """Finds the cases, classes and thresholds of an evaluation.

    Args:
      request: what is asked for.
      segmenter: segmenter of `request.model`, with the classes asked for.
      index: index of `request.records`.

    Returns:
      The plan.

    Raises:
      InputError: the source, the external maps or the thresholds cannot be read, the records have other classes, or
        the source has no case of the split.
    """
    spec = segmenter.spec if segmenter is not None else None
    maps = external_maps.find_maps(Path(request.predictions)) if request.predictions else {}
    classes = spec.classes if spec is not None else tuple(request.classes or external_maps.classes_of(maps))
    if index is not None and index.data.classes != classes:
        raise InputError(
            f"--records={request.records}: tiles of the classes {', '.join(index.data.classes)}, but those scored are "
            f"{', '.join(classes)}; name the records of the model, or leave them out."
        )
    limit = request.max_pixels or (spec.max_pixels if spec is not None else DataConfig().max_pixels)
    data = DataConfig(classes=classes, colors=spec.colors if spec is not None else (), max_pixels=limit)
    operating_point, threshold_source = _operating_point(request, spec, classes)
    layout, found = find_cases(
        None if request.source is None else Path(request.source),
        classes,
        colored=bool(data.colors),
        allow_missing_masks=True,
        unite_masks=request.unite_masks,
        recursive=request.recursive,
        known=request.known,
    )
    unlabelled = _unlabelled(found, request) if spec is not None and layout != "idrid" else ()
    if unlabelled:
        found = [
            case.with_known(unknown=case.unknown.union(unlabelled) - case.absent, absent=case.absent) for case in found
        ]
    return EvaluationPlan(
        request=request,
        segmenter=segmenter,
        maps=maps,
        levels=external_maps.find_levels(maps, max_pixels=limit) if request.levels == "auto" else request.levels,
        layout=layout,
        cases=tuple(choose_cases(found, request, _splits(spec, found))),
        data=data,
        bins=spec.bins if spec is not None else Config().evaluate.bins,
        operating_point=operating_point,
        threshold_source=threshold_source,
        unlabelled=unlabelled,
    )


def choose_cases(
    cases: list[Case], request: EvaluationRequest, splits: Mapping[str, Sequence[str]] | None
) -> list[Case]:
    """Returns the cases of the split that is asked for.

    A split has the cases that the model lists. Without a model, and for a test part that the model does not list, it
    has those of the source's own split.

    Args:
      cases: cases of the source.
      request: what is asked for.
      splits: names of the cases of each split, as the model lists them; None without a model.

    Raises:
      InputError: there is no such case.
    """
    split = request.split
    if split == "all":
        return cases
    listed = splits.get(split) if splits is not None else None
    if splits is None or (not listed and split == "test"):
        chosen = [case for case in cases if case.split == split]
    else:
        chosen = [case for case in cases if case.name in set(listed or ())]
    if not chosen:
        names = splits or {name: [case.name for case in cases if case.split == name] for name in SPLITS}
        counts = ", ".join(f"{len(listed)} {name}" for name, listed in names.items())
        raise InputError(
            f"--split={split}: {request.source or request.known.healthy} has none of its cases; the "
            f"{'source has' if splits is None else 'model lists'} {counts}. "
            f"Name {'another split' if splits is None else 'the source it was trained from'}, or --split=all."
        )
    return chosen


def _unlabelled(cases: Sequence[Case], request: EvaluationRequest) -> tuple[str, ...]:
    """Returns the classes that nobody looked for, as far as can be told: no photograph has a mask of them.

    A model may find more classes than were labelled. If nothing says which ones were, a class without any mask is more
    likely not labelled than shown by no photograph, and to count it as absent would make all its detections wrong.
    """
    told = request.known.labelled is not None or labels_of([Path(request.source)] if request.source else [])
    if told or request.allow_missing_masks:
        return ()
    missing = [set(case.missing_masks) for case in cases if not case.absent]
    nowhere = set.intersection(*missing) if missing else set()
    classes = cases[0].masks
    return tuple(name for name in classes if name in nowhere) if len(nowhere) < len(classes) else ()


def _splits(spec: SegmenterSpec | None, found: Sequence[Case]) -> Mapping[str, Sequence[str]] | None:
    """Returns the names that the model lists; those of cases that were found also if the model is anonymous."""
    return None if spec is None else spec.recognizing(case.name for case in found).splits


def _operating_point(
    request: EvaluationRequest, spec: SegmenterSpec | None, classes: tuple[str, ...]
) -> tuple[OperatingPoint, str]:
    """Returns the operating point, and where its thresholds come from."""
    if spec is not None:
        default, source = spec.operating_point, spec.threshold_source
    else:
        default, source = OperatingPoint((Config().evaluate.threshold,) * len(classes)), "config"
    operating_point = parse_operating_point(
        threshold=request.threshold, min_area=request.min_area, classes=classes, default=default
    )
    return operating_point, source if request.threshold is None else "given"


def _no_mask(case: Case) -> str:
    missing = ", ".join(case.missing_masks)
    return f"{case.photograph}: no mask of class {missing} (--allow_missing_masks takes it as free of lesions)."
