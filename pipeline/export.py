"""Export: a model folder becomes a SavedModel with the whole graph inside, in the layout that TF Serving expects."""

import dataclasses
import os
import shutil
from pathlib import Path

import tensorflow as tf

from configs import InputError
from pipeline.segmenter import SEGMENTER_FILE, TiledSegmenter
from records import make_folder


class ServedSegmenter(tf.Module):
    """A `TiledSegmenter` with the signatures that clients call and the words they need."""

    def __init__(self, segmenter: TiledSegmenter):
        super().__init__()
        # An exported function must not ask for XLA (tensorflow/serving#2214).
        spec = dataclasses.replace(segmenter.spec, xla="off")
        self.segmenter = segmenter = TiledSegmenter(segmenter.network, spec)
        tile_shape = [None, spec.tile, spec.tile, 3]
        self.tiles_function = tf.function(
            lambda tiles: {"probabilities": segmenter.tiles(tiles)},
            input_signature=[tf.TensorSpec(tile_shape, tf.float32, name="tiles")],
        )

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="encoded_photograph")])
    def serving_default(self, encoded_photograph: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes a JPEG, PNG or GIF, string scalar, and segments it.

        The decoder agrees with predict's to the bit on JPEG and PNG of 8 bits. It knows no orientation tag, CMYK,
        TIFF, BMP or WebP: those a client decodes itself and sends to the signature `segment`.
        """
        # Without a word on the method, TensorFlow takes the faster, less exact inverse cosine transform.
        photograph = tf.io.decode_jpeg(encoded_photograph, channels=3, dct_method="INTEGER_ACCURATE")
        return {"probabilities": self.segmenter.segment(photograph)}

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")])
    def segment(self, photograph: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segments a decoded photograph, uint8 RGB `[H, W, 3]`."""
        return {"probabilities": self.segmenter.segment(photograph)}

    @tf.function(input_signature=[])
    def metadata(self) -> dict[str, tf.Tensor]:
        """Returns `classes` (string `[C]`) and `thresholds` (float32 `[C]`): attributes are lost in a SavedModel."""
        spec = self.segmenter.spec
        return {"classes": tf.constant(spec.classes), "thresholds": tf.constant(spec.thresholds, tf.float32)}


def export_model(segmenter: TiledSegmenter, model_folder: Path, output: Path, *, version: int, overwrite: bool) -> Path:
    """Writes `OUTPUT/VERSION/` with `segmenter.json` beside the SavedModel's own files, whole or not at all.

    Raises:
      InputError: the version is there already and `overwrite` is off, or the folder cannot be made.
    """
    target = output / str(version)
    if target.exists() and not overwrite:
        raise InputError(f"{target}: there already; give another --version, or --overwrite to replace it.")
    make_folder(output, flag="--output")
    temporary = output / f".tmp-{os.getpid()}-{version}"
    served = ServedSegmenter(segmenter)
    try:
        tf.saved_model.save(
            served,
            str(temporary),
            signatures={
                "serving_default": served.serving_default,
                "segment": served.segment,
                "tiles": served.tiles_function,
            },
        )
        shutil.copy(model_folder / SEGMENTER_FILE, temporary / SEGMENTER_FILE)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target
