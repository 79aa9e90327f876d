"""Replies of a size that a client can use, instead of a probability map at the photograph's size.

Each takes a batch of encoded photographs, which may have different sizes, and optionally thresholds and least areas.
All outputs have the photographs as their first axis, as TensorFlow Serving needs it to answer row by row.
"""

from collections.abc import Callable

import tensorflow as tf

from pipeline.export.decoding import decode_photograph
from pipeline.export.lesion_graph import DIRECTIONS, Pixels, detect_pixels, measure
from pipeline.inference import TiledSegmenter
from pipeline.operating_point import OperatingPoint

ENCODED = tf.TensorSpec([None], tf.string, name="encoded_photographs")
THRESHOLDS = tf.TensorSpec([None, None], tf.float32, name="thresholds")
MIN_AREAS = tf.TensorSpec([None, None], tf.int32, name="min_areas")
OPTIONS = [ENCODED, THRESHOLDS, MIN_AREAS]
# What `lesions` says of each detection: the shape of a photograph's values, and their type.
DETECTIONS: dict[str, tuple[list[int | None], tf.DType]] = {
    "class": ([None], tf.int32),
    "boxes": ([None, 4], tf.int32),
    "centers": ([None, 2], tf.float32),
    "areas": ([None], tf.int32),
    "mean_probabilities": ([None], tf.float32),
    "maximum_probabilities": ([None], tf.float32),
    "contours": ([None, DIRECTIONS, 2], tf.int32),
}
NOTHING = -1  # in the place of lesions that a photograph does not have
LEVELS = 255


class Replies(tf.Module):
    """The signatures `lesions`, `masks` and `map8` of an export."""

    def __init__(
        self,
        segmenter: TiledSegmenter,
        operating_point: OperatingPoint,
        least_areas: Callable[[tf.Tensor], tf.Tensor],
    ):
        """Creates the signatures.

        Args:
          segmenter: the segmenter.
          operating_point: what counts as a detection if a request does not say it.
          least_areas: least number of pixels of a detection of each class, int32 `[C]`, in a photograph.
        """
        super().__init__()
        self._segmenter, self._operating_point, self._least_areas = segmenter, operating_point, least_areas
        # A signature has no optional inputs, but its file may name defaults, which are read off Python's.
        model_threshold, model_area = tf.constant([[0.0]]), tf.constant([[0]])

        def lesions(encoded_photographs, thresholds=model_threshold, min_areas=model_area):
            return self._lesions(encoded_photographs, thresholds, min_areas)

        def masks(encoded_photographs, thresholds=model_threshold, min_areas=model_area):
            return self._masks(encoded_photographs, thresholds, min_areas)

        # A graph of its own, which both signatures call.
        self._detect = tf.function(
            self._detect_in_graph,
            input_signature=[
                tf.TensorSpec([], tf.string),
                tf.TensorSpec([self._classes], tf.float32),
                tf.TensorSpec([self._classes], tf.int32),
            ],
            autograph=False,
        )
        self.lesions = tf.function(lesions, input_signature=OPTIONS, autograph=False)
        self.masks = tf.function(masks, input_signature=OPTIONS, autograph=False)
        self.map8 = tf.function(self._map8, input_signature=[ENCODED], autograph=False)

    def _lesions(self, encoded: tf.Tensor, thresholds: tf.Tensor, min_areas: tf.Tensor) -> dict[str, tf.Tensor]:
        """Measures the detections in photographs, see `lesion_graph.measure`.

        Args:
          encoded: files of JPEG or PNG, string `[B]`.
          thresholds: thresholds of each photograph and class, float32 `[B or 1, C or 1]`; 0: the model's.
          min_areas: least numbers of pixels of a detection, int32 `[B or 1, C or 1]`; 0: the model's.

        Returns:
          `number` of detections int32 `[B]`, `sizes` of the photographs int32 `[B, 2]` (height, width), and what
          `DETECTIONS` lists, `[B, N, …]`, where N is the largest number and `NOTHING` fills what a photograph has less.
        """

        def reply(given: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
            pixels, size = self._detect(*given)
            return {"number": tf.size(pixels.areas), "sizes": size, **measure(pixels)}

        form = {"number": tf.TensorSpec([], tf.int32), "sizes": tf.TensorSpec([2], tf.int32)} | {
            name: tf.RaggedTensorSpec(shape, dtype, ragged_rank=0) for name, (shape, dtype) in DETECTIONS.items()
        }
        replies = self._for_each(reply, form, encoded, thresholds=thresholds, min_areas=min_areas)
        return {
            name: value.to_tensor(tf.cast(NOTHING, value.dtype)) if name in DETECTIONS else value
            for name, value in replies.items()
        }

    def _masks(self, encoded: tf.Tensor, thresholds: tf.Tensor, min_areas: tf.Tensor) -> dict[str, tf.Tensor]:
        """Draws the detections of each class, 255 on 0; takes what `_lesions` takes.

        Returns:
          `masks_bytes`, PNG files of the photograph's size, string `[B, C]`. TensorFlow Serving writes what is called
          `_bytes` in base64.
        """

        def reply(given: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
            pixels, size = self._detect(*given)
            return {"masks_bytes": tf.stack([_mask(pixels, size, index) for index in range(self._classes)])}

        form = {"masks_bytes": tf.TensorSpec([self._classes], tf.string)}
        return self._for_each(reply, form, encoded, thresholds=thresholds, min_areas=min_areas)

    def _map8(self, encoded_photographs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes probability maps at the network's scale, in 8 bits.

        Args:
          encoded_photographs: files of JPEG or PNG, string `[B]`.

        Returns:
          `map8_bytes`: grey PNG files of round(255 p), string `[B, C]`; `factors` by which the photographs were scaled,
          float32 `[B]`; `sizes` of the photographs, int32 `[B, 2]` (height, width).
        """

        def reply(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
            photograph = decode_photograph(encoded)
            factor = self._segmenter.scale(photograph)
            scaled = self._segmenter.segment_scaled(photograph, factor)
            levels = tf.cast(tf.round(scaled * LEVELS), tf.uint8)
            maps = [tf.io.encode_png(levels[..., index : index + 1]) for index in range(self._classes)]
            return {
                "map8_bytes": tf.stack(maps),
                "factors": tf.cast(factor, tf.float32),
                "sizes": tf.shape(photograph)[:2],
            }

        form = {
            "map8_bytes": tf.TensorSpec([self._classes], tf.string),
            "factors": tf.TensorSpec([], tf.float32),
            "sizes": tf.TensorSpec([2], tf.int32),
        }
        return tf.map_fn(reply, encoded_photographs, fn_output_signature=form, parallel_iterations=1)

    @property
    def _classes(self) -> int:
        return len(self._operating_point.thresholds)

    def _for_each(
        self,
        reply: Callable[[tuple[tf.Tensor, ...]], dict[str, tf.Tensor]],
        form: dict[str, tf.TypeSpec],
        encoded: tf.Tensor,
        *,
        thresholds: tf.Tensor,
        min_areas: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Replies to one photograph after the other, so that only one of them takes memory."""
        shape = [tf.size(encoded), self._classes]
        given = (encoded, tf.broadcast_to(thresholds, shape), tf.broadcast_to(min_areas, shape))
        return tf.map_fn(reply, given, fn_output_signature=form, parallel_iterations=1)

    def _detect_in_graph(
        self, encoded: tf.Tensor, thresholds: tf.Tensor, min_areas: tf.Tensor
    ) -> tuple[Pixels, tf.Tensor]:
        """Returns the pixels of the detections in a photograph, and its size, int32 `[2]`."""
        photograph = decode_photograph(encoded)
        size = tf.shape(photograph)[:2]
        thresholds = tf.where(thresholds > 0, thresholds, tf.constant(self._operating_point.thresholds, tf.float32))
        least = tf.where(min_areas > 0, min_areas, self._least_areas(photograph))
        scaled = self._segmenter.segment_scaled(photograph, self._segmenter.scale(photograph))
        places, probabilities = [], []
        before: list[tf.Tensor] = []
        for index in range(self._classes):
            with tf.control_dependencies(before):  # one class after the other, so that only one map is in memory
                scaled_class = tf.identity(scaled[..., index : index + 1])
            found = self._segmenter.enlarge(scaled_class, size)[..., 0]
            place = tf.where(found >= thresholds[index])
            places.append(tf.concat([tf.fill([tf.shape(place)[0], 1], tf.constant(index, tf.int64)), place], axis=1))
            probabilities.append(tf.gather_nd(found, place))
            before = [places[-1], probabilities[-1]]
        pixels = detect_pixels(
            tf.concat(places, axis=0),
            tf.concat(probabilities, axis=0),
            tf.cast(size, tf.int64),
            least_areas=tf.cast(least, tf.int64),
        )
        return pixels, size


def _mask(pixels: Pixels, size: tf.Tensor, index: int) -> tf.Tensor:
    """Returns the mask of a class as a PNG file, string scalar."""
    places = tf.boolean_mask(pixels.places[:, 1:], pixels.places[:, 0] == index)
    marked = tf.fill([tf.shape(places)[0]], tf.constant(LEVELS, tf.uint8))
    mask = tf.scatter_nd(places, marked, tf.cast(size, tf.int64))
    return tf.io.encode_png(mask[..., None])
