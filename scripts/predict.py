"""Photographs → masks, overlays and tables.

python -m scripts.predict --model=WORKDIR/model --output=OUT PHOTOGRAPH_OR_FOLDER…
"""

import sys
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from configs import DataConfig, InputError
from records import make_folder
from scripts import command

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for masks, overlays, predictions.csv, lesions.csv.", required=True
)
_PROBABILITIES = flags.DEFINE_bool("probabilities", False, "Also write probabilities/CASE.npz (float16).")


def main(arguments: list[str]) -> int:
    with command.quiet_start():
        from pipeline import prediction
        from pipeline.segmenter import load_segmenter

        photographs = prediction.photographs_of(arguments)
        segmenter = load_segmenter(Path(_MODEL.value))
    spec = segmenter.spec
    output = make_folder(Path(_OUTPUT.value), flag="--output")
    folders = ["masks", "overlays"] + ["probabilities"] * _PROBABILITIES.value
    for name in folders:
        make_folder(output / name, flag="--output")
    print(
        f"{len(photographs)} photographs; classes {', '.join(spec.classes)}, tiles of {spec.tile} pixels at scale "
        f"{spec.scale:.4g}, overlap {spec.overlap:g} → {output}/{{{','.join(folders)}}}",
        flush=True,
    )
    segmenter.segment(np.zeros((1, 1, 3), np.uint8))  # traced here, not in the first photograph's time
    done: list[prediction.Prediction] = []
    failures: list[str] = []
    for case, path in tqdm(photographs.items(), desc="photographs", disable=None):
        try:
            done.append(
                prediction.predict_photograph(
                    segmenter,
                    case,
                    path,
                    output,
                    max_pixels=DataConfig().max_pixels,
                    probabilities=_PROBABILITIES.value,
                )
            )
        except InputError as error:
            failures.append(str(error))
    for line in failures:
        print(f"left out: {line}", file=sys.stderr)
    if not done:
        raise InputError(f"none of the {len(photographs)} photographs could be read.")
    prediction.write_table(output / "predictions.csv", [one.summary for one in done], list(done[0].summary))
    prediction.write_table(
        output / "lesions.csv", [row for one in done for row in one.lesions], prediction.LESION_COLUMNS
    )
    print(f"predicted: {output}    look: {output / 'overlays'}, {output / 'predictions.csv'}")
    return command.SOME_FAILED if failures else command.DONE


if __name__ == "__main__":
    command.run(main, arguments="photographs or folders of photographs")
