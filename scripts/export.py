"""Exports a model folder as a SavedModel for TF Serving, or as one ONNX file.

python -m scripts.export --model=WORKDIR/model --output=OUT
python -m scripts.export --format=onnx --model=WORKDIR/model --output=OUT [--onnx_precision=int8]
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
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the export; a SavedModel goes to OUT/VERSION.", required=True)
_FORMAT = flags.DEFINE_enum("format", "saved_model", ["saved_model", "onnx"], "What to export.")
_ONNX_PRECISION = flags.DEFINE_enum(
    "onnx_precision", "float32", ["float32", "float16", "int8"], "How --format=onnx stores weights."
)
_OF_SAVED_MODELS = ("version", "precision", "client_check", "anonymous")  # an ONNX file has no names
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
operating.define_flags()
camera.define_flags()
limits.define_flags()


def main(_: list[str]) -> int:
    """Exports the model, and checks the export as a client does if asked to."""
    model, output, known = Path(_MODEL.value), Path(_OUTPUT.value), camera.given()
    photograph = None if _CLIENT_CHECK.value is None else Path(_CLIENT_CHECK.value)
    _check_flags()
    from pipeline.export import check_client, check_onnx, export_model, export_onnx
    from pipeline.inference import load_segmenter
    from pipeline.operating_point import parse_operating_point

    if _FORMAT.value == "onnx":
        check_onnx()  # fails before the model is loaded
    segmenter = load_segmenter(model, classes=_CLASSES.value, camera=known, max_pixels=limits.max_pixels())
    spec = segmenter.spec
    operating_point = parse_operating_point(**operating.given(), classes=spec.classes, default=spec.operating_point)
    if _FORMAT.value == "onnx":
        options = {"overwrite": _OVERWRITE.value, "precision": _ONNX_PRECISION.value}
        done = export_onnx(segmenter, output, operating_point=operating_point, **options)
        print(
            f"exported: {output / 'segmenter.onnx'}, {done.megabytes:.1f} MB; largest difference from TensorFlow's map "
            f"{done.difference:.1e}    see: {output / 'README.md'}, python {output / 'verify_onnx.py'}"
        )
        return command.DONE
    if photograph:
        photograph_size(photograph, max_pixels=spec.max_pixels)  # fails before any work is done
    target = output / str(_VERSION.value)
    print(
        f"classes {', '.join(spec.classes)}, tiles of {spec.tile} pixels at {segmenter.rule}, {_PRECISION.value} "
        f"→ {target}; signatures serving_default (encoded photograph), segment (decoded photograph), tiles",
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


def _check_flags() -> None:
    """Raises InputError for a flag that the other format has."""
    unused = _OF_SAVED_MODELS if _FORMAT.value == "onnx" else ("onnx_precision",)
    for flag in unused:
        if flags.FLAGS[flag].present:
            raise InputError(f"--{flag}: --format={_FORMAT.value} has no use for it; leave it out.")


if __name__ == "__main__":
    command.run(main)
