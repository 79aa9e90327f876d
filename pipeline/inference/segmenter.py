"""The graph from a photograph to its probability map, which eval scores, predict runs and export saves."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pipeline.inference.background import tiles_in_field_of_view
from pipeline.inference.compiling import compiles
from pipeline.inference.orientations import average_over
from pipeline.inference.scaling import enlarge, shrink
from pipeline.inference.spec import SegmenterSpec
from pipeline.inference.tiling import Tiling, stitch, tile_starts
from records import stride_of_overlap

NAN_MESSAGE = (
    "the probability map contains NaN: the network's weights, or its activations for this photograph, have overflowed. "
    "Train with a lower train.learning_rate, with train.global_clipnorm, or in float32."
)


class TiledSegmenter(tf.Module):
    """Computes probability maps of photographs on the device, with one trace for all sizes.

    Example:
      >>> segmenter = load_segmenter(Path("WORKDIR/model"))
      >>> segmenter.segment(photograph)  # float32 [H, W, C], 0..1

    Keep the segmenter in a variable: TensorFlow holds only a weak reference to the object of a bound method, so that
    `load_segmenter(folder).segment(photograph)` in one expression fails.
    """

    def __init__(self, network: Any, spec: SegmenterSpec):
        """Creates a segmenter.

        Args:
          network: float32 RGB 0..255 `[B, T, T, 3]` → float32 `[B, T, T, C]`; a `keras.Model` or any function.
          spec: geometry and classes.
        """
        super().__init__()
        self.network = network
        self.spec = spec

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")])
    def segment(self, photograph: tf.Tensor) -> tf.Tensor:
        """Computes the probability map of a photograph.

        The photograph is shrunk by area averaging and cut into tiles; their maps are blended, and the result is
        enlarged bilinearly (half-pixel centres, no antialiasing).

        Args:
          photograph: uint8 RGB `[H, W, 3]`.

        Returns:
          Probabilities, float32 `[H, W, C]`.
        """
        spec = self.spec
        size = tf.shape(photograph)[:2]
        scaled = photograph if spec.scale == 1 else shrink(photograph, self._scaled_size(size))
        probabilities = stitch(
            scaled,
            average_over(spec.flips, self._compiled_tiles()),
            self._tiling(),
            kept=self.kept_tiles(photograph) if spec.skip_background else None,
        )
        if spec.scale != 1:
            probabilities = enlarge(probabilities, size)
        return tf.ensure_shape(probabilities, [None, None, len(spec.classes)])

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")])
    def kept_tiles(self, photograph: tf.Tensor) -> tf.Tensor:
        """Returns which of all tiles `skip_background` keeps, bool `[rows, columns]`."""
        size, tiling = self._scaled_size(tf.shape(photograph)[:2]), self._tiling()
        rows, columns = (tile_starts(length, tiling.tile, tiling.stride) for length in tf.unstack(size))
        return tiles_in_field_of_view(photograph, size, rows, columns=columns, tile=tiling.tile)

    def tiles(self, images: tf.Tensor) -> tf.Tensor:
        """Maps a batch of tiles, float32 RGB 0..255 `[B, T, T, 3]`, to probabilities, float32 `[B, T, T, C]`."""
        if isinstance(self.network, keras.Model):
            return self.network(images, training=False)
        return self.network(images)

    def _compiled_tiles(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns `tiles` as a function of its own, which is traced once for all orientations."""
        spec = self.spec
        fixed = [spec.tile_batch, spec.tile, spec.tile, 3]
        with tf.init_scope():  # outside the graph that is being traced
            compiled = not spec.trim and compiles(spec.xla, self.tiles, fixed)
        images = tf.TensorSpec([spec.tile_batch, None, None, 3] if spec.trim else fixed, tf.float32)
        return tf.function(self.tiles, input_signature=[images], autograph=False, jit_compile=compiled)

    def _tiling(self) -> Tiling:
        spec = self.spec
        return Tiling(
            classes=len(spec.classes),
            tile=spec.tile,
            stride=stride_of_overlap(spec.tile, spec.overlap),
            window=spec.window,
            tile_batch=spec.tile_batch,
            trim_to=getattr(self.network, "stride", 1) if spec.trim else None,
        )

    def _scaled_size(self, size: tf.Tensor) -> tf.Tensor:
        """Computes the same as `records.scaled_size`, int32 `[2]`."""
        return tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float64) * self.spec.scale), tf.int32), 1)
