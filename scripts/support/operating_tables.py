"""The operating points that a cross-validation chose, as lines of text."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.reporting import SCORE_TITLES, WAY_TITLES, how_to_choose
from scripts.support.wording import plain, with_interval


def operating_point_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields what was chosen for each class, and its scores where it was not chosen on.

    Args:
      content: `operating_points` of `crossval.json`, see `pipeline.evaluation.operating_points`.
    """
    if content["why_not"]:
        yield f"no thresholds and least areas chosen: {content['why_not']}."
        if advice := how_to_choose(content):
            yield advice
        return
    yield (
        "thresholds and least areas (pixels at the network's scale, 0: every region is a detection), chosen on all "
        "folds but one and scored on that one; * is taken"
    )
    for name, of_class in content["classes"].items():
        if of_class["why_not"]:
            yield f"{name}: no threshold or least area chosen: {of_class['why_not']}."
        else:
            yield from _class_lines(name, of_class)


def _class_lines(name: str, of_class: Mapping[str, Any]) -> Iterator[str]:
    chosen, scores = of_class["chosen"], of_class["scores"]
    yield f"{name}: threshold {chosen['threshold']:.3g}, least area {chosen['min_area']:g}, chosen on all folds"
    yield f"  {'':30}" + "".join(f"{head:>22}" for head in SCORE_TITLES.values()) + f"{'false per photograph':>28}"
    for way, of_way in scores.items():
        label = WAY_TITLES[way] + (" *" if way == chosen["way"] else "")
        cells = "".join(f"{with_interval(of_way[key]['value'], of_way[key]['interval']):>22}" for key in SCORE_TITLES)
        yield f"  {label:30}{cells}{_rate(of_way['false_detections']):>28}"
    for way, one in of_class["differences"].items():
        yield (
            f"  {WAY_TITLES[way]}, compared with {WAY_TITLES[one['beside']]}: Dice {_signed(one['dice'])}, lesion F1 "
            f"{_signed(one['lesion_f1'])}: {'taken' if one['helps'] else 'not taken'}"
        )
    taken = scores[chosen["way"]]
    others = taken["without_areas"]
    yield (
        f"  false detections per photograph at {plain(taken['lesion_sensitivity']['value'])} of the lesions found: "
        f"{_rate(others['false_detections'])} with one threshold and every region, {_rate(taken['false_detections'])} "
        f"with what is chosen; difference {_signed(others['difference'], digits=2)}"
    )


def _rate(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return "n/a"
    low, high = one["interval"]
    return f"{one['value']:.2f} ({low:.2f}–{high:.2f})"


def _signed(one: Mapping[str, Any], digits: int = 3) -> str:
    if one["value"] is None:
        return "n/a"
    return f"{one['value']:+.{digits}f} ({', '.join(f'{end:+.{digits}f}' for end in one['interval'])})"
