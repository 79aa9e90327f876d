"""Exports a model folder as a SavedModel for TF Serving, or as a folder that Keras alone can load.

python -m scripts.export --model=WORKDIR/model --output=OUT
python -m scripts.export --format=keras --model=WORKDIR/model --output=OUT --license=cc-by-4.0
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path

from absl import flags

from configs import InputError
from records import photograph_size
from scripts.support import camera, command, limits, operating

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the served model; the SavedModel goes to OUT/VERSION.", required=True
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "keras"],
    "What to write: a SavedModel; or the Keras network with its layers' code, a model card and safetensors.",
)
_CLASSES = flags.DEFINE_list("classes", None, "Some of the model's classes; default: all.")
_VERSION = flags.DEFINE_integer("version", 1, "Version number that it is served under.", lower_bound=0)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace this version if it exists.")
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Precision of the exported network's computations.",
)
_CLIENT_CHECK = flags.DEFINE_string(
    "client_check",
    None,
    "Photograph to send to the export as a client does; exit code 1 if its probability map differs from predict's.",
)
_ANONYMOUS = flags.DEFINE_bool(
    "anonymous", False, "Write salted digests instead of the names of the photographs that the model has seen."
)
_LICENSE = flags.DEFINE_string(
    "license", "unknown", "keras: licence of the weights in the model card, as in cc-by-4.0."
)
_DATASETS = flags.DEFINE_list(
    "datasets", [], "keras: names of the data sets that the model has learnt from, for the card."
)
_OF_SAVED_MODEL = (
    "classes",
    "precision",
    "client_check",
    "threshold",
    "min_area",
    "scale",
    "field_degrees",
    "max_pixels",
)
_OF_KERAS = ("license", "datasets")
operating.define_flags()
camera.define_flags()
limits.define_flags()


def main(_: list[str]) -> int:
    """Exports the model in one of the formats."""
    is_keras = _FORMAT.value == "keras"
    for name in _OF_SAVED_MODEL if is_keras else _OF_KERAS:
        if flags.FLAGS[name].present:
            raise InputError(f"--format={_FORMAT.value} takes no --{name}; leave it out.")
    return _export_keras() if is_keras else _export_saved_model()


def _export_keras() -> int:
    from pipeline.export import export_keras

    target = export_keras(
        Path(_MODEL.value),
        Path(_OUTPUT.value),
        version=_VERSION.value,
        overwrite=_OVERWRITE.value,
        license_name=_LICENSE.value,
        datasets=_DATASETS.value,
        anonymous=_ANONYMOUS.value,
    )
    print(f"exported: {target}    see: {target / 'README.md'}, python {target / 'load.py'}")
    return command.DONE


def _export_saved_model() -> int:
    """Exports a SavedModel, and checks it as a client does if asked to."""
    model, output, known = Path(_MODEL.value), Path(_OUTPUT.value), camera.given()
    photograph = None if _CLIENT_CHECK.value is None else Path(_CLIENT_CHECK.value)
    from pipeline.export import check_client, export_model
    from pipeline.inference import load_segmenter
    from pipeline.operating_point import parse_operating_point

    segmenter = load_segmenter(model, classes=_CLASSES.value, camera=known, max_pixels=limits.max_pixels())
    spec = segmenter.spec
    operating_point = parse_operating_point(**operating.given(), classes=spec.classes, default=spec.operating_point)
    if photograph:
        photograph_size(photograph, max_pixels=spec.max_pixels)  # fails before any work is done
    target = output / str(_VERSION.value)
    print(
        f"classes {', '.join(spec.classes)}, tiles of {spec.tile} pixels at {segmenter.rule}, {_PRECISION.value} "
        f"→ {target}; signatures serving_default, segment, tiles; lesions, masks, map8",
        flush=True,
    )
    options = {"version": _VERSION.value, "overwrite": _OVERWRITE.value, "precision": _PRECISION.value}
    export_model(segmenter, model, output, operating_point=operating_point, anonymous=_ANONYMOUS.value, **options)
    code = command.DONE
    if photograph:
        check = check_client(target, segmenter, photograph)
        print("\n".join(f"client: {line}" for line in check.lines))
        code = command.DONE if check.same else command.SOME_FAILED
    print(f"exported: {target}    see: {target / 'README.md'}, python {target / 'verify.py'}")
    return code


if __name__ == "__main__":
    command.run(main)
