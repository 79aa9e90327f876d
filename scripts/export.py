"""Exports a model folder: as a SavedModel for TF Serving, as a folder that Keras alone can load, or as one ONNX file.

python -m scripts.export --model=WORKDIR/model --output=OUT
python -m scripts.export --format=keras --model=WORKDIR/model --output=OUT --license=cc-by-4.0
python -m scripts.export --format=onnx --model=WORKDIR/model --output=OUT [--onnx_precision=int8]
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from configs import InputError
from records import photograph_size
from scripts.support import camera, command, limits, operating

if TYPE_CHECKING:
    from pipeline.inference import TiledSegmenter
    from pipeline.operating_point import OperatingPoint

_MODEL = flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the export; a SavedModel goes to OUT/VERSION.", required=True)
_FORMAT = flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "keras", "onnx"],
    "What to write: a SavedModel; the Keras network with its layers' code, a model card and safetensors; or one ONNX "
    "file.",
)
_ONNX_PRECISION = flags.DEFINE_enum(
    "onnx_precision", "float32", ["float32", "float16", "int8"], "How --format=onnx stores weights."
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
# Flags that a format has no use for.
_UNUSED = {
    "saved_model": ("license", "datasets", "onnx_precision"),
    "keras": (
        "classes",
        "precision",
        "client_check",
        "threshold",
        "min_area",
        "scale",
        "field_degrees",
        "max_pixels",
        "onnx_precision",
    ),
    "onnx": ("version", "precision", "client_check", "anonymous", "license", "datasets"),  # the file has no names
}
operating.define_flags()
camera.define_flags()
limits.define_flags()


def main(_: list[str]) -> int:
    """Exports the model in one of the formats."""
    for name in _UNUSED[_FORMAT.value]:
        if flags.FLAGS[name].present:
            raise InputError(f"--format={_FORMAT.value} takes no --{name}; leave it out.")
    return _EXPORTS[_FORMAT.value]()


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


def _export_onnx() -> int:
    from pipeline.export import check_onnx, export_onnx

    check_onnx()  # fails before the model is loaded
    segmenter, point = _load()
    output, options = Path(_OUTPUT.value), {"overwrite": _OVERWRITE.value, "precision": _ONNX_PRECISION.value}
    done = export_onnx(segmenter, output, operating_point=point, **options)
    print(
        f"exported: {output / 'segmenter.onnx'}, {done.megabytes:.1f} MB; largest difference from TensorFlow's map "
        f"{done.difference:.1e}    see: {output / 'README.md'}, python {output / 'verify_onnx.py'}"
    )
    return command.DONE


def _export_saved_model() -> int:
    """Exports a SavedModel, and checks it as a client does if asked to."""
    model, output = Path(_MODEL.value), Path(_OUTPUT.value)
    photograph = None if _CLIENT_CHECK.value is None else Path(_CLIENT_CHECK.value)
    from pipeline.export import check_client, export_model

    segmenter, point = _load()
    spec = segmenter.spec
    if photograph:
        photograph_size(photograph, max_pixels=spec.max_pixels)  # fails before any work is done
    target = output / str(_VERSION.value)
    print(
        f"classes {', '.join(spec.classes)}, tiles of {spec.tile} pixels at {segmenter.rule}, {_PRECISION.value} "
        f"→ {target}; signatures serving_default, segment, tiles; lesions, masks, map8",
        flush=True,
    )
    options = {"version": _VERSION.value, "overwrite": _OVERWRITE.value, "precision": _PRECISION.value}
    export_model(segmenter, model, output, operating_point=point, anonymous=_ANONYMOUS.value, **options)
    code = command.DONE
    if photograph:
        check = check_client(target, segmenter, photograph)
        print("\n".join(f"client: {line}" for line in check.lines))
        code = command.DONE if check.same else command.SOME_FAILED
    print(f"exported: {target}    see: {target / 'README.md'}, python {target / 'verify.py'}")
    return code


def _load() -> "tuple[TiledSegmenter, OperatingPoint]":
    """Returns the model, and the thresholds and least areas that are given or its own."""
    known = camera.given()
    from pipeline.inference import load_segmenter
    from pipeline.operating_point import parse_operating_point

    segmenter = load_segmenter(Path(_MODEL.value), classes=_CLASSES.value, camera=known, max_pixels=limits.max_pixels())
    spec = segmenter.spec
    return segmenter, parse_operating_point(**operating.given(), classes=spec.classes, default=spec.operating_point)


_EXPORTS = {"saved_model": _export_saved_model, "keras": _export_keras, "onnx": _export_onnx}

if __name__ == "__main__":
    command.run(main)
