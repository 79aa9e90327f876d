"""Exports a model folder as a SavedModel with the whole graph, in the layout that TF Serving expects."""

import dataclasses
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from models import in_precision
from pipeline.export import verify
from pipeline.export.decoding import decode_photograph
from pipeline.export.golden import write_golden
from pipeline.export.readme import SERVING_DEFAULT_LEAVES, pixel_areas, readme
from pipeline.export.replies import Replies
from pipeline.export.versions import new_version
from pipeline.inference import SEGMENTER_FILE, TiledSegmenter, read_spec, save_spec
from pipeline.operating_point import OperatingPoint
from records import new_salt

VERIFY_FILE = "verify.py"
PHOTOGRAPH = tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")


class ServedSegmenter(tf.Module):
    """A `TiledSegmenter` with the signatures that clients call and the metadata they need."""

    def __init__(self, segmenter: TiledSegmenter, operating_point: OperatingPoint, *, precision: str):
        """Converts the segmenter's network to a precision, see `export_model`."""
        super().__init__()
        network = segmenter.network
        if isinstance(network, keras.Model):
            network = in_precision(network, precision)
        # An exported function must not ask for XLA (tensorflow/serving#2214).
        spec = dataclasses.replace(segmenter.spec, xla="off")
        self.precision, self.operating_point = precision, operating_point
        self.segmenter = segmenter = TiledSegmenter(network, spec, segmenter.rule)
        self.replies = Replies(segmenter, operating_point, self.least_areas)
        tile_shape = [None, spec.tile, spec.tile, 3]
        self.tiles_function = tf.function(
            lambda tiles: {"probabilities": segmenter.tiles(tiles)},
            input_signature=[tf.TensorSpec(tile_shape, tf.float32, name="tiles")],
            autograph=False,
        )

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="encoded_photograph")], autograph=False)
    def serving_default(self, encoded_photograph: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segments an encoded photograph, JPEG or PNG, string scalar; see SERVING_DEFAULT_LEAVES."""
        return {"probabilities": self.segmenter.segment(decode_photograph(encoded_photograph))}

    @tf.function(input_signature=[PHOTOGRAPH], autograph=False)
    def segment(self, photograph: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segments a decoded photograph, uint8 RGB `[H, W, 3]`."""
        return {"probabilities": self.segmenter.segment(photograph)}

    @tf.function(input_signature=[], autograph=False)
    def metadata(self) -> dict[str, tf.Tensor]:
        """Returns what clients must know, by name; a SavedModel does not keep attributes and docstrings."""
        spec, rule = self.segmenter.spec, self.segmenter.rule
        return {
            "classes": tf.constant(spec.classes),
            "thresholds": tf.constant(self.operating_point.thresholds, tf.float32),
            # Pixels of the least detection: of the photograph, if that is the same for all, and of the scaled one.
            "min_area": tf.constant(pixel_areas(self.operating_point, rule) or [0] * len(spec.classes), tf.int32),
            "min_areas": tf.constant(self.operating_point.min_areas, tf.float32),
            "scale": tf.constant(rule.scale or 0, tf.float32),  # 0: each photograph has its own
            "field_diameter": tf.constant(rule.diameter or 0, tf.float32),
            "field_degrees": tf.constant(rule.degrees, tf.float32),
            "tile": tf.constant(spec.tile),
            "tile_batch": tf.constant(spec.tile_batch),
            "precision": tf.constant(self.precision),
            "serving_default_leaves": tf.constant(SERVING_DEFAULT_LEAVES),
        }

    @tf.function(input_signature=[PHOTOGRAPH], autograph=False)
    def least_areas(self, photograph: tf.Tensor) -> tf.Tensor:
        """Computes how many pixels a detection in a photograph has at least, as `of_photograph` does, int32 `[C]`."""
        point = self.operating_point
        if not point.min_areas:
            return tf.constant(point.least_areas, tf.int32)
        areas = tf.constant(point.min_areas, tf.float64) / self.segmenter.scale(photograph) ** 2
        return tf.maximum(tf.cast(tf.round(areas), tf.int32), 1)

    @tf.function(input_signature=[PHOTOGRAPH], autograph=False)
    def batches(self, photograph: tf.Tensor) -> tf.Tensor:
        """Counts the batches of tiles that go through the network for a photograph, int32 scalar."""
        spec, kept = self.segmenter.spec, self.segmenter.kept_tiles(photograph)
        tiles = tf.math.count_nonzero(kept, dtype=tf.int32) if spec.skip_background else tf.size(kept)
        return -(-tiles // spec.tile_batch) * spec.flips


def export_model(
    segmenter: TiledSegmenter,
    model_folder: Path,
    output: Path,
    *,
    version: int,
    overwrite: bool,
    precision: str = "float32",
    operating_point: OperatingPoint | None = None,
    anonymous: bool = False,
) -> Path:
    """Writes `OUTPUT/VERSION/` completely or not at all: the SavedModel, and files that TF Serving ignores.

    These are `segmenter.json`, a README, a photograph with its probability map (`pipeline.export.golden`), and
    `verify.py`, which compares another machine's probability map with it.

    Args:
      segmenter: the segmenter of the model folder; its weights may come from any strategy and precision.
      model_folder: the folder that it was loaded from.
      output: folder of all versions; a server may be watching it, which ignores names that are not numbers.
      version: number of the version, at least 0.
      overwrite: whether an existing export of this version is replaced, as the last step.
      precision: "float32", "mixed_bfloat16" or "mixed_float16".
      operating_point: what clients are told to count as a detection; None: the model's.
      anonymous: whether `segmenter.json` has salted digests in place of names, see `SegmenterSpec.anonymized`.

    Returns:
      `OUTPUT/VERSION`.

    Raises:
      InputError: the version exists and `overwrite` is off, it is not an export, or the folder cannot be created.
    """
    point = operating_point or segmenter.spec.operating_point
    with new_version(output, version, overwrite=overwrite) as temporary:
        served = ServedSegmenter(segmenter, point, precision=precision)
        signatures = {
            "serving_default": served.serving_default,
            "segment": served.segment,
            "tiles": served.tiles_function,
            "lesions": served.replies.lesions,
            "masks": served.replies.masks,
            "map8": served.replies.map8,
        }
        tf.saved_model.save(served, str(temporary), signatures=signatures)
        if anonymous:
            save_spec(temporary, read_spec(model_folder / SEGMENTER_FILE).anonymized(new_salt()))
        else:
            shutil.copy(model_folder / SEGMENTER_FILE, temporary / SEGMENTER_FILE)
        shutil.copy(verify.__file__, temporary / VERIFY_FILE)
        (temporary / "README.md").write_text(
            readme(segmenter.spec, segmenter.rule, point, precision=precision), encoding="utf-8"
        )
        write_golden(temporary, segmenter.spec, segmenter.rule, precision=precision)
    return output / str(version)
