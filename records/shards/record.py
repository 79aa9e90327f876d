"""Encodes tiles as `tf.train.Example` records, and decodes them."""

import tensorflow as tf

from records.shards.cutting import Tile

FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "mask": tf.io.FixedLenFeature([], tf.string),
    "case": tf.io.FixedLenFeature([], tf.string),
    "y": tf.io.FixedLenFeature([], tf.int64),
    "x": tf.io.FixedLenFeature([], tf.int64),
}


def encode_record(tile: Tile) -> bytes:
    """Serialises a tile; equal tiles give equal bytes, because protobuf's map order is made deterministic."""
    features = {
        "image": _bytes(tile.image),
        "mask": _bytes(tile.mask),
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
    )


def parse_record(record: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses a record without decoding its images.

    Args:
      record: string scalar, a serialised tile.

    Returns:
      String scalars "image", "mask" and "case"; int64 scalars "y" and "x".
    """
    return tf.io.parse_single_example(record, FEATURES)


def decode_tile(example: dict[str, tf.Tensor], *, tile: int, codec: str = "png") -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes the images of a parsed record.

    Args:
      example: features as `parse_record` returns them.
      tile: side T of a tile, pixels.
      codec: format of the image, "png" or "jpeg".

    Returns:
      Image uint8 `[T, T, 3]`, and mask bits uint8 `[T, T, 1]` for `unpack_mask`.
    """
    if codec == "png":
        image = tf.io.decode_png(example["image"], channels=3)
    else:
        image = tf.io.decode_jpeg(example["image"], channels=3, dct_method="INTEGER_ACCURATE")
    image = tf.ensure_shape(image, [tile, tile, 3])
    return image, tf.ensure_shape(tf.io.decode_png(example["mask"], channels=1), [tile, tile, 1])


def unpack_mask(bits: tf.Tensor, classes: int) -> tf.Tensor:
    """Unpacks bits, uint8 `[…, T, T, 1]` whose bit c is class c, to a mask, uint8 0/1 `[…, T, T, C]`."""
    class_bits = tf.constant([1 << index for index in range(classes)], tf.uint8)
    return tf.cast(tf.bitwise.bitwise_and(bits, class_bits) != 0, tf.uint8)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
