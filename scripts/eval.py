"""Scores whole photographs: those of a model, or probability maps and masks made by any program.

python -m scripts.eval --model=WORKDIR/model --source=IDRID --split=validation --output=OUT
python -m scripts.eval --predictions=MAPS --source=IDRID --split=test --output=OUT
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import dataclasses
import functools
from pathlib import Path

from absl import flags
from tqdm import tqdm

from configs import InputError
from records import SPLITS, UNKNOWN_CAMERA, LostPieceError, make_folder, read_index
from scripts.support import camera, cluster, command, limits, operating, source
from scripts.support.warnings import print_warnings
from scripts.support.wording import percent, plain

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.")
_PREDICTIONS = flags.DEFINE_string(
    "predictions",
    None,
    "Folder of external maps to score instead: as predict writes them, or CASE_CLASS.png (or .tif) of any program.",
)
_LEVELS = flags.DEFINE_enum(
    "levels",
    "auto",
    ["auto", "full", "binary"],
    "What means 1 in maps of --predictions: the highest level of the format (full: 255, or 65535 of 16 bits), or the "
    "level 1 (binary). auto: binary if no file of the folder has a higher level than 1.",
)
_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and masks.")
_SPLIT = flags.DEFINE_enum(
    "split", "validation", [*SPLITS, "all"], "Cases to score, as the model lists them; without a model, the source's."
)
_CLASSES = flags.DEFINE_list(
    "classes", None, "Some of the model's classes; with --predictions and no --model: the classes of the files."
)
_RECORDS = flags.DEFINE_string("records", None, "Records that the model was trained on; their tiles are scored too.")
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder for report.html, scores.json, photographs.csv, lesions.csv, tiles.csv, counts.npz, evaluation.csv.",
)
_BASELINE = flags.DEFINE_bool("baseline", False, "Also score a colour threshold, for comparison with the model.")
_SWEEP = flags.DEFINE_bool(
    "sweep",
    False,
    "Count at other thresholds and least areas too, from which calibrate chooses. Takes a little longer.",
)
_STRICT = flags.DEFINE_bool("strict", False, "Leave out photographs that do not suit the model; exit code 1.")
_COMPARE = flags.DEFINE_bool("compare", False, "Deprecated: use python -m scripts.compare.")
_ANONYMOUS = flags.DEFINE_bool(
    "anonymous", False, "Write salted digests instead of names, no folders and no pictures of photographs."
)
source.define_flags()
operating.define_flags()
camera.define_flags()
limits.define_flags()
cluster.define_flags()


def main(folders: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    if _COMPARE.value:
        return _compare(folders)
    _check_flags()
    reads = [_SOURCE.value, _MODEL.value, _PREDICTIONS.value, flags.FLAGS.healthy]
    with cluster.connected(reads=reads) as nodes:
        return _evaluate(nodes)


def _evaluate(nodes: cluster.RayCluster | None) -> int:
    index = read_index(Path(_RECORDS.value)) if _RECORDS.value else None  # before loading, which takes seconds
    from pipeline.evaluation import AnonymousNames, Names, audit
    from pipeline.evaluation.plan import EvaluationRequest, plan_evaluation
    from pipeline.evaluation.run import evaluate
    from pipeline.inference import load_segmenter
    from pipeline.reporting import REPORT, Gallery, write_report
    from scripts.support.score_tables import evaluation_lines

    if nodes is not None:
        cluster.leave_gpus_to_the_nodes()
    load = _MODEL.value and functools.partial(
        load_segmenter,
        Path(_MODEL.value),
        classes=_CLASSES.value,
        camera=camera.given(),
        max_pixels=limits.max_pixels(),
    )
    segmenter = load() if load else None
    request = EvaluationRequest(
        source=_SOURCE.value,
        split=_SPLIT.value,
        model=_MODEL.value,
        predictions=_PREDICTIONS.value,
        levels=_LEVELS.value,
        records=_RECORDS.value,
        classes=_CLASSES.value,
        strict=_STRICT.value,
        sweep=_SWEEP.value,
        **source.given(),
        max_pixels=limits.max_pixels(),
        **operating.given(),
    )
    plan = plan_evaluation(request, segmenter, index)
    output = make_folder(Path(_OUTPUT.value), flag="--output")
    _print_plan(plan, output)
    _print_levels(plan)
    gallery = None if _ANONYMOUS.value else Gallery(plan.data.classes, plan.operating_point)
    hidden = (_SOURCE.value, *source.given()["known"].paths, _MODEL.value, _PREDICTIONS.value, _RECORDS.value)
    names = AnonymousNames(plan.cases, hidden, plan.maps) if _ANONYMOUS.value else Names()
    look = None if gallery is None else gallery.look
    count = None if nodes is None else _counting_on(nodes, load, plan, gallery=gallery)
    evaluation = evaluate(plan, output, names=names, look=look, progress=_progress, warn=_warn, count=count)
    result, content, seconds = evaluation.result, evaluation.content, evaluation.seconds
    print("\n".join(evaluation_lines(content)))
    for lines in evaluation.mask_warnings.values():
        print_warnings(lines)
    if _BASELINE.value:
        _print_baseline(evaluation, plan)
    tiles = _score_tiles(segmenter, index, output) if index is not None else None
    leaks = audit(index, evaluation.seen, evaluation.hashes).named(names)
    write_report(output, result, content, gallery=gallery, audit=leaks, index=index, tiles=tiles)
    print(
        f"{'reading maps' if plan.maps else 'segmenting'} {seconds.segmenting:.1f} s, scoring {seconds.scoring:.1f} s "
        f"({percent(seconds.scoring, seconds.segmenting)}), in parallel"
        + (f"; pictures {gallery.seconds:.1f} s" if gallery else "")
    )
    print(f"scores: {output / 'scores.json'}    see: {output / REPORT}, {output / 'photographs.csv'}")
    return command.SOME_FAILED if evaluation.failures else command.DONE


def _counting_on(nodes: cluster.RayCluster, load, plan, *, gallery):
    """Returns a function that counts cases on a cluster, see `pipeline.evaluation.run.Count`."""
    from pipeline.evaluation.counted import counting

    bare = dataclasses.replace(plan, segmenter=None, cases=())
    make = functools.partial(counting, load, bare, None if gallery is None else gallery.look)

    def count(cases, seconds):
        outcomes = nodes.map_prepared(make, cases, need=nodes.model_need())
        for case, outcome in zip(cases, cluster.in_order(outcomes), strict=True):
            if isinstance(outcome, LostPieceError):
                yield case, InputError(f"{case.photograph}: {outcome}")
            elif isinstance(outcome, InputError):
                yield case, outcome
            else:
                counted, took = outcome
                seconds.segmenting += took.segmenting
                seconds.scoring += took.scoring
                if gallery is not None:
                    gallery.take(counted.counts, counted.seen)
                yield case, counted

    return count


def _check_flags() -> None:
    source.folder(_SOURCE.value)
    if _OUTPUT.value is None:
        raise InputError("--output is required; see --help.")
    if _MODEL.value is None and _PREDICTIONS.value is None:
        raise InputError("--model is required, or --predictions; see --help.")
    if camera.given() != UNKNOWN_CAMERA and _PREDICTIONS.value is not None:
        raise InputError("--scale and --field_degrees: maps of --predictions are not scaled; leave them out.")
    if _SWEEP.value and _PREDICTIONS.value is not None:
        raise InputError(
            "--sweep: least areas are at the scale of a network, which --predictions has not; leave it out."
        )
    if _LEVELS.value != "auto" and _PREDICTIONS.value is None:
        raise InputError("--levels: is about maps of --predictions; leave it out.")
    if _RECORDS.value is not None and _PREDICTIONS.value is not None:
        raise InputError("--records: tiles are scored by a model, not by --predictions; leave one of the two out.")


def _print_plan(plan, output: Path) -> None:
    point = plan.operating_point
    classes = [f"{name} at {threshold:g}" for name, threshold in zip(plan.data.classes, point.thresholds, strict=True)]
    areas = point.describe_areas(plan.data.classes)
    print(
        f"{len(plan.cases)} photographs of split {_SPLIT.value} in {source.title(_SOURCE.value)} ({plan.layout}); "
        f"classes {', '.join(classes)} (threshold: {plan.threshold_source}){areas and f', least areas {areas}'} → "
        f"{output}",
        flush=True,
    )
    if plan.unlabelled:
        names = ", ".join(plan.unlabelled)
        print(
            f"{names}: no photograph has a mask of {'it' if len(plan.unlabelled) == 1 else 'them'}, so taken as not "
            f"labelled; if somebody looked, add --labelled={','.join(plan.data.classes)} --allow_missing_masks.",
            flush=True,
        )


def _print_levels(plan) -> None:
    if plan.levels == "binary":
        print("maps: of 8 and 16 bits, the level 1 means 1: they are masks (--levels=full: it means 1/255 or 1/65535)")
    elif plan.levels == "full":
        print("maps: of 8 bits, 255 means 1, and of 16 bits, 65535 (--levels=binary: the level 1 means 1)")


def _progress(outcomes, total: int):
    return tqdm(outcomes, desc="photographs", total=total, disable=None)


def _warn(message: str) -> None:
    print(f"left out: {message}", file=sys.stderr)


def _print_baseline(evaluation, plan) -> None:
    from pipeline.evaluation import baseline_aupr

    scores = evaluation.content["scores"]["frame"]
    for name, value in baseline_aupr(evaluation.scored, plan.data, bins=plan.bins).items():
        print(f"AUPR of {name}: {plain(scores[name]['aupr'])} by the model, {plain(value)} by a colour threshold")


def _score_tiles(segmenter, index, output: Path) -> dict[str, float] | None:
    if _SPLIT.value not in index.splits:
        print(f"no tiles scored: {_RECORDS.value} has the splits {', '.join(index.splits)}, but not {_SPLIT.value}.")
        return None
    from pipeline.evaluation.tiles import score_split

    values = score_split(segmenter, Path(_RECORDS.value), index, split=_SPLIT.value, output=output)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    print(f"tiles that show a lesion, soft and per batch, not comparable with the scores above: {scores}")
    return values


def _compare(folders: list[str]) -> int:
    print("eval --compare is deprecated; use python -m scripts.compare --output=OUT A B.", file=sys.stderr)
    if len(folders) != 2 or _OUTPUT.value is None:
        raise InputError("--compare takes two folders that eval wrote, and --output: --compare A B --output=OUT.")
    from scripts.support.comparing import compare

    compare(folders, _OUTPUT.value)
    return command.DONE


if __name__ == "__main__":
    command.run(main, arguments="two folders" if "--compare" in sys.argv else None)
