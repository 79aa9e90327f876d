"""Photographs → masks, overlays and tables.

python -m scripts.predict --model=WORKDIR/model --output=OUT PHOTOGRAPH_OR_FOLDER…
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from configs import DataConfig, InputError
from records import make_folder, read_photograph
from scripts import command

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for masks, overlays, predictions.csv, lesions.csv.", required=True
)
_PROBABILITIES = flags.DEFINE_bool("probabilities", False, "Also write probabilities/CASE.npz (float16).")


def main(arguments: list[str]) -> int:
    with command.quiet_start():
        from pipeline import prediction
        from pipeline.pool import SegmenterPool, all_devices
        from pipeline.segmenter import load_segmenter

        photographs = prediction.photographs_of(arguments)
        devices = all_devices()
        pool = SegmenterPool(lambda: load_segmenter(Path(_MODEL.value)), devices, say=_say)
    spec = pool.spec
    output = make_folder(Path(_OUTPUT.value), flag="--output")
    folders = ["masks", "overlays"] + ["probabilities"] * _PROBABILITIES.value
    for name in folders:
        make_folder(output / name, flag="--output")
    print(
        f"{len(photographs)} photographs on {', '.join(device.removeprefix('/device:') for device in devices)}; "
        f"classes {', '.join(spec.classes)}, tiles of {spec.tile} pixels at scale {spec.scale:.4g}, overlap "
        f"{spec.overlap:g} → {output}/{{{','.join(folders)}}}",
        flush=True,
    )
    pool.warm_up()
    done: list[prediction.Prediction] = []
    failures: list[str] = []
    readable = _readable(photographs, failures)
    for case, photograph, segmented in tqdm(
        pool.segment_all(readable), desc="photographs", total=len(photographs), disable=None
    ):
        path = photographs[case]
        try:
            written = prediction.write_prediction(
                spec, case, path, photograph, segmented.result(), output, probabilities=_PROBABILITIES.value
            )
            done.append(written)
        except InputError as error:
            failures.append(f"{path}: {error}")
    for line in failures:
        print(f"left out: {line}", file=sys.stderr)
    if not done:
        raise InputError(f"none of the {len(photographs)} photographs could be read and segmented.")
    prediction.write_table(output / "predictions.csv", [one.summary for one in done], list(done[0].summary))
    prediction.write_table(
        output / "lesions.csv", [row for one in done for row in one.lesions], prediction.LESION_COLUMNS
    )
    print(f"predicted: {output}    look: {output / 'overlays'}, {output / 'predictions.csv'}")
    return command.SOME_FAILED if failures else command.DONE


def _readable(photographs: dict[str, Path], failures: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Reads one photograph after the other; what is wrong with those that cannot be read goes to `failures`."""
    for case, path in photographs.items():
        try:
            yield case, read_photograph(path, max_pixels=DataConfig().max_pixels)
        except InputError as error:
            failures.append(str(error))


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


if __name__ == "__main__":
    command.run(main, arguments="photographs or folders of photographs")
