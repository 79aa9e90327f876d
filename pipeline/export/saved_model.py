"""Export: a model folder becomes a SavedModel with the whole graph inside, in the layout that TF Serving expects."""

import dataclasses
import os
import re
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from configs import InputError
from models import in_precision
from pipeline.export import verify
from pipeline.export.golden import write_golden
from pipeline.export.readme import SERVING_DEFAULT_LEAVES, readme
from pipeline.inference import SEGMENTER_FILE, TiledSegmenter
from records import is_running, make_folder

SAVED_MODEL_FILE, VERIFY_FILE = "saved_model.pb", "verify.py"


class ServedSegmenter(tf.Module):
    """A `TiledSegmenter` with the signatures that clients call and the words they need."""

    def __init__(self, segmenter: TiledSegmenter, *, precision: str):
        super().__init__()
        network = segmenter.network
        if isinstance(network, keras.Model):
            network = in_precision(network, precision)
        # An exported function must not ask for XLA (tensorflow/serving#2214).
        spec = dataclasses.replace(segmenter.spec, xla="off")
        self.precision = precision
        self.segmenter = segmenter = TiledSegmenter(network, spec)
        tile_shape = [None, spec.tile, spec.tile, 3]
        self.tiles_function = tf.function(
            lambda tiles: {"probabilities": segmenter.tiles(tiles)},
            input_signature=[tf.TensorSpec(tile_shape, tf.float32, name="tiles")],
        )

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="encoded_photograph")])
    def serving_default(self, encoded_photograph: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes a JPEG or PNG, string scalar, and segments it; see SERVING_DEFAULT_LEAVES."""
        return {"probabilities": self.segmenter.segment(decode_photograph(encoded_photograph))}

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")])
    def segment(self, photograph: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segments a decoded photograph, uint8 RGB `[H, W, 3]`."""
        return {"probabilities": self.segmenter.segment(photograph)}

    @tf.function(input_signature=[])
    def metadata(self) -> dict[str, tf.Tensor]:
        """Returns what clients must know, by name: attributes and docstrings are lost in a SavedModel."""
        spec = self.segmenter.spec
        return {
            "classes": tf.constant(spec.classes),
            "thresholds": tf.constant(spec.thresholds, tf.float32),
            "scale": tf.constant(spec.scale, tf.float32),
            "tile": tf.constant(spec.tile),
            "tile_batch": tf.constant(spec.tile_batch),
            "precision": tf.constant(self.precision),
            "serving_default_leaves": tf.constant(SERVING_DEFAULT_LEAVES),
        }

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")])
    def batches(self, photograph: tf.Tensor) -> tf.Tensor:
        """Counts the batches of `tile_batch` tiles that go through the network for a photograph: int32 scalar."""
        spec, kept = self.segmenter.spec, self.segmenter.kept_tiles(photograph)
        tiles = tf.math.count_nonzero(kept, dtype=tf.int32) if spec.skip_background else tf.size(kept)
        return -(-tiles // spec.tile_batch) * spec.flips


def decode_photograph(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG or PNG, string scalar, to the pixels that `records.read_photograph` gives, but not turned.

    Returns:
      uint8 RGB `[H, W, 3]`. CMYK is rounded otherwise, by one level at most. Anything else fails, also what the decoder
      would take: a WebP for an animation.
    """
    is_png = tf.strings.substr(encoded, 0, 4) == b"\x89PNG"
    known = tf.debugging.Assert(tf.io.is_jpeg(encoded) | is_png, ["no JPEG or PNG.", SERVING_DEFAULT_LEAVES])
    with tf.control_dependencies([known] if known is not None else []):
        encoded = tf.identity(encoded)
    # Without a word on the method, TensorFlow takes the faster, less exact inverse cosine transform.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def export_model(
    segmenter: TiledSegmenter,
    model_folder: Path,
    output: Path,
    *,
    version: int,
    overwrite: bool,
    precision: str = "float32",
) -> Path:
    """Writes `OUTPUT/VERSION/`, whole or not at all: the SavedModel, and beside it what TF Serving passes over.

    Beside it lie `segmenter.json`, a README, a photograph with what the export made of it (`pipeline.export.golden`),
    and `verify.py`, which holds another machine against that.

    Args:
      segmenter: of the model folder; its weights may come from any strategy and precision.
      model_folder: where it was loaded from.
      output: folder of all versions, which a server may be watching: it takes no notice of names that are no numbers.
      version: 0 or more.
      overwrite: whether an export that is there is replaced, at the very end.
      precision: "float32", "mixed_bfloat16" or "mixed_float16".

    Returns:
      `OUTPUT/VERSION`.

    Raises:
      InputError: the version is there already and `overwrite` is off, it is no export, or the folder cannot be made.
    """
    target = output / str(version)
    _refuse(target, overwrite=overwrite)
    make_folder(output, flag="--output")
    _sweep(output)
    temporary = output / f".tmp-{os.getpid()}-{version}"
    served = ServedSegmenter(segmenter, precision=precision)
    try:
        signatures = {
            "serving_default": served.serving_default,
            "segment": served.segment,
            "tiles": served.tiles_function,
        }
        tf.saved_model.save(served, str(temporary), signatures=signatures)
        shutil.copy(model_folder / SEGMENTER_FILE, temporary / SEGMENTER_FILE)
        shutil.copy(verify.__file__, temporary / VERIFY_FILE)
        (temporary / "README.md").write_text(readme(segmenter.spec, precision))
        write_golden(temporary, segmenter.spec, precision)
        _flush(temporary)
        _refuse(target, overwrite=overwrite)  # another export may have come first
        _put(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _refuse(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not ((target / SAVED_MODEL_FILE).is_file() and (target / SEGMENTER_FILE).is_file()):
        raise InputError(f"{target}: there already, and no export of this software; move it away.")
    if not overwrite:
        raise InputError(f"{target}: there already; give another --version, or --overwrite to replace it.")


def _put(new: Path, target: Path) -> None:
    """Moves a complete folder to its place; an old one is moved aside first and removed last."""
    if not target.exists():
        new.rename(target)
        return
    old = target.with_name(f".old-{os.getpid()}-{target.name}")
    target.rename(old)
    new.rename(target)
    shutil.rmtree(old)


def _sweep(output: Path) -> None:
    """Removes what exports left that were killed; a version moved aside whose place is free goes back there."""
    for path in output.glob(".*-*-*"):
        name = re.fullmatch(r"\.(tmp|old)-(\d+)-(\d+)", path.name)
        if name is None or is_running(int(name[2])):
            continue
        if name[1] == "old" and not (output / name[3]).exists():
            path.rename(output / name[3])
        else:
            shutil.rmtree(path)


def _flush(folder: Path) -> None:
    """Has the disk hold all files of a folder before it gets its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
