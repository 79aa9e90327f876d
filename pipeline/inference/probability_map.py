"""The probability map of a photograph, enlarged to its size whole or strip by strip, with the same numbers."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from pipeline.inference.scaling import MAP_STRIPS, resize_maps, resize_strips, strip_rows

STRIP_BYTES = 2**29  # of the strips that are there at once; ordinary photographs are enlarged in one piece
SCALED = tf.TensorSpec([None, None, None], tf.float32)
SIZE, NUMBERS = tf.TensorSpec([2], tf.int32), tf.TensorSpec([None], tf.int32)
CPU = "/device:CPU:0"


@dataclasses.dataclass(frozen=True)
class ProbabilityMap:
    """A probability map, which takes little memory at the network's scale and much at the photograph's size.

    Attributes:
      scaled: the map at the network's scale, float32 `[h, w, C]`.
      size: height and width of the photograph, H and W.
      resized: whether the map has another size than the photograph; otherwise `scaled` is `[H, W, C]`.
      device: the device that it was computed on, which enlarges it as well.
    """

    scaled: np.ndarray
    size: tuple[int, int]
    resized: bool = True
    device: str = CPU

    def whole(self) -> np.ndarray:
        """Returns the map at the photograph's size, float32 `[H, W, C]`."""
        if not self.resized:
            return self.scaled
        with tf.device(self.device):
            return _resize(self.scaled, self.size).numpy()

    def strips(self, most_bytes: int = STRIP_BYTES) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the map in strips from top to bottom: the number of the first row, and float32 `[rows, W, C]`.

        Args:
          most_bytes: size of a strip, if one of `MAP_STRIPS` strips is not larger.
        """
        height, width = self.size
        rows = strip_rows(height)
        count = min(max(most_bytes // (rows * width * self.scaled.shape[-1] * 4), 1), MAP_STRIPS)
        for number in range(0, MAP_STRIPS, count):
            numbers = range(number, min(number + count, MAP_STRIPS))
            first, last = number * rows, min(numbers.stop * rows, height)
            if first < last:
                yield first, self._strip(numbers, first, last)

    def _strip(self, numbers: range, first: int, last: int) -> np.ndarray:
        if not self.resized:
            return self.scaled[first:last]
        try:
            with tf.device(self.device):
                strip = _resize_strips(self.scaled, self.size, list(numbers))
        except tf.errors.ResourceExhaustedError:  # the device segments another photograph at the same time
            with tf.device(CPU):
                strip = _resize_strips(self.scaled, self.size, list(numbers))
        return strip.numpy()[: last - first]


_resize = tf.function(resize_maps, input_signature=[SCALED, SIZE], autograph=False)
_resize_strips = tf.function(resize_strips, input_signature=[SCALED, SIZE, NUMBERS], autograph=False)
