"""Photographs → masks, overlays, outlines and tables.

python -m scripts.predict --model=WORKDIR/model --output=OUT PHOTOGRAPH_OR_FOLDER…

The same command again leaves out the photographs that are finished.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from collections.abc import Mapping
from pathlib import Path

from absl import flags
from tqdm import tqdm

from configs import InputError
from records import Case, find_cases
from scripts.support import command

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for masks, overlays, geojson, predictions.csv, lesions.csv, lesions.json.", required=True
)
_CLASSES = flags.DEFINE_list("classes", None, "Some of the model's classes; else all of them.")
_PROBABILITIES = flags.DEFINE_bool("probabilities", False, "Also write probabilities/CASE.npz (float16).")
_SOURCE = flags.DEFINE_string(
    "source", None, "Folder of photographs and masks: overlays show its masks beside what was found."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Predict photographs anew that are finished.")


def main(arguments: list[str]) -> int:
    with command.quiet_start():
        from pipeline.inference import load_segmenter
        from pipeline.interruption import StopRequest
        from pipeline.prediction.folder import PredictionFolder
        from pipeline.prediction.overlap import OverlappedWork
        from pipeline.prediction.pictures import photographs_of
        from pipeline.prediction.pool import SegmenterPool, all_devices

        photographs = photographs_of(arguments)
        model, devices = Path(_MODEL.value), all_devices()
        pool = SegmenterPool(lambda: load_segmenter(model, classes=_CLASSES.value), devices, say=_say)
    spec = pool.spec
    truths = _truths(spec.classes, colored=bool(spec.colors))
    folder = PredictionFolder(Path(_OUTPUT.value), model, spec, truths=truths, probabilities=_PROBABILITIES.value)
    todo = folder.begin(photographs, overwrite=_OVERWRITE.value)
    print(
        f"{len(photographs)} photographs, {len(photographs) - len(todo)} of them finished before, "
        f"{len(truths.keys() & todo.keys())} to be shown beside their truth; on "
        f"{', '.join(device.removeprefix('/device:') for device in devices)}; classes {', '.join(spec.classes)}, tiles "
        f"of {spec.tile} pixels at scale {spec.scale:.4g}, overlap {spec.overlap:g} → "
        f"{folder.output}/{{{','.join(folder.folders)}}}",
        flush=True,
    )
    if todo:
        pool.warm_up()
    stop = StopRequest(folder.output)
    work = OverlappedWork(
        pool,
        len(devices),
        lambda case: folder.read(case, todo[case]),
        write=lambda case, photograph, segmented: folder.write(case, todo[case], photograph, segmented=segmented),
        stopped=lambda: stop.error() is not None,
    )
    written = 0
    try:
        with stop.listening():
            with tqdm(desc="photographs", total=len(todo), disable=None) as bar:
                for _ in work.run(todo):
                    written += 1
                    bar.update(written + len(work.failures) - bar.n)
                bar.update(written + len(work.failures) - bar.n)
            for line in work.failures:
                print(f"left out: {line}", file=sys.stderr)
            in_all = folder.write_tables()
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be written ({error.strerror}); the same command goes on with the photographs "
            "that are not finished."
        ) from error
    if work.timings.segmented:
        print(work.timings)
    stopped = stop.error()
    if stopped is not None:
        print(f"stopped by {stopped}; the same command goes on with the {len(todo) - written} photographs left.")
        return stopped.code
    if not in_all:
        raise InputError(f"none of the {len(photographs)} photographs could be read and segmented.")
    print(
        f"predicted: {folder.output}, {in_all} photographs in its tables    look: {folder.output / 'overlays'}, "
        f"{folder.output / 'predictions.csv'}"
    )
    return command.SOME_FAILED if work.failures else command.DONE


def _truths(classes: tuple[str, ...], *, colored: bool) -> Mapping[str, Case]:
    """Returns the cases of --source of which something is known, by name."""
    if _SOURCE.value is None:
        return {}
    layout, cases = find_cases(Path(_SOURCE.value), classes, colored=colored, allow_missing_masks=True)
    return {case.name: case for case in cases if layout == "idrid" or any(case.masks.values())}


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


if __name__ == "__main__":
    command.run(main, arguments="photographs or folders of photographs")
