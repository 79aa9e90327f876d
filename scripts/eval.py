"""A model's scores on whole photographs.

python -m scripts.eval --model=WORKDIR/model --source=IDRID --split=validation --output=OUT
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags
from tqdm import tqdm

from configs import Config, DataConfig, InputError
from records import SPLITS, Case, Index, find_cases, make_folder, read_index
from scripts import command

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.", required=True)
_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and masks.", required=True)
_SPLIT = flags.DEFINE_enum("split", "validation", [*SPLITS, "all"], "Which cases to score, as the model knows them.")
_RECORDS = flags.DEFINE_string("records", None, "Records the model was trained on: also scores their tiles.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for scores.json, photographs.csv, evaluation.csv.", required=True)
_ALLOW_MISSING = flags.DEFINE_bool(
    "allow_missing_masks", False, "In paired folders, a photograph without a mask shows no lesion."
)
_BASELINE = flags.DEFINE_bool("baseline", False, "Also score a colour threshold, to hold the model against.")


def main(_: list[str]) -> int:
    index = read_index(Path(_RECORDS.value)) if _RECORDS.value else None  # before the seconds that loading takes
    with command.quiet_start():
        from pipeline import evaluation
        from pipeline.segmenter import load_segmenter

        segmenter = load_segmenter(Path(_MODEL.value))
    spec = segmenter.spec
    layout, cases = find_cases(
        Path(_SOURCE.value), spec.classes, colored=bool(spec.colors), allow_missing_masks=_ALLOW_MISSING.value
    )
    cases = _of_split(cases, spec.splits)
    output = make_folder(Path(_OUTPUT.value), flag="--output")
    print(
        f"{len(cases)} photographs of split {_SPLIT.value} in {_SOURCE.value} ({layout}); classes "
        f"{', '.join(spec.classes)} at thresholds {', '.join(f'{t:g}' for t in spec.thresholds)} → {output}",
        flush=True,
    )
    data = DataConfig(classes=spec.classes, colors=spec.colors)
    bins = Config().evaluate.bins
    photographs: list[evaluation.PhotographCounts] = []
    failures: list[str] = []
    for case in tqdm(cases, desc="photographs", disable=None):
        try:
            photographs.append(
                evaluation.evaluate_photograph(
                    lambda photograph: segmenter.segment(photograph).numpy(),
                    evaluation.read_marked(case, data),
                    classes=spec.classes,
                    thresholds=spec.thresholds,
                    bins=bins,
                )
            )
        except InputError as error:
            failures.append(str(error))
    for line in failures:
        print(f"left out: {line}", file=sys.stderr)
    if not photographs:
        raise InputError(f"none of the {len(cases)} photographs could be scored.")
    cases = [case for case in cases if case.name in {photograph.case for photograph in photographs}]
    about = {
        "model": _MODEL.value,
        "source": _SOURCE.value,
        "split": _SPLIT.value,
        "photographs": len(photographs),
        "thresholds": dict(zip(spec.classes, spec.thresholds, strict=True)),
        "bins": bins,
    }
    pooled = evaluation.write_scores(output, photographs, classes=spec.classes, about=about)
    _print_scores(pooled)
    if _BASELINE.value:
        _print_baseline(cases, data, bins, pooled)
    if index is not None:
        _score_tiles(segmenter, index, output)
    print(f"scores: {output / 'scores.json'}    look: {output / 'photographs.csv'}")
    return command.SOME_FAILED if failures else command.DONE


def _of_split(cases: list[Case], splits: Mapping[str, Sequence[str]]) -> list[Case]:
    """Takes the cases that the model folder lists; a test part that it never saw is the source's own."""
    if _SPLIT.value == "all":
        return cases
    listed = splits.get(_SPLIT.value)
    if listed is None and _SPLIT.value == "test":
        chosen = [case for case in cases if case.split == "test"]
    else:
        chosen = [case for case in cases if case.name in set(listed or ())]
    if not chosen:
        counts = ", ".join(f"{len(names)} {name}" for name, names in splits.items())
        raise InputError(
            f"--split={_SPLIT.value}: {_SOURCE.value} holds none of its cases; the model lists {counts}. "
            "Name the source it was trained from, or --split=all."
        )
    return chosen


def _print_scores(pooled) -> None:
    columns = ("aupr", "dice", "iou", "sensitivity", "ppv", "specificity")
    print(f"{'pooled over photographs':32}" + "".join(f"{name:>13}" for name in columns))
    for region, by_class in pooled.items():
        for name, values in by_class.items():
            print(f"{name + ', ' + region.replace('_', ' '):32}" + "".join(_number(values[key]) for key in columns))


def _print_baseline(cases: list[Case], data: DataConfig, bins: int, pooled) -> None:
    from pipeline import evaluation
    from pipeline.baseline import color_threshold_map

    counted = (
        evaluation.evaluate_photograph(
            lambda photograph: color_threshold_map(photograph, len(data.classes)),
            evaluation.read_marked(case, data),
            classes=data.classes,
            thresholds=(0.5,) * len(data.classes),
            bins=bins,
        )
        for case in cases
    )
    for name, counts in evaluation.pool(counted)["frame"].items():
        baseline = evaluation.scores(counts)["aupr"]
        print(
            f"AUPR of {name}: {_number(pooled['frame'][name]['aupr']).strip()} by the model, "
            f"{_number(baseline).strip()} by a colour threshold"
        )


def _score_tiles(segmenter, index: Index, output: Path) -> None:
    from pipeline import evaluation
    from pipeline import input as stream
    from pipeline.reading import RecordSet, damage_named

    sets = [RecordSet(Path(_RECORDS.value), index)]
    with damage_named(sets):
        values = evaluation.evaluate_tiles(segmenter, stream.tiles_of_split(sets, _SPLIT.value))
    evaluation.write_tile_scores(output, values)
    words = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    print(f"tiles that hold a lesion, soft and per batch, not to be held against the above: {words}")


def _number(value: float | None) -> str:
    return f"{'n/a' if value is None else format(value, '.3f'):>13}"


if __name__ == "__main__":
    command.run(main)
