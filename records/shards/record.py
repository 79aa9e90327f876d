"""Encodes tiles as `tf.train.Example` records, and decodes them."""

import dataclasses

import tensorflow as tf

from records.cases import HALF
from records.shards.cutting import ALL_KNOWN, Tile

FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "mask": tf.io.FixedLenFeature([], tf.string),
    # Records of earlier versions have none: they are known throughout.
    "known": tf.io.FixedLenFeature([], tf.string, default_value=""),
    "case": tf.io.FixedLenFeature([], tf.string),
    "y": tf.io.FixedLenFeature([], tf.int64),
    "x": tf.io.FixedLenFeature([], tf.int64),
}


@dataclasses.dataclass(frozen=True)
class LabelFormat:
    """How the labels of a tile are packed into channels of uint8, so that they are read and augmented fast.

    Attributes:
      classes: number of classes C.
      soft: whether masks are levels, one channel per class; else one channel holds them all, bit c being class c.
      partly_known: whether a last channel says what is known, bit c being class c; else everything is.
    """

    classes: int
    soft: bool = False
    partly_known: bool = False

    @property
    def channels(self) -> int:
        """The number of channels L."""
        return (self.classes if self.soft else 1) + self.partly_known

    def unpack(self, packed: tf.Tensor) -> tf.Tensor:
        """Returns labels, float32 `[…, C]`, from packed ones, uint8 `[…, L]`.

        Masks are 0/1, or of soft labels 0..1. If not everything is known, they are followed by whether it is, 0/1:
        `[…, 2 C]`.
        """
        if self.soft:
            masks = tf.cast(packed[..., : self.classes], tf.float32) / 255
        else:
            masks = tf.cast(unpack_bits(packed[..., :1], self.classes), tf.float32)
        if not self.partly_known:
            return masks
        return tf.concat([masks, tf.cast(unpack_bits(packed[..., -1:], self.classes), tf.float32)], axis=-1)

    def shows(self, packed: tf.Tensor, class_index: tf.Tensor) -> tf.Tensor:
        """Returns whether each pixel shows a class, bool `[…]`, from packed labels, uint8 `[…, L]`."""
        if self.soft:
            return tf.gather(packed, class_index, axis=-1) >= HALF
        class_bit = tf.bitwise.left_shift(tf.constant(1, tf.uint8), tf.cast(class_index, tf.uint8))
        return tf.bitwise.bitwise_and(packed[..., 0], class_bit) > 0


def encode_record(tile: Tile) -> bytes:
    """Serialises a tile; equal tiles give equal bytes, because protobuf's map order is made deterministic."""
    features = {
        "image": _bytes(tile.image),
        "mask": _bytes(tile.mask),
        "known": _bytes(tile.known),
        "case": _bytes(tile.case.encode()),
        "y": _int64(tile.y),
        "x": _int64(tile.x),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def decode_record(record: bytes) -> Tile:
    """Returns the tile of a record; its images stay encoded."""
    features = tf.train.Example.FromString(record).features.feature
    return Tile(
        image=features["image"].bytes_list.value[0],
        mask=features["mask"].bytes_list.value[0],
        case=features["case"].bytes_list.value[0].decode(),
        y=features["y"].int64_list.value[0],
        x=features["x"].int64_list.value[0],
        known=features["known"].bytes_list.value[0] if "known" in features else ALL_KNOWN,
    )


def parse_record(record: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses a record without decoding its images.

    Args:
      record: string scalar, a serialised tile.

    Returns:
      String scalars "image", "mask", "known" and "case"; int64 scalars "y" and "x".
    """
    return tf.io.parse_single_example(record, FEATURES)


def decode_image(example: dict[str, tf.Tensor], *, tile: int, codec: str = "png") -> tf.Tensor:
    """Returns the image of a parsed record, uint8 `[T, T, 3]`.

    Args:
      example: features as `parse_record` returns them.
      tile: side T of a tile, pixels.
      codec: format of the image, "png" or "jpeg".
    """
    if codec == "png":
        image = tf.io.decode_png(example["image"], channels=3)
    else:
        image = tf.io.decode_jpeg(example["image"], channels=3, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(image, [tile, tile, 3])


def decode_labels(example: dict[str, tf.Tensor], *, tile: int, form: LabelFormat) -> tf.Tensor:
    """Returns the labels of a parsed record, uint8 `[T, T, L]`.

    Args:
      example: features as `parse_record` returns them.
      tile: side T of a tile, pixels.
      form: how they are stored; what is known is left out if the format says so.
    """
    if form.soft:
        stacked = tf.ensure_shape(tf.io.decode_png(example["mask"], channels=1), [form.classes * tile, tile, 1])
        masks = tf.transpose(tf.reshape(stacked, [form.classes, tile, tile]), [1, 2, 0])
    else:
        masks = tf.ensure_shape(tf.io.decode_png(example["mask"], channels=1), [tile, tile, 1])
    return tf.concat([masks, _decode_known(example["known"], tile)], axis=-1) if form.partly_known else masks


def _decode_known(known: tf.Tensor, tile: int) -> tf.Tensor:
    """Returns uint8 `[T, T, 1]` of a string: empty (all is known), one byte for all pixels, or a PNG."""

    def constant() -> tf.Tensor:
        return tf.fill([tile, tile, 1], tf.io.decode_raw(known + ALL_KNOWN, tf.uint8)[0])

    def image() -> tf.Tensor:
        return tf.ensure_shape(tf.io.decode_png(known, channels=1), [tile, tile, 1])

    return tf.cond(tf.strings.length(known) <= 1, constant, image)


def unpack_bits(bits: tf.Tensor, classes: int) -> tf.Tensor:
    """Unpacks bits, uint8 `[…, 1]` whose bit c is class c, to uint8 0/1 `[…, C]`."""
    class_bits = tf.constant([1 << index for index in range(classes)], tf.uint8)
    return tf.cast(tf.bitwise.bitwise_and(bits, class_bits) != 0, tf.uint8)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
