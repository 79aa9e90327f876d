"""A tile is read back from its record bit for bit, and equal tiles have equal bytes."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from records.images.imaging import encode_jpeg, encode_png
from records.shards.cutting import ALL_KNOWN, Tile
from records.shards.record import (
    LabelFormat,
    decode_image,
    decode_labels,
    decode_record,
    encode_record,
    parse_record,
    unpack_bits,
)

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
positions = st.integers(0, 2**40)


def drawn(seed: int, tile: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image, uint8 `[tile, tile, 3]`, and a mask of 0 and 1, uint8 `[tile, tile, classes]`."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (tile, tile, 3), dtype=np.uint8)
    return image, rng.integers(0, 2, (tile, tile, classes), dtype=np.uint8)


def tile_of(image: np.ndarray, mask: np.ndarray, *, case: str = "eye", y: int = 0, x: int = 0) -> Tile:
    bits = np.packbits(mask, axis=-1, bitorder="little")
    return Tile(encode_png(image), encode_png(bits), case, y, x)


def decode_tile(example: dict[str, tf.Tensor], *, tile: int, codec: str = "png") -> tuple[tf.Tensor, tf.Tensor]:
    return decode_image(example, tile=tile, codec=codec), decode_labels(example, tile=tile, form=LabelFormat(8))


@settings(max_examples=50)
@given(
    seed=st.integers(0, 999), side=st.integers(16, 70), classes=st.integers(1, 8), case=names, y=positions, x=positions
)
def test_a_tile_is_read_back_bit_for_bit(seed, side, classes, case, y, x):
    image, mask = drawn(seed, side, classes)
    example = parse_record(tf.constant(encode_record(tile_of(image, mask, case=case, y=y, x=x))))
    image_back, bits_back = decode_tile(example, tile=side)
    mask_back = unpack_bits(bits_back, classes)
    assert image_back.dtype == mask_back.dtype == tf.uint8
    np.testing.assert_array_equal(image_back, image)
    np.testing.assert_array_equal(mask_back, mask)
    assert example["case"].numpy().decode() == case
    assert (int(example["y"]), int(example["x"])) == (y, x)
    assert example["y"].dtype == example["x"].dtype == tf.int64


def test_a_tile_is_read_back_in_a_tf_data_stream_with_known_shapes():
    pairs = [drawn(seed, 32, 8) for seed in range(5)]
    records = [encode_record(tile_of(image, mask)) for image, mask in pairs]
    stream = tf.data.Dataset.from_tensor_slices(records)
    stream = stream.map(lambda record: decode_tile(parse_record(record), tile=32))
    stream = stream.map(lambda image, bits: (image, unpack_bits(bits, 8)))
    assert [spec.shape.as_list() for spec in stream.element_spec] == [[32, 32, 3], [32, 32, 8]]
    for (image, mask), (image_back, mask_back) in zip(pairs, stream.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(image_back, image)
        np.testing.assert_array_equal(mask_back, mask)


def test_a_jpeg_tile_decodes_to_the_pixels_that_pillow_sees(random_photograph):
    image, mask = random_photograph(64, 64), drawn(0, 64, 1)[1]
    tile = dataclasses.replace(tile_of(image, mask), image=encode_jpeg(image, quality=95))
    image_back, mask_back = decode_tile(parse_record(tf.constant(encode_record(tile))), tile=64, codec="jpeg")
    by_pillow = np.asarray(Image.open(io.BytesIO(tile.image)))
    np.testing.assert_array_equal(image_back, by_pillow)
    assert np.abs(by_pillow.astype(int) - image).max() <= 8
    np.testing.assert_array_equal(mask_back, mask)


def test_fewer_classes_than_bits_are_the_first_ones():
    image, mask = drawn(0, 16, 8)
    example = parse_record(tf.constant(encode_record(tile_of(image, mask))))
    np.testing.assert_array_equal(unpack_bits(decode_tile(example, tile=16)[1], 3), mask[..., :3])


def test_equal_tiles_have_equal_bytes_with_their_features_in_order():
    image, mask = drawn(0, 16, 2)
    records = {encode_record(tile_of(image.copy(), mask.copy(), y=3, x=4)) for _ in range(20)}
    assert len(records) == 1
    (record,) = records
    # Each feature begins with its length-delimited name (field 1 of a map entry).
    places = [
        record.index(b"\n" + bytes([len(name)]) + name) for name in (b"case", b"image", b"known", b"mask", b"x", b"y")
    ]
    assert places == sorted(places)


def test_a_record_is_a_plain_example_that_tensorflow_reads():
    image, mask = drawn(1, 16, 1)
    tile = tile_of(image, mask, case="眼底 1", y=7, x=9)
    features = tf.train.Example.FromString(encode_record(tile)).features.feature
    assert set(features) == {"image", "mask", "known", "case", "y", "x"}
    assert features["image"].bytes_list.value[0] == tile.image
    assert features["mask"].bytes_list.value[0] == tile.mask
    assert features["case"].bytes_list.value[0] == "眼底 1".encode()
    assert (features["y"].int64_list.value[0], features["x"].int64_list.value[0]) == (7, 9)


def test_a_record_of_an_earlier_version_is_known_throughout():
    image, mask = drawn(2, 16, 3)
    example = tf.train.Example.FromString(encode_record(tile_of(image, mask)))
    del example.features.feature["known"]
    old = example.SerializeToString(deterministic=True)
    labels = decode_labels(parse_record(tf.constant(old)), tile=16, form=LabelFormat(3, partly_known=True))
    masks, known = np.split(LabelFormat(3, partly_known=True).unpack(labels), 2, axis=-1)
    np.testing.assert_array_equal(masks, mask)
    assert np.all(known == 1)
    assert decode_record(old).known == ALL_KNOWN


def test_a_tile_of_unexpected_size_is_refused():
    example = parse_record(tf.constant(encode_record(tile_of(*drawn(0, 32, 1)))))
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="32"):
        decode_tile(example, tile=16)


@pytest.mark.parametrize("record", [b"no example", b"", tf.train.Example().SerializeToString()])
def test_bytes_that_are_not_a_record_are_refused(record):
    with pytest.raises(tf.errors.InvalidArgumentError):
        parse_record(tf.constant(record))
