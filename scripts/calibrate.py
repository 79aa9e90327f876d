"""Calibrates a model: fits its probabilities and thresholds to photographs that it has not seen.

python -m scripts.calibrate --model=WORKDIR/model --results=CROSSVAL_WORKDIR --output=OUT
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import flags

from configs import InputError
from scripts.support import command

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.", required=True)
_RESULTS = flags.DEFINE_multi_string(
    "results",
    None,
    "Folder that eval wrote, or workdir of crossval, with photographs that the networks had not seen; can be repeated.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the calibrated model.", required=True)
_HALF = flags.DEFINE_bool("half", False, "Store kernels as float16: half the size, maps as good.")
_PRECISION = flags.DEFINE_enum(
    "precision",
    None,
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Precision that the network computes in from now on, see train.precision. Default: as it was trained.",
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a model in the output folder.")


def main(_: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    output = Path(_OUTPUT.value)
    from models import in_precision
    from pipeline.evaluation import earned_operating_points, read_result, result_folders
    from pipeline.evaluation.calibration import calibrate
    from pipeline.inference import SEGMENTER_FILE, load_model, save_model

    if (output / SEGMENTER_FILE).exists() and not _OVERWRITE.value:
        raise InputError(f"--output={output}: holds a model already; name another folder, or add --overwrite.")
    network, spec = load_model(Path(_MODEL.value))
    result = read_result(*(part for folder in _RESULTS.value for part in result_folders(Path(folder))))
    if _PRECISION.value is not None:
        network = in_precision(network, _PRECISION.value)
    points = earned_operating_points(result)
    calibrated, of_classes = calibrate(network, spec, result, points=points)
    print(f"{len(result.cases)} photographs; logits z become factor * z + shift")
    print(f"{'':16}{'factor':>8}{'shift':>8}{'threshold':>18}{'least area':>14}{'calibration error':>22}")
    areas = spec.min_areas or (0.0,) * len(spec.classes)
    for name, before, area, one in zip(spec.classes, spec.thresholds, areas, of_classes, strict=True):
        print(
            f"{name:16}{one.factor:8.3f}{one.shift:8.3f}{before:9.3f} → {one.threshold:.3f}"
            f"{area:9g} → {one.min_area:<2g}{one.error_before:11.5f} → {one.error_after:.5f}"
        )
    print("least areas: pixels at the network's scale, of detections; 0: every region is one")
    for reason in _not_chosen(points):
        print(reason)
    save_model(output, network, calibrated, half=_HALF.value)
    print(f"model: {output}")
    return command.DONE


def _not_chosen(points: Mapping[str, Any]) -> Iterator[str]:
    """Yields why classes have the threshold of highest Dice, and no least area."""
    if points["why_not"]:
        yield f"thresholds of highest Dice, no least areas chosen: {points['why_not']}."
    for name, of_class in points["classes"].items():
        if of_class["why_not"]:
            yield f"{name}: threshold of highest Dice, no least area chosen: {of_class['why_not']}."


if __name__ == "__main__":
    command.run(main)
