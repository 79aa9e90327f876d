"""The graph from a photograph to its probability map, which eval scores, predict runs and export saves."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from models import member_maps, number_of_members
from pipeline.inference.background import tiles_in_field_of_view
from pipeline.inference.compiling import compiles
from pipeline.inference.disc import scale_by_disc
from pipeline.inference.field_circle import field_diameter
from pipeline.inference.measured import MeasuredPhotograph
from pipeline.inference.orientations import average_over
from pipeline.inference.probability_map import ProbabilityMap
from pipeline.inference.scaling import resize_maps, resize_photograph
from pipeline.inference.spec import SegmenterSpec
from pipeline.inference.spread import Uncertainty, check_uncertainty, mean_and_spread, orientations_of
from pipeline.inference.suitability import usual_range
from pipeline.inference.tiling import Tiling, stitch, tile_starts
from records import (
    DISC,
    DISC_DIAMETER,
    LARGEST_SCALE,
    LEAST_SCALE_ROWS,
    SCALE_ROWS,
    PhotographScale,
    ScaleRule,
    fit_field_circle,
    measure_quality,
    stride_of_overlap,
)

NAN_MESSAGE = (
    "the probability map contains NaN: the network's weights, or its activations for this photograph, have overflowed. "
    "Train with a lower train.learning_rate, with train.global_clipnorm, or in float32."
)
PHOTOGRAPH = tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")
SCALED_PHOTOGRAPH = [PHOTOGRAPH, tf.TensorSpec([], tf.float64, name="scale")]


class Segmented(NamedTuple):
    """A segmented photograph.

    Attributes:
      map: its probability map.
      scale: how the photograph was scaled.
      seconds: time that it took.
      spread: how unsure the model is of each probability, see `mean_and_spread`; None if it was not asked for.
    """

    map: ProbabilityMap
    scale: PhotographScale
    seconds: float
    spread: ProbabilityMap | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """The probability map at the photograph's size, float32 `[H, W, C]`, computed anew at each call."""
        return self.map.whole()

    @property
    def scaled(self) -> np.ndarray:
        """The map at the network's scale, float32 `[h, w, C]`."""
        return self.map.scaled


class TiledSegmenter(tf.Module):
    """Computes probability maps of photographs on the device, with one trace for all sizes.

    Example:
      >>> segmenter = load_segmenter(Path("WORKDIR/model"))
      >>> segmenter.segment(photograph)  # float32 [H, W, C], 0..1

    Keep the segmenter in a variable: TensorFlow holds only a weak reference to the object of a bound method, so that
    `load_segmenter(folder).segment(photograph)` in one expression fails.
    """

    def __init__(
        self,
        network: Any,
        spec: SegmenterSpec,
        rule: ScaleRule | None = None,
        *,
        uncertainty: Uncertainty | None = None,
    ):
        """Creates a segmenter.

        Args:
          network: float32 RGB 0..255 `[B, T, T, 3]` → float32 `[B, T, T, C]`; a `keras.Model` or any function.
          spec: geometry and classes.
          rule: how photographs are scaled; None: as the spec says.
          uncertainty: over what `segment_scaled_with_spread` takes the spread, and that `segment_measured` shall do so;
            None: neither. Only a `keras.Model` has members.
        """
        super().__init__()
        self.network = network
        self.spec = spec
        self.rule = rule or spec.rule()
        self.uncertainty = uncertainty
        self._with_members = (
            keras.Model(network.input, [network.output, member_maps(network).output])  # computes each member once
            if uncertainty in ("members", "both")
            else None
        )
        if uncertainty is not None:  # an export traces every graph that the object has
            self.segment_scaled_with_spread = tf.function(
                self._segment_scaled_with_spread, input_signature=SCALED_PHOTOGRAPH, autograph=False
            )

    @tf.function(input_signature=[PHOTOGRAPH], autograph=False)
    def segment(self, photograph: tf.Tensor) -> tf.Tensor:
        """Computes the probability map of a photograph, at the scale that `scale` computes.

        Args:
          photograph: uint8 RGB `[H, W, 3]`.

        Returns:
          Probabilities, float32 `[H, W, C]`.
        """
        scaled = self.segment_scaled(photograph, self.scale(photograph))
        return self.enlarge(scaled, tf.shape(photograph)[:2])

    def enlarge(self, scaled: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """Returns a map of any channels, float32 `[h, w, c]`, at the photograph's size, `[H, W, c]`; int32 `[2]`."""
        return resize_maps(scaled, size) if self._resizes else scaled

    def measure(self, photograph: np.ndarray, degrees: float | None = None) -> MeasuredPhotograph:
        """Measures a photograph, uint8 RGB `[H, W, 3]`, for `segment_measured`; needs no device.

        Args:
          photograph: the photograph.
          degrees: its angle of view, if its file says it.
        """
        circle = fit_field_circle(photograph)
        scale = self.rule.by_circle(circle, photograph.shape[:2], degrees)
        return MeasuredPhotograph(photograph, scale, measure_quality(photograph, circle, scale.factor))

    def segment_measured(self, photograph: MeasuredPhotograph) -> Segmented:
        """Segments a photograph that was measured while it was read."""
        began = time.perf_counter()
        scale = photograph.scale
        if scale.ruler == "frame" and DISC in self.spec.classes and DISC_DIAMETER in self.spec.quality:
            scale = self._scale_by_disc(photograph)
        scaled = self.graph(photograph.pixels, tf.constant(scale.factor, tf.float64))
        maps, count = scaled.numpy(), self._classes
        found, *spread = (  # a spread has as many channels again
            ProbabilityMap(
                maps[..., first : first + count],
                photograph.pixels.shape[:2],
                resized=self._resizes,
                device=scaled.device,
            )
            for first in range(0, maps.shape[-1], count)
        )
        return Segmented(found, scale, time.perf_counter() - began, *spread)

    @property
    def graph(self) -> tf.types.experimental.PolymorphicFunction:
        """The graph that `segment_measured` runs: `segment_scaled`, or with an uncertainty that with the spread."""
        return self.segment_scaled if self.uncertainty is None else self.segment_scaled_with_spread

    def with_uncertainty(self, uncertainty: Uncertainty | None) -> "TiledSegmenter":
        """Returns a segmenter of the same network that also says how sure it is, see `segment_scaled_with_spread`.

        Raises:
          InputError: a spread over members is asked for, but the model is a single network.
        """
        members = number_of_members(self.network) if isinstance(self.network, keras.Model) else 1
        check_uncertainty(uncertainty, members)
        return TiledSegmenter(self.network, self.spec, self.rule, uncertainty=uncertainty)

    def _scale_by_disc(self, photograph: MeasuredPhotograph) -> PhotographScale:
        index = self.spec.classes.index(DISC)

        def disc_map(factor: float) -> np.ndarray:
            return self.segment_scaled(photograph.pixels, tf.constant(factor, tf.float64))[..., index].numpy()

        return scale_by_disc(
            disc_map,
            photograph.scale,
            threshold=self.spec.thresholds[index],
            usual=usual_range(self.spec.quality[DISC_DIAMETER]),
        )

    @tf.function(input_signature=SCALED_PHOTOGRAPH, autograph=False)
    def segment_scaled(self, photograph: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """Computes the probability map of a photograph at a given scale, and at the size that it has there.

        The photograph is resized (by area averaging, or bilinearly to a larger size) and cut into tiles, whose maps are
        blended. `ProbabilityMap` enlarges the result.

        Args:
          photograph: uint8 RGB `[H, W, 3]`.
          scale: factor, float64 scalar above 0.

        Returns:
          Probabilities, float32 `[h, w, C]`.
        """
        return self._stitched(photograph, scale, average_over(self.spec.flips, self._compiled(self.tiles)))

    def _segment_scaled_with_spread(self, photograph: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """Computes what `segment_scaled` does, with the same bits, and in the same pass how sure the model is of it.

        The spread is that of each tile (`mean_and_spread`), blended as the probabilities are.

        Args:
          photograph: uint8 RGB `[H, W, 3]`.
          scale: factor, float64 scalar above 0.

        Returns:
          Probabilities and then their spread, the standard deviation over what `uncertainty` says, 0 to 0.5; float32
          `[h, w, 2 C]`.
        """
        assert self.uncertainty is not None
        flips = self.spec.flips
        predict = mean_and_spread(
            self._compiled(self._tiles_and_members),
            flips=flips,
            orientations=orientations_of(self.uncertainty, flips),
        )
        return self._stitched(photograph, scale, predict, channels=2 * self._classes)

    def _stitched(
        self,
        photograph: tf.Tensor,
        scale: tf.Tensor,
        predict: Callable[[tf.Tensor], tf.Tensor],
        *,
        channels: int | None = None,
    ) -> tf.Tensor:
        channels = channels or self._classes
        scaled = stitch(
            resize_photograph(photograph, _scaled_size(tf.shape(photograph)[:2], scale))
            if self._resizes
            else photograph,
            predict,
            dataclasses.replace(self.tiling(), classes=channels),
            kept=self._kept_tiles(photograph, scale) if self.spec.skip_background else None,
        )
        return tf.ensure_shape(scaled, [None, None, channels])

    @property
    def _classes(self) -> int:
        return len(self.spec.classes)

    @property
    def _resizes(self) -> bool:
        """Whether photographs are scaled; a rule that gives each its own scale may find 1 for one of them."""
        return self.rule.scale != 1

    @tf.function(input_signature=[PHOTOGRAPH], autograph=False)
    def scale(self, photograph: tf.Tensor) -> tf.Tensor:
        """Computes the same factor as `ScaleRule.measure`, float64 scalar."""
        rule = self.rule
        if rule.diameter is None:
            return tf.constant(rule.scale, tf.float64)
        full = tf.cast(tf.shape(photograph)[:2], tf.float64)
        diameter = tf.cast(field_diameter(photograph), tf.float64)
        fitted = tf.where(diameter > 0, diameter, tf.norm(full))
        rows, factor = full[0], tf.minimum(rule.diameter / fitted, LARGEST_SCALE)
        whole = tf.round(rows * factor / SCALE_ROWS) * SCALE_ROWS / rows
        factor = tf.where((rows % SCALE_ROWS == 0) & (rows * factor >= LEAST_SCALE_ROWS), whole, factor)
        return factor if rule.camera.scale is None else tf.where(diameter > 0, factor, rule.camera.scale)

    @tf.function(input_signature=[PHOTOGRAPH], autograph=False)
    def kept_tiles(self, photograph: tf.Tensor) -> tf.Tensor:
        """Returns which of all tiles `skip_background` keeps, bool `[rows, columns]`."""
        return self._kept_tiles(photograph, self.scale(photograph))

    def tiles(self, images: tf.Tensor) -> tf.Tensor:
        """Maps a batch of tiles, float32 RGB 0..255 `[B, T, T, 3]`, to probabilities, float32 `[B, T, T, C]`."""
        if isinstance(self.network, keras.Model):
            return self.network(images, training=False)
        return self.network(images)

    def _tiles_and_members(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what `tiles` does, and the probabilities of each member, float32 `[B, T, T, M, C]`."""
        if self._with_members is not None:
            return tuple(self._with_members(images, training=False))
        probabilities = self.tiles(images)
        return probabilities, probabilities[..., None, :]

    def _compiled(self, function: Callable[[tf.Tensor], Any]) -> Callable[[tf.Tensor], Any]:
        """Returns a function of tiles as a graph of its own, which is traced once for all orientations."""
        spec = self.spec
        fixed = [spec.tile_batch, spec.tile, spec.tile, 3]
        with tf.init_scope():  # outside the graph that is being traced
            compiled = not spec.trim and compiles(spec.xla, self.tiles, fixed)
        images = tf.TensorSpec([spec.tile_batch, None, None, 3] if spec.trim else fixed, tf.float32)
        return tf.function(function, input_signature=[images], autograph=False, jit_compile=compiled)

    def tiling(self) -> Tiling:
        """Returns how scaled photographs are cut into tiles."""
        spec = self.spec
        return Tiling(
            classes=len(spec.classes),
            tile=spec.tile,
            stride=stride_of_overlap(spec.tile, spec.overlap),
            window=spec.window,
            tile_batch=spec.tile_batch,
            trim_to=getattr(self.network, "stride", 1) if spec.trim else None,
        )

    def _kept_tiles(self, photograph: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        size, tiling = _scaled_size(tf.shape(photograph)[:2], scale), self.tiling()
        rows, columns = (tile_starts(length, tiling.tile, tiling.stride) for length in tf.unstack(size))
        return tiles_in_field_of_view(photograph, size, rows, columns=columns, tile=tiling.tile)


def _scaled_size(size: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Computes the same as `records.scaled_size`, int32 `[2]`."""
    return tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float64) * scale), tf.int32), 1)
