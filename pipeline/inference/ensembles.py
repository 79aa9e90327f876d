"""Several model folders as one model: which may be joined, and what the joint `segmenter.json` says."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from configs import InputError
from models import Average, Network, ensemble_network
from pipeline.inference.model_folder import (
    NETWORK_FILE,
    SegmenterOptions,
    fingerprint_of,
    load_model,
    load_segmenter,
    make_segmenter,
    spec_of,
)
from pipeline.inference.segmenter import TiledSegmenter
from pipeline.inference.spec import SegmenterSpec
from records import PhotographIdentity, sha256_of

Specs = Mapping[Path, SegmenterSpec]  # of the members, by model folder

# Fields of the spec in which members must agree, with what to do if they do not.
SAME_CLASSES = "choose models of the same classes in the same order"
SAME_SCALE = "choose models that were trained at the same scale"
SAME_SETTING = "train with the same segment.{field}, or change it in segmenter.json of copies of the folders"
AGREE = {
    **dict.fromkeys(("classes", "colors"), SAME_CLASSES),
    **dict.fromkeys(("scale", "field_diameter", "field_degrees"), SAME_SCALE),
    **dict.fromkeys(("tile", "overlap", "window", "flips", "trim", "skip_background", "xla"), SAME_SETTING),
}


def member_specs(folders: Sequence[Path], *, flag: str) -> dict[Path, SegmenterSpec]:
    """Reads the specs of models that are to be joined, and checks that they can be.

    Args:
      folders: the model folders.
      flag: the flag that names them, for messages.

    Raises:
      InputError: fewer than two folders, one that is no model folder, the same model twice, or models that differ in a
        field in which they must agree.
    """
    named = f"{flag}={','.join(map(str, folders))}"
    if len(folders) < 2:
        raise InputError(f"{named}: several models are joined; name two or more model folders.")
    specs = {folder: spec_of(folder, flag=flag) for folder in folders}
    networks = [sha256_of(folder / NETWORK_FILE) for folder in folders]
    for one, other in itertools.combinations(range(len(folders)), 2):
        if networks[one] == networks[other]:
            raise InputError(
                f"{named}: {folders[one]} and {folders[other]} have the same network; name each model once."
            )
    for field, advice in AGREE.items():
        values = {folder: getattr(spec, field) for folder, spec in specs.items()}
        if len(set(values.values())) > 1:
            said = "; ".join(f"{_text(value)} in {folder}" for folder, value in values.items())
            raise InputError(
                f"{flag}: members must agree in {field}: {said}. {advice.format(field=field).capitalize()}."
            )
    return specs


def merge_specs(specs: Specs) -> SegmenterSpec:
    """Returns the spec of one model that was made of several.

    A photograph that any member was trained on is a training photograph; one of which the choice of weights or
    thresholds of any member knows is one of validation or calibration; and only those that every member left out remain
    for a test. Thresholds and least areas are means, and so are the quantiles of measures, the extreme ones excepted.

    Args:
      specs: of models that `member_specs` has checked.
    """
    members = list(specs.values())
    sources = {(one.thresholds, one.min_areas, one.threshold_source) for one in members}
    splits = _merge_splits(members)
    return dataclasses.replace(
        members[0],
        tile_batch=min(one.tile_batch for one in members),
        bins=max(one.bins for one in members),
        max_pixels=min(one.max_pixels for one in members),
        thresholds=tuple(np.mean([one.thresholds for one in members], axis=0).tolist()),
        min_areas=_mean_areas(members),
        threshold_source=members[0].threshold_source if len(sources) == 1 else "members",
        splits=splits,
        seen_before=_union(one.seen_before for one in members),
        calibrated_on=_union(one.calibrated_on for one in members),
        photographs=_merge_photographs(members),
        quality=_merge_quality([one.quality for one in members]),
        records_fingerprint=_joint([one.records_fingerprint for one in members]),
        config_fingerprint=_joint([one.config_fingerprint for one in members]),
        members=tuple(fingerprint_of(folder, spec.classes) for folder, spec in specs.items()),
    )


def _mean_areas(members: Sequence[SegmenterSpec]) -> tuple[float, ...]:
    """Returns the mean least area of each class; empty if every region is a detection for all members."""
    if not any(one.min_areas for one in members):
        return ()
    return tuple(np.mean([one.min_areas or (0.0,) * len(one.classes) for one in members], axis=0).tolist())


def load_members(folders: Iterable[Path], *, flag: str) -> list[Network]:
    """Loads the networks of models that `member_specs` has checked."""
    return [load_model(folder, flag=flag)[0] for folder in folders]


def load_together(
    folders: Sequence[Path], *, average: Average, flag: str = "--model", **options: Unpack[SegmenterOptions]
) -> TiledSegmenter:
    """Loads one segmenter of one or several model folders.

    Args:
      folders: the model folders.
      average: what is averaged over several of them, see `models.ensemble_network`.
      flag: the flag that names them, for messages.
      **options: see `load_segmenter`.

    Raises:
      InputError: as `load_segmenter` and `member_specs` do.
    """
    if len(folders) == 1:
        return load_segmenter(folders[0], **options)
    specs = member_specs(folders, flag=flag)
    network = ensemble_network(load_members(specs, flag=flag), average=average)
    return make_segmenter(network, merge_specs(specs), name=f"each of the {len(folders)} models", **options)


def fingerprint_of_all(folders: Sequence[Path], classes: Sequence[str], *, average: Average) -> str:
    """Returns the fingerprint of one model folder, or one of several, in any order, and of how they are averaged."""
    fingerprints = sorted(fingerprint_of(folder, classes) for folder in folders)
    return fingerprints[0] if len(folders) == 1 else _digest([*fingerprints, average])


def _merge_splits(members: Sequence[SegmenterSpec]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    taken: set[str] = set()
    for split in dict.fromkeys(("train", "validation", *(name for one in members for name in one.splits))):
        names = _union(one.splits.get(split, ()) for one in members)
        if any(split in one.splits for one in members):
            splits[split] = sorted(set(names) - taken)
        taken |= set(names)
    return splits


def _merge_photographs(members: Sequence[SegmenterSpec]) -> dict[str, tuple[PhotographIdentity, ...]]:
    """Returns what photographs are recognised by, by use; those of training are not listed for validation again."""
    merged = {
        use: _union(one.photographs.get(use, ()) for one in members)
        for use in dict.fromkeys(use for one in members for use in one.photographs)
    }
    trained = {one.sha256 for one in merged.get("train", ())}
    if "validation" in merged:
        merged["validation"] = tuple(one for one in merged["validation"] if one.sha256 not in trained)
    return merged


def _merge_quality(members: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Returns the quantiles of each measure, over the members that have it: least, means, largest."""
    merged = {}
    for name in dict.fromkeys(name for one in members for name in one):
        values = np.array([one[name] for one in members if name in one])
        merged[name] = [values[:, 0].min(), *values[:, 1:-1].mean(axis=0).round(6), values[:, -1].max()]
    return {name: [float(value) for value in quantiles] for name, quantiles in merged.items()}


def _union(lists: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(lists)))


def _joint(fingerprints: Sequence[str]) -> str:
    """Returns the fingerprint that all have, or one of all of them."""
    return fingerprints[0] if len(set(fingerprints)) == 1 else _digest(fingerprints)


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(texts).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    return (",".join(value) or "none") if isinstance(value, tuple) else str(value)
