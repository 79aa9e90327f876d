"""Predicts photographs: masks, overlays, outlines and tables.

python -m scripts.predict --model=WORKDIR/model --output=OUT PHOTOGRAPH_OR_FOLDER…

Started again, the same command predicts only the photographs that are not finished.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from configs import InputError
from records import Case, claimed_output, describe_scales, find_cases, photographs_of
from scripts.support import camera, cluster, command, limits, members, operating
from scripts.support.photographs import Work, say, saying_what_cannot_be_written, work_through
from scripts.support.warnings import print_warnings

if TYPE_CHECKING:
    from pipeline.inference import TiledSegmenter
    from pipeline.interruption import StopRequest
    from pipeline.prediction import PhotographFile, PredictionFolder, SegmenterPool

_MODEL = flags.DEFINE_multi_string(
    "model", None, "Model folder, such as WORKDIR/model; repeat the flag to average several models.", required=True
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for masks, overlays, geojson, predictions.csv, lesions.csv, lesions.json.", required=True
)
_CLASSES = flags.DEFINE_list("classes", None, "Some of the model's classes; default: all.")
_PROBABILITIES = flags.DEFINE_bool(
    "probabilities", False, "Also write probability maps at the network's scale: probabilities/CASE.npz (float16)."
)
_FULL_SIZE = flags.DEFINE_bool("full_size", False, "With --probabilities: write them at the photographs' size.")
_TIFF = flags.DEFINE_bool(
    "tiff", False, "Also write probability maps as probabilities/CASE_CLASS.tif (16-bit grey, the photographs' size)."
)
_SOURCE = flags.DEFINE_string(
    "source", None, "Folder of photographs and masks: overlays show its masks beside the detections."
)
_RECURSIVE = flags.DEFINE_bool(
    "recursive", False, "Search the folders below, too: FOLDER/001/left.jpg is predicted as 001_left."
)
_FOLDER_NAMES = flags.DEFINE_integer(
    "folder_names",
    None,
    "Folders whose names are put in front of each photograph's: 1 for FOLDER_PHOTOGRAPH; default: with --recursive, 1 "
    "for photographs below a folder that is named.",
    lower_bound=0,
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Predict finished photographs again.")
_UNCERTAINTY = flags.DEFINE_enum(
    "uncertainty",
    None,
    ["members", "orientations", "both"],
    "Also say how sure the model is: the spread of its probabilities over an ensemble's members, over orientations of "
    "each tile (eight times the time) or both. Writes spread/CASE_CLASS.png, review.csv and further columns.",
)
_STRICT = flags.DEFINE_bool("strict", False, "Leave out photographs that do not suit the model; exit code 1.")
operating.define_flags()
members.define_flags()
camera.define_flags()
limits.define_flags()
cluster.define_flags()


def main(arguments: list[str]) -> int:
    """Predicts the photographs that are not finished and writes the tables of all."""
    reads = [*arguments, *_MODEL.value, _SOURCE.value]
    with (
        claimed_output(Path(_OUTPUT.value), flag="--output") as make_output,
        cluster.connected(reads=reads) as nodes,
    ):
        return _predict(arguments, make_output, nodes)


def _predict(arguments: list[str], make_output: Callable[[], Path], nodes: cluster.RayCluster | None) -> int:
    known = camera.given()
    from pipeline.inference import fingerprint_of_all, load_together
    from pipeline.operating_point import parse_operating_point
    from pipeline.prediction import PredictionFolder, SegmenterPool, all_devices, predicting

    map_forms = _map_forms()
    photographs = photographs_of(
        arguments, recursive=_RECURSIVE.value, folder_names=_FOLDER_NAMES.value, skip=Path(_OUTPUT.value)
    )
    if nodes is not None:
        cluster.leave_gpus_to_the_nodes()
    models, average, devices = members.folders(_MODEL.value, flag="--model"), members.average(), all_devices()
    uncertainty = _UNCERTAINTY.value
    options = {"classes": _CLASSES.value, "camera": known, "max_pixels": limits.max_pixels()}

    def load() -> "TiledSegmenter":
        return load_together(models, average=average, **options).with_uncertainty(uncertainty)

    pool = SegmenterPool(load, devices, say=say)
    spec = pool.spec
    operating_point = parse_operating_point(**operating.given(), classes=spec.classes, default=spec.operating_point)
    annotated = _annotated_cases(spec.classes, colored=bool(spec.colors))
    folder = PredictionFolder(
        make_output(),
        spec,
        model=fingerprint_of_all(models, spec.classes, average=average),
        measure=pool.measure,
        operating_point=operating_point,
        camera=known,
        annotated=annotated,
        map_forms=map_forms,
        strict=_STRICT.value,
        uncertainty=uncertainty,
    )
    make = functools.partial(predicting, load, folder)
    return _predict_into(folder, pool, photographs, devices=devices, nodes=nodes, make=make)


def _predict_into(
    folder: "PredictionFolder",
    pool: "SegmenterPool",
    photographs: Mapping[str, Path],
    *,
    devices: Sequence[str],
    nodes: cluster.RayCluster | None,
    make: "Callable[[], Callable[[PhotographFile], None]]",
) -> int:
    """Predicts the photographs that are not finished, writes the tables and returns the exit code."""
    from pipeline.interruption import StopRequest
    from pipeline.prediction import OverlappedWork
    from scripts.support.cluster_work import ClusterWork

    spec = pool.spec
    todo = folder.begin(photographs, overwrite=_OVERWRITE.value, say=say)
    print(
        f"{len(photographs)} photographs, {len(photographs) - len(todo)} of them already finished, "
        f"{len(folder.annotated.keys() & todo.keys())} to be shown beside their ground truth; on "
        f"{_devices(devices, nodes)}; classes {', '.join(spec.classes)}, tiles "
        f"of {spec.tile} pixels at {pool.rule}, overlap {spec.overlap:g} → "
        f"{folder.output}/{{{','.join(folder.folders)}}}",
        flush=True,
    )
    if todo and nodes is None:
        pool.warm_up()
    stop = StopRequest(folder.output, waits_for="the photographs that are being segmented and written")
    work: ClusterWork | OverlappedWork
    if nodes is not None:
        work = ClusterWork(nodes, make, files=todo, folder=folder, stopped=lambda: stop.error() is not None)
    else:
        work = OverlappedWork(
            pool,
            len(devices),
            lambda case: folder.read(case, todo[case]),
            write=lambda case, photograph, segmented: folder.write(case, todo[case], photograph, segmented=segmented),
            stopped=lambda: stop.error() is not None,
            bytes_of=lambda case: folder.bytes_of(case, todo[case]),
        )
    written, rows = _write_all(work, folder, todo, stop=stop)
    if isinstance(work, OverlappedWork) and work.timings.segmented:
        print(work.timings)
    stopped = stop.error()
    if stopped is not None:
        print(f"stopped by {stopped}; the same command continues with the remaining {len(todo) - written} photographs.")
        return stopped.code
    if not rows:
        raise InputError(f"none of the {len(photographs)} photographs could be read and segmented.")
    print(f"scales: {describe_scales([row['scale'] for row in rows if 'scale' in row])}")
    print_warnings(
        (f"{row['case']}: {row['warnings']}" for row in rows if row.get("warnings")),
        more="photographs; see predictions.csv",
    )
    print(
        f"predicted: {folder.output}, {len(rows)} photographs in its tables    see: {folder.output / 'overlays'}, "
        f"{folder.output / ('predictions.csv' if _UNCERTAINTY.value is None else 'review.csv')}"
    )
    return command.SOME_FAILED if work.failures else command.DONE


def _write_all(
    work: Work, folder: "PredictionFolder", todo: Mapping[str, Path], *, stop: "StopRequest"
) -> tuple[int, list[dict[str, Any]]]:
    """Returns how many photographs were written now, and the rows of all in `predictions.csv`."""
    with saying_what_cannot_be_written(), stop.listening():
        return work_through(work, todo), folder.write_tables()


def _devices(devices: Sequence[str], nodes: cluster.RayCluster | None) -> str:
    return ", ".join(one.removeprefix("/device:") for one in devices) if nodes is None else "the nodes of the cluster"


def _map_forms() -> tuple[str, ...]:
    """Returns the forms in which probability maps are asked for."""
    if _FULL_SIZE.value and not _PROBABILITIES.value:
        raise InputError("--full_size is about the files of --probabilities; add --probabilities or leave it out.")
    arrays = "full_size" if _FULL_SIZE.value else "scaled"
    return (arrays,) * _PROBABILITIES.value + ("tiff",) * _TIFF.value


def _annotated_cases(classes: tuple[str, ...], *, colored: bool) -> Mapping[str, Case]:
    """Returns the cases of --source that have ground truth, by name."""
    if _SOURCE.value is None:
        return {}
    layout, cases = find_cases(
        Path(_SOURCE.value),
        classes,
        colored=colored,
        allow_missing_masks=True,
        unite_masks=True,
        recursive=_RECURSIVE.value,
    )
    return {case.name: case for case in cases if layout == "idrid" or any(case.masks.values())}


if __name__ == "__main__":
    command.run(main, arguments="photographs or folders of photographs")
