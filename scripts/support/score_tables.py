"""Tables of scores that commands print, as lines of text."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.evaluation import SCORES
from scripts.support.operating_tables import operating_point_lines
from scripts.support.warnings import MOST
from scripts.support.wording import interval, plain, with_deviation, with_interval

COMPARED = ("aupr", "dice", "iou", "sensitivity", "ppv")


def evaluation_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields the scores of an evaluation.

    Args:
      content: content of `scores.json`, see `pipeline.evaluation.summary`.
    """
    yield f"{'pooled over photographs':32}" + "".join(f"{name.replace('trapezoid', 'trap'):>15}" for name in SCORES)
    for region, by_class in content["scores"].items():
        for name, values in by_class.items():
            yield f"{name + ', ' + region.replace('_', ' '):32}" + "".join(
                f"{plain(values[key]):>15}" for key in SCORES
            )
            intervals = content["intervals"][region][name]
            if content["bootstrap"]:
                yield f"{'  95 % interval':32}" + "".join(f"{interval(intervals[key]):>15}" for key in SCORES)
        over = content["over_classes"][region]
        if len(by_class) > 1:
            label = f"mean of {len(over['aupr']['classes'])} classes, {region.replace('_', ' ')}"
            yield f"{label:32}" + "".join(f"{plain(over[key]['value']):>15}" for key in SCORES)
    if not content["bootstrap"]:
        yield "one photograph: no intervals."
    for name in content["classes"]:
        yield from _lesion_lines(content, name)
    yield from _sparsification_lines(content["sparsification"])
    for one in content.get("warnings", ()):
        yield f"warning: {one['case']}: {'; '.join(one['warnings'])}"
    if content["binary"]:
        yield f"{', '.join(content['binary'])}: masks, not probability maps; their curves consist of a single point."
    yield from _seen_lines(content)
    if content["threshold_source"] == "given":
        yield "The thresholds are those given, not the model's."
    if any(area > 1 for area in content["min_area"].values()):
        least = ", ".join(f"{name} {area}" for name, area in content["min_area"].items())
        yield f"Detections of fewer pixels than --min_area were dropped ({least}); areas under curves count all pixels."
    if least := ", ".join(f"{name} {area:g}" for name, area in content["min_areas"].items() if area):
        yield (
            "Detections of fewer pixels at the network's scale than the model's least areas were dropped "
            f"({least}); areas under curves count all pixels."
        )


def _lesion_lines(content: Mapping[str, Any], name: str) -> Iterator[str]:
    known = content["known_photographs"][name]
    if not known:
        yield f"{name}: labelled in none of these photographs, so nothing is known of its scores."
        return
    if known < content["photographs"]:
        yield f"{name}: known in {known} of {content['photographs']} photographs; its scores are of these."
    lesions, healthy = content["lesions"][name], content["without_lesion"]["frame"][name]
    froc = zip(lesions["froc"]["false_positives"], lesions["froc"]["sensitivity"], strict=True)
    yield (
        f"{name}: {lesions['found']} of {lesions['lesions']} lesions found, "
        f"{lesions['false_positives_per_photograph']:.2f} false positives per photograph; sensitivity "
        f"{', '.join(f'{plain(value)} at {limit:g}' for limit, value in froc)} of them"
    )
    if (calibration := lesions["calibration"])["brier"] is not None:
        brier = with_interval(calibration["brier"], calibration["interval"])
        yield (
            f"{name}: Brier score of its detections' highest probability {brier}; "
            f"{plain(calibration['brier_of_ppv'])} if all had the same, their PPV"
        )
    if number := healthy["photographs"]:
        yield (
            f"{name}: {healthy['false_findings'] / number:.2f} false detections per photograph without a lesion of it: "
            f"{healthy['false_findings']} in {number} photograph{'' if number == 1 else 's'}"
        )


def _sparsification_lines(one: Mapping[str, Any] | None) -> Iterator[str]:
    if one is not None and one["removed"] is not None:
        yield (
            f"correcting the first {one['fraction']:.0%} of {one['tiles']} tiles by expected errors removes "
            f"{with_interval(one['removed'], one['removed_interval'])} of the wrong pixels: "
            f"{one['removed'] / one['random']:.1f} times a random order; {plain(one['best'])} in the best order"
        )


def _seen_lines(content: Mapping[str, Any]) -> Iterator[str]:
    by_name = set(content["seen_by_name"])
    chosen_on, named_alike = content["threshold_seen_on"], content["named_alike"]
    if sure := [case for case in chosen_on if case not in by_name]:
        which = "these" if len(sure) == content["photographs"] else f"{len(sure)} of these {content['photographs']}"
        yield f"The thresholds were chosen on {which} photographs, so scores that depend on them are too optimistic."
    if unsure := [case for case in chosen_on if case in by_name]:
        yield (
            f"{len(unsure)} of these {content['photographs']} photographs are named like those that the thresholds "
            "were chosen on; if they are the same, scores that depend on them are too optimistic. The model folder is "
            "anonymous, or was written by an earlier version (python -m scripts.adapt adds what tells)."
        )
    if named_alike:
        shown = ", ".join([*named_alike[:MOST], *(["…"] if len(named_alike) > MOST else [])])
        one = len(named_alike) == 1
        what = "photograph has a name" if one else "photographs have names"
        others = "is another photograph" if one else "are other photographs"
        yield f"{len(named_alike)} {what} that the model lists, but {others}: {shown}"


def comparison_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields the differences between two results.

    Args:
      content: content of `compare.json`, see `pipeline.evaluation.comparison`.
    """
    yield f"{content['photographs']} photographs; differences are {content['folders'][1]} minus {content['folders'][0]}"
    for name, known in content["known_photographs"].items():
        if known < content["photographs"]:
            yield f"{name}: known in {known} of them"
    heads = f"{'first':>9}{'second':>9}{'difference':>12}{'95 %':>18}{'per photograph':>19}{'95 %':>18}{'better':>8}"
    yield f"{'':44}{heads}"
    for region, by_class in content["pooled"].items():
        for name, values in by_class.items():
            for key in COMPARED:
                pooled, each = values[key], content["per_photograph"][region][name][key]
                yield (
                    f"{f'{name}, {region}, {key}':44}{plain(pooled['one']):>9}{plain(pooled['other']):>9}"
                    f"{plain(pooled['difference']):>12}{interval(pooled['interval']):>18}{plain(each['mean']):>19}"
                    f"{interval(each['mean_interval']):>18}{plain(each['better']):>8}"
                )


def crossvalidation_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields the scores of the finished folds.

    Args:
      content: content of `crossval.json`, see `pipeline.evaluation.crossvalidation`.
    """
    yield ""
    yield (
        f"out of fold, from {len(content['finished'])} of {content['folds']} folds, {content['photographs']} of "
        f"{content['photographs_in_all']} photographs; whole frame, each fold at its own thresholds; 95 % intervals "
        "over photographs"
    )
    for name in content["classes"]:
        yield from _class_lines(content, name)
    yield from _sparsification_lines(content["sparsification"])
    yield ""
    yield from operating_point_lines(content["operating_points"])
    yield ""


def _class_lines(content: Mapping[str, Any], name: str) -> Iterator[str]:
    scores, intervals = content["scores"]["frame"][name], content["intervals"]["frame"][name]
    each, lesions = content["per_photograph"]["frame"][name], content["lesions"][name]
    yield f"{name:24}{'pooled':>24}{'mean per photograph':>26}{'median':>26}{'mean of folds':>20}"
    for key in COMPARED:
        one, folds = each[key], content["over_folds"]["frame"][name][key]
        yield (
            f"  {key:22}{with_interval(scores[key], intervals[key]):>24}"
            f"{with_interval(one['mean'], one['mean_interval']):>26}"
            f"{with_interval(one['median'], one['median_interval']):>26}"
            f"{with_deviation(folds['mean'], folds['deviation']):>20}"
        )
    found = with_interval(lesions["sensitivity"], lesions["sensitivity_interval"])
    known = content["known_photographs"][name]
    per_photograph = lesions["false_positives_per_photograph"]
    yield (
        f"  lesions: {lesions['found']} of {lesions['lesions']} found ({found.strip()}), "
        f"{'n/a' if per_photograph is None else f'{per_photograph:.1f}'} false positives per photograph"
        + (f"; known in {known} of {content['photographs']}" if known < content["photographs"] else "")
    )
    if sizes := "; ".join(_size(row) for row in lesions["by_size"] if row["lesions"]):
        yield f"  by size, pixels: {sizes}"
    for fold in content["by_fold"]:
        values = fold["scores"]["frame"][name]
        yield (
            f"  fold {fold['fold']}: {fold['photographs']} photographs, AUPR {plain(values['aupr'])}, Dice "
            f"{plain(values['dice'])} at {fold['thresholds'][name]:.3g} ({fold['threshold_source']}), "
            f"{sum(fold['seconds'].values()) / 60:.1f} minutes"
        )


def _size(row: Mapping[str, Any]) -> str:
    sizes = f"{row['least']} and more" if row["below"] is None else f"{row['least']} to {row['below'] - 1}"
    return f"{sizes}: {row['found']} of {row['lesions']}"
