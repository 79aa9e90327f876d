"""Scores of whole photographs: of a model, or of maps that any program made; or two such results held together.

python -m scripts.eval --model=WORKDIR/model --source=IDRID --split=validation --output=OUT
python -m scripts.eval --predictions=MAPS --source=IDRID --split=test --output=OUT
python -m scripts.eval --compare OUT_A OUT_B --output=OUT
"""

import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from configs import Config, DataConfig, InputError
from records import SPLITS, Case, Index, find_cases, make_folder, read_index
from scripts.support import command
from scripts.support.wording import interval, plain

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.")
_PREDICTIONS = flags.DEFINE_string(
    "predictions",
    None,
    "Folder of maps to score instead: CASE.npz as predict writes, or CASE_CLASS.png of any program.",
)
_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and masks.")
_SPLIT = flags.DEFINE_enum("split", "validation", [*SPLITS, "all"], "Which cases to score, as the model knows them.")
_CLASSES = flags.DEFINE_list(
    "classes", None, "Some of the model's classes; with --predictions and no --model: the classes of the files."
)
_THRESHOLD = flags.DEFINE_string(
    "threshold", None, "Operating threshold instead of the model's: a number, or NAME=NUMBER,… for each class."
)
_RECORDS = flags.DEFINE_string("records", None, "Records the model was trained on: also scores their tiles.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for report.html, scores.json, photographs.csv, lesions.csv, counts.npz, evaluation.csv."
)
_ALLOW_MISSING = flags.DEFINE_bool(
    "allow_missing_masks", False, "In paired folders, a photograph without a mask shows no lesion."
)
_BASELINE = flags.DEFINE_bool("baseline", False, "Also score a colour threshold, to hold the model against.")
_COMPARE = flags.DEFINE_bool("compare", False, "Compare two folders that eval left, named after it.")

PACKAGES = ("fundus-tiles", "numpy", "opencv-python-headless", "pillow", "scipy", "tensorflow", "keras")
COMPARED = ("aupr", "dice", "iou", "sensitivity", "ppv")


def main(folders: list[str]) -> int:
    if _COMPARE.value:
        return _compare(folders)
    _check_flags()
    index = read_index(Path(_RECORDS.value)) if _RECORDS.value else None  # before the seconds that loading takes
    with command.quiet_start():
        from pipeline.evaluation import external_maps as given_maps
        from pipeline.evaluation import leaks, summary
        from pipeline.evaluation.photographs import Seconds, segmented_by
        from pipeline.evaluation.results import read_counts
        from pipeline.inference.segmenter import load_segmenter
        from pipeline.reporting import report
        from pipeline.reporting.gallery import Gallery

        segmenter = load_segmenter(Path(_MODEL.value), classes=_CLASSES.value) if _MODEL.value else None
    spec = segmenter.spec if segmenter is not None else None
    files = given_maps.find_maps(Path(_PREDICTIONS.value)) if _PREDICTIONS.value else {}
    classes = spec.classes if spec is not None else tuple(_CLASSES.value or given_maps.classes_of(files))
    if index is not None and index.data.classes != classes:
        raise InputError(
            f"--records={_RECORDS.value}: tiles of the classes {', '.join(index.data.classes)}, but what is scored has "
            f"{', '.join(classes)}; name the records of the model, or leave them out."
        )
    data = DataConfig(classes=classes, colors=spec.colors if spec is not None else ())
    bins = spec.bins if spec is not None else Config().evaluate.bins
    thresholds, threshold_source = _thresholds(spec, classes)
    layout, found = find_cases(Path(_SOURCE.value), classes, colored=bool(data.colors), allow_missing_masks=True)
    cases = _of_split(found, spec.splits if spec is not None else None)
    output = make_folder(Path(_OUTPUT.value), flag="--output")
    print(
        f"{len(cases)} photographs of split {_SPLIT.value} in {_SOURCE.value} ({layout}); classes "
        f"{', '.join(f'{name} at {threshold:g}' for name, threshold in zip(classes, thresholds, strict=True))} "
        f"(threshold: {threshold_source}) → {output}",
        flush=True,
    )
    if segmenter is not None and not files:
        network = segmenter  # in a variable, see TiledSegmenter
        map_of = segmented_by(lambda photograph: network.segment(photograph).numpy())
    else:
        map_of = lambda marked: given_maps.read_map(files, marked.case, marked.masks.shape[:2], classes=classes)  # noqa: E731
    seconds, gallery = Seconds(), Gallery(classes, thresholds)
    failures = _count(
        map_of,
        cases,
        data,
        thresholds=thresholds,
        bins=bins,
        layout=layout,
        output=output,
        seconds=seconds,
        look=gallery.look,
    )
    about = {
        "model": _MODEL.value,
        "predictions": _PREDICTIONS.value,
        "source": _SOURCE.value,
        "layout": layout,
        "split": _SPLIT.value,
        "records": _RECORDS.value,
        "photographs": len(cases) - len(failures),
        "left_out": [{"case": case, "why": why} for case, why in failures.items()],
        "classes": list(classes),
        "bins": bins,
        "thresholds": dict(zip(classes, thresholds, strict=True)),
        "threshold_source": threshold_source,
        "threshold_seen": _threshold_seen(threshold_source, spec, cases),
        "versions": _versions(),
        "fingerprints": {"config": spec.config_fingerprint, "records": spec.records_fingerprint} if spec else None,
        "seconds": {"segmenting": round(seconds.segmenting, 3), "scoring": round(seconds.scoring, 3)},
    }
    result = read_counts(output, about)
    content = summary.write_summary(output, result, about)
    _print_scores(content)
    if _BASELINE.value:
        _print_baseline([case for case in cases if case.name not in failures], data, content["scores"], bins=bins)
    tiles = _score_tiles(segmenter, index, output) if index is not None else None
    splits = {**spec.splits, "train": [*spec.splits.get("train", ()), *spec.seen_before]} if spec is not None else {}
    audit = leaks.audit(index, splits, gallery.hashes)
    report.write_report(output, result, content, gallery=gallery, audit=audit, index=index, tiles=tiles)
    print(
        f"{'reading maps' if files else 'segmenting'} {seconds.segmenting:.1f} s, scoring {seconds.scoring:.1f} s "
        f"({_percent(seconds.scoring, seconds.segmenting)}), beside it; pictures {gallery.seconds:.1f} s"
    )
    print(f"scores: {output / 'scores.json'}    look: {output / report.REPORT}, {output / 'photographs.csv'}")
    return command.SOME_FAILED if failures else command.DONE


def _count(
    map_of, cases: list[Case], data: DataConfig, *, thresholds, bins: int, layout: str, output: Path, seconds, look
):
    """Writes the counts of all cases that can be scored; names the others, and returns what is wrong with each."""
    from pipeline.evaluation.photographs import evaluate_photographs
    from pipeline.evaluation.results import counts_writer

    # In IDRiD's layout a class without a file is one that the photograph does not show.
    needs_masks = layout != "idrid" and not _ALLOW_MISSING.value
    failures = {case.name: _no_mask(case) for case in cases if needs_masks and None in case.masks.values()}
    marked = [case for case in cases if case.name not in failures]
    evaluated = evaluate_photographs(map_of, marked, data, thresholds=thresholds, bins=bins, seconds=seconds, look=look)
    with counts_writer(output, classes=data.classes, bins=bins, thresholds=thresholds) as writer:
        for case, outcome in tqdm(evaluated, desc="photographs", total=len(marked), disable=None):
            if isinstance(outcome, InputError):
                failures[case.name] = str(outcome)
            else:
                writer.add(outcome)
        for line in failures.values():
            print(f"left out: {line}", file=sys.stderr)
        if len(failures) == len(cases):
            raise InputError(f"none of the {len(cases)} photographs could be scored.")
    return failures


def _check_flags() -> None:
    for name, value in (("source", _SOURCE.value), ("output", _OUTPUT.value)):
        if value is None:
            raise InputError(f"--{name} is required; see --help.")
    if _MODEL.value is None and _PREDICTIONS.value is None:
        raise InputError("--model is required, or --predictions; see --help.")
    if _RECORDS.value is not None and _PREDICTIONS.value is not None:
        raise InputError("--records: tiles are scored by a model, not by --predictions; leave one of the two out.")


def _thresholds(spec, classes: tuple[str, ...]) -> tuple[tuple[float, ...], str]:
    """Returns the threshold of each class and where it is from."""
    from pipeline.evaluation.photographs import parse_thresholds

    if _THRESHOLD.value is not None:
        return parse_thresholds(_THRESHOLD.value, classes), "given"
    if spec is not None:
        return spec.thresholds, spec.threshold_source
    return (Config().evaluate.threshold,) * len(classes), "config"


def _threshold_seen(source: str, spec, cases: list[Case]) -> bool:
    """Says whether the thresholds were chosen on photographs that are being scored."""
    if source == "held out":
        return any(case.name in spec.calibrated_on for case in cases)
    return source == "validation" and _SPLIT.value in ("validation", "all")


def _of_split(cases: list[Case], splits: Mapping[str, Sequence[str]] | None) -> list[Case]:
    """Takes the cases that the model folder lists; a test part that it never saw is the source's own.

    Without a model the splits are the source's own.
    """
    if _SPLIT.value == "all":
        return cases
    listed = splits.get(_SPLIT.value) if splits is not None else None
    if splits is None or (listed is None and _SPLIT.value == "test"):
        chosen = [case for case in cases if case.split == _SPLIT.value]
    else:
        chosen = [case for case in cases if case.name in set(listed or ())]
    if not chosen:
        names = splits or {split: [case.name for case in cases if case.split == split] for split in SPLITS}
        counts = ", ".join(f"{len(listed)} {name}" for name, listed in names.items())
        raise InputError(
            f"--split={_SPLIT.value}: {_SOURCE.value} holds none of its cases; the "
            f"{'source has' if splits is None else 'model lists'} {counts}. "
            f"Name {'another split' if splits is None else 'the source it was trained from'}, or --split=all."
        )
    return chosen


def _no_mask(case: Case) -> str:
    missing = ", ".join(name for name, mask in case.masks.items() if mask is None)
    return f"{case.photograph}: no mask of class {missing} (--allow_missing_masks takes it as free of lesions)."


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


def _print_scores(content: Mapping[str, Any]) -> None:
    from pipeline.evaluation.scores import SCORES

    print(f"{'pooled over photographs':32}" + "".join(f"{name.replace('trapezoid', 'trap'):>15}" for name in SCORES))
    for region, by_class in content["scores"].items():
        for name, values in by_class.items():
            print(f"{name + ', ' + region.replace('_', ' '):32}" + "".join(_number(values[key]) for key in SCORES))
            intervals = content["intervals"][region][name]
            if content["bootstrap"]:
                print(f"{'  95 % interval':32}" + "".join(f"{interval(intervals[key]):>15}" for key in SCORES))
        over = content["over_classes"][region]
        if len(by_class) > 1:
            label = f"mean of {len(over['aupr']['classes'])} classes, {region.replace('_', ' ')}"
            print(f"{label:32}" + "".join(_number(over[key]["value"]) for key in SCORES))
    if not content["bootstrap"]:
        print("one photograph: no intervals.")
    for name, values in content["lesions"].items():
        at = ", ".join(
            f"{plain(value)} at {limit:g}"
            for limit, value in zip(values["froc"]["false_positives"], values["froc"]["sensitivity"], strict=True)
        )
        print(
            f"{name}: {values['found']} of {values['lesions']} lesions found, "
            f"{values['false_positives_per_photograph']:.2f} false positives a photograph; sensitivity {at} of them"
        )
    if content["binary"]:
        print(f"{', '.join(content['binary'])}: masks, not maps: their areas are those of a single point.")
    if content["threshold_seen"]:
        print("The thresholds were chosen on these photographs, so that what depends on them is flattered.")
    if content["threshold_source"] == "given":
        print("The thresholds are those given, not the model's.")


def _print_baseline(cases: list[Case], data: DataConfig, scores, *, bins: int) -> None:
    from pipeline.evaluation import photographs as evaluation
    from pipeline.evaluation.baseline import color_threshold_map
    from pipeline.evaluation.counting import pool
    from pipeline.evaluation.scores import score

    evaluated = evaluation.evaluate_photographs(
        lambda marked: color_threshold_map(marked.photograph, len(data.classes)),
        cases,
        data,
        thresholds=(0.5,) * len(data.classes),
        bins=bins,
    )
    pooled = pool(outcome for _, outcome in evaluated if not isinstance(outcome, InputError))
    for name, counts in pooled["frame"].items():
        print(
            f"AUPR of {name}: {plain(scores['frame'][name]['aupr'])} by the model, "
            f"{plain(score(counts)['aupr'])} by a colour threshold"
        )


def _score_tiles(segmenter, index: Index, output: Path) -> dict[str, float] | None:
    if _SPLIT.value not in index.splits:
        print(f"no tiles scored: {_RECORDS.value} has the splits {', '.join(index.splits)}, and not {_SPLIT.value}.")
        return None
    from pipeline.evaluation import photographs as evaluation
    from pipeline.input import RecordSet, naming_damaged_shards, tiles_of_split

    sets = [RecordSet(Path(_RECORDS.value), index)]
    with naming_damaged_shards(sets):
        values = evaluation.evaluate_tiles(segmenter, tiles_of_split(sets, _SPLIT.value))
    evaluation.write_tile_scores(output, values)
    words = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    print(f"tiles that hold a lesion, soft and per batch, not to be held against the above: {words}")
    return values


def _compare(folders: list[str]) -> int:
    if len(folders) != 2 or _OUTPUT.value is None:
        raise InputError("--compare takes two folders that eval left, and --output: --compare A B --output=OUT.")
    from pipeline.evaluation.comparison import write_comparison
    from pipeline.evaluation.results import read_result

    one, other = (read_result(Path(folder)) for folder in folders)
    output = make_folder(Path(_OUTPUT.value), flag="--output")
    content = write_comparison(output, one, other)
    print(f"{content['photographs']} photographs; differences are {folders[1]} less {folders[0]}")
    heads = f"{'first':>9}{'second':>9}{'difference':>12}{'95 %':>18}{'mean a photograph':>19}{'95 %':>18}{'better':>8}"
    print(f"{'':44}{heads}")
    for region, by_class in content["pooled"].items():
        for name, values in by_class.items():
            for key in COMPARED:
                pooled, each = values[key], content["per_photograph"][region][name][key]
                print(
                    f"{f'{name}, {region}, {key}':44}{plain(pooled['one']):>9}{plain(pooled['other']):>9}"
                    f"{plain(pooled['difference']):>12}{interval(pooled['interval']):>18}{plain(each['mean']):>19}"
                    f"{interval(each['mean_interval']):>18}{plain(each['better']):>8}"
                )
    print(f"comparison: {output / 'compare.json'}    look: {output / 'compare.csv'}")
    return command.DONE


def _number(value: float | None) -> str:
    return f"{plain(value):>15}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "n/a"


if __name__ == "__main__":
    command.run(main, arguments="two folders" if "--compare" in sys.argv else None)
