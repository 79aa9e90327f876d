"""Labels photographs by models, as a source with masks that training reads and a person can correct.

python -m scripts.pseudolabel --model=WORKDIR/model --source=PHOTOGRAPHS --output=SOURCE2

Started again, the same command labels only the photographs that are not finished, and touches no others.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from configs import InputError
from records import add_healthy, claimed_output, describe_scales, photographs_of
from scripts.support import camera, cluster, command, limits, source
from scripts.support.photographs import say, saying_what_cannot_be_written, work_through
from scripts.support.warnings import print_warnings

if TYPE_CHECKING:
    from pipeline.labelling import Ensemble, Entry, PseudolabelFolder
    from pipeline.prediction import PhotographFile

_MODEL = flags.DEFINE_list(
    "model", None, "Model folder, or several with commas between them, whose maps are averaged.", required=True
)
_SOURCE = flags.DEFINE_string(
    "source", None, "Folder of photographs, or a source of which the folder images/ is taken.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the photographs with their labels.", required=True)
_CLASSES = flags.DEFINE_list("classes", None, "Some of the models' classes; default: all.")
_CONFIDENT = flags.DEFINE_list(
    "confident", ["0.1", "0.9"], "Probabilities up to which there is no lesion, and from which there is one."
)
_SOFT = flags.DEFINE_bool("soft", False, "Masks hold probabilities in 256 levels, for data.soft_labels; none ignored.")
_LINK = flags.DEFINE_bool("link", False, "Link photographs (hard links) instead of copying them.")
_RECURSIVE = flags.DEFINE_bool(
    "recursive", False, "Search the folders below, too: SOURCE/001/left.jpg becomes images/001_left.jpg."
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Label finished photographs again; corrections of their masks are lost."
)
_STRICT = flags.DEFINE_bool("strict", False, "Leave out photographs that do not suit a model; exit code 1.")
source.define_healthy_flags()
camera.define_flags()
limits.define_flags()
cluster.define_flags()


def main(_: list[str]) -> int:
    """Labels the photographs that are not finished and writes the tables of all."""
    reads = [_SOURCE.value, *_MODEL.value, flags.FLAGS.healthy]
    with (
        claimed_output(Path(_OUTPUT.value), flag="--output") as make_output,
        cluster.connected(reads=reads) as nodes,
    ):
        return _label(make_output, nodes)


def _label(make_output: Callable[[], Path], nodes: cluster.RayCluster | None) -> int:
    known = camera.given()
    from pipeline.labelling import LabelSettings, PseudolabelFolder, labelling, load_ensemble, parse_confidence
    from pipeline.prediction import all_devices, warn

    if nodes is not None:
        cluster.leave_gpus_to_the_nodes()
    confidence = parse_confidence(_CONFIDENT.value)
    photographs, devices = _photographs(), all_devices()
    load = functools.partial(
        load_ensemble,
        [Path(folder) for folder in _MODEL.value],
        classes=_CLASSES.value,
        camera=known,
        max_pixels=limits.max_pixels(),
    )
    ensemble = load(devices, say=say)
    photographs, absent = add_healthy(photographs, ensemble.classes, source.healthy(), recursive=_RECURSIVE.value)
    settings = LabelSettings(confidence, soft=_SOFT.value, camera=known, link=_LINK.value, strict=_STRICT.value)
    folder = PseudolabelFolder(make_output(), ensemble, settings, absent=absent)
    make = functools.partial(labelling, functools.partial(load, say=warn), folder)
    return _label_into(folder, ensemble, photographs, devices=len(devices), nodes=nodes, make=make)


def _photographs() -> dict[str, Path]:
    """Returns the photographs of --source by name: those of its folder images/, if it has one."""
    folder, output = Path(_SOURCE.value), Path(_OUTPUT.value)
    if output.resolve() == folder.resolve():
        raise InputError(f"--output={output}: is --source itself; name another folder.")
    images = folder / "images"
    where = images if images.is_dir() else folder
    return photographs_of([str(where)], recursive=_RECURSIVE.value, skip=output)


def _label_into(
    folder: "PseudolabelFolder",
    ensemble: "Ensemble",
    photographs: Mapping[str, Path],
    *,
    devices: int,
    nodes: cluster.RayCluster | None,
    make: "Callable[[], Callable[[PhotographFile], None]]",
) -> int:
    """Labels the photographs that are not finished, writes the tables and returns the exit code."""
    from pipeline.interruption import StopRequest
    from pipeline.prediction import OverlappedWork
    from scripts.support.cluster_work import ClusterWork

    todo = folder.begin(photographs, overwrite=_OVERWRITE.value)
    low, high = folder.settings.confidence
    print(
        f"{len(photographs)} photographs, {len(photographs) - len(todo)} of them already labelled, "
        f"{len(folder.absent)} free of some class; classes {', '.join(ensemble.classes)}, of "
        f"{len(ensemble.models)} model{'s' * (len(ensemble.models) > 1)}; lesion from {high:g}, none up to {low:g}, "
        f"{'levels in masks' if folder.settings.soft else 'unknown in between'} → {folder.output}",
        flush=True,
    )
    if todo and nodes is None:
        ensemble.warm_up()
    stop = StopRequest(folder.output, waits_for="the photographs that are being segmented and written")
    work: ClusterWork | OverlappedWork
    if nodes is not None:
        work = ClusterWork(nodes, make, files=todo, folder=folder, stopped=lambda: stop.error() is not None)
    else:
        work = OverlappedWork(
            ensemble,
            devices,
            lambda case: folder.read(case, todo[case]),
            write=lambda case, photograph, segmented: folder.write(case, todo[case], photograph, segmented=segmented),
            stopped=lambda: stop.error() is not None,
            bytes_of=lambda case: folder.bytes_of(todo[case]),
        )
    with saying_what_cannot_be_written(), stop.listening():
        written = work_through(work, todo)
    if isinstance(work, OverlappedWork) and work.timings.segmented:
        print(work.timings)
    stopped = stop.error()
    if stopped is not None:
        print(f"stopped by {stopped}; the same command continues with the remaining {len(todo) - written} photographs.")
        return stopped.code
    entries = folder.finish()
    if not entries:
        raise InputError(f"none of the {len(photographs)} photographs could be read and labelled.")
    _print_summary(folder, entries)
    return command.SOME_FAILED if work.failures else command.DONE


def _print_summary(folder: "PseudolabelFolder", entries: "Mapping[str, Entry]") -> None:
    """Prints what was labelled, and what to do next."""
    for number, model in enumerate(folder.ensemble.models):
        print(f"scales of {model.folder}: {describe_scales([entry.scales[number] for entry in entries.values()])}")
    for name in folder.ensemble.classes:
        of_class = [entry.classes[name] for entry in entries.values()]
        absent = sum(name in entry.absent for entry in entries.values())
        print(
            f"{name}: {sum(one.lesions for one in of_class)} lesions, {sum(one.doubtful for one in of_class)} doubtful "
            f"regions in {len(entries) - absent} photographs; {sum(one.mistakes for one in of_class)} mistakes in "
            f"{absent} that show none"
        )
    print_warnings(
        (f"{case}: {'; '.join(entry.warnings)}" for case, entry in entries.items() if entry.warnings),
        more="photographs; see review.csv",
    )
    output, ignored = folder.output, "" if folder.settings.soft else " and masks/CLASS_ignore/NAME.png"
    print(
        f"to correct: {output / 'review.csv'} lists first what is most worth it; look at overlays/NAME.jpg, edit "
        f"masks/CLASS/NAME.png{ignored}, then shard."
    )
    print(f"labelled: {output}, {len(entries)} photographs    see: {output / 'overlays'}, {output / 'review.csv'}")


if __name__ == "__main__":
    command.run(main)
