"""Tiles to batches: one builder for training, one for validation.

Training is an endless stream whose element k depends on (seed, k) alone, so that it can start anywhere.
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from configs import AugmentConfig, TrainConfig
from pipeline.input.augmentation import Crop, augment
from pipeline.input.reading import AUTOTUNE, Cache, RecordSet, TileReader
from pipeline.input.sampling import crop_origin, make_sampler
from records.shards.record import unpack_mask

AHEAD = 2  # batches that wait on the device


def training_batches(
    sets: Sequence[RecordSet],
    train: TrainConfig,
    augmentation: AugmentConfig,
    *,
    start: int = 0,
    cache: Cache = "none",
    device: str | None = None,
) -> tf.data.Dataset:
    """Returns the endless stream of whole training batches.

    Args:
      sets: records, made with one config.
      train: batch size, crop, what is shown how often, and seed.
      augmentation: what is drawn for each element.
      start: the element at which the stream starts.
      cache: where tiles are kept, see `TileReader`.
      device: on which the next batches wait, such as "/GPU:0"; None: in the host's memory, as a distribution strategy
        wants them, which moves them itself.

    Returns:
      `(image float32 0..255 [B, S, S, 3], mask float32 0/1 [B, S, S, C])`, S the crop or else the tile.

    Raises:
      InputError: a shard that is not the one in the index, or shares that leave nothing to show.
    """
    show = _element_maker(sets, train, augmentation, cache=cache)
    unpacked = functools.partial(_unpack, classes=len(sets[0].index.data.classes))

    def pair(k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        element = show(k)
        return element["image"], element["bits"]

    pairs = tf.data.Dataset.range(start, tf.int64.max).map(pair, num_parallel_calls=AUTOTUNE, deterministic=True)
    # A batch is copied together: in bytes, as far as they go, it is a quarter of what it is in float32, and a mask of
    # five classes a twentieth.
    batches = pairs.batch(train.batch_size, drop_remainder=True).map(unpacked, num_parallel_calls=AUTOTUNE)
    # Tiles are worked on side by side; to divide each among the cores as well takes a fifth more of their time.
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    batches = batches.with_options(options)
    if device is None:
        return batches.prefetch(AUTOTUNE)
    return batches.apply(tf.data.experimental.prefetch_to_device(device, AHEAD))  # must come last


def training_elements(
    sets: Sequence[RecordSet],
    train: TrainConfig,
    augmentation: AugmentConfig,
    *,
    start: int = 0,
    cache: Cache = "none",
) -> tf.data.Dataset:
    """Returns the endless stream of training elements, with where each comes from; arguments as of `training_batches`.

    Returns:
      Dictionaries: "k" int64; "target" int64 `[6]`, the fields of `pipeline.input.sampling.Target`; "origin" int32
      `[2]`, of the crop in its tile; "image" float32 0..255 `[S, S, 3]`; "mask" float32 0/1 `[S, S, C]`.
    """
    show = _element_maker(sets, train, augmentation, cache=cache)
    classes = len(sets[0].index.data.classes)

    def show_unpacked(k: tf.Tensor) -> dict[str, tf.Tensor]:
        element = show(k)
        image, mask = _unpack(element["image"], element.pop("bits"), classes)
        return {**element, "image": image, "mask": mask}

    numbers = tf.data.Dataset.range(start, tf.int64.max)
    return numbers.map(show_unpacked, num_parallel_calls=AUTOTUNE, deterministic=True)


def validation_batches(
    sets: Sequence[RecordSet], train: TrainConfig, *, split: str = "validation", cache: Cache = "none"
) -> tf.data.Dataset:
    """Returns every tile of a split once, whole, in the order of the records, the last batch filled up with weight 0.

    Returns:
      `(image float32 0..255 [B, T, T, 3], mask float32 0/1 [B, T, T, C], weight float32 [B])`, of known cardinality.

    Raises:
      InputError: a set without that split, or a shard that is not the one in the index.
    """
    reader = TileReader(sets, split, cache)
    batches = -(-reader.count // train.batch_size)
    padding = batches * train.batch_size - reader.count
    stream = _tiles(reader).map(lambda image, mask: (image, mask, tf.constant(1.0)))
    if padding:
        nothing = tf.data.Dataset.from_tensors(tuple(tf.zeros(spec.shape, spec.dtype) for spec in stream.element_spec))
        stream = stream.concatenate(nothing.repeat(padding))
    stream = stream.batch(train.batch_size, drop_remainder=True)
    # Without a known cardinality `fit` runs one more step on nothing; prefetch_to_device would lose it.
    return stream.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(AUTOTUNE)


def tiles_of_split(sets: Sequence[RecordSet], split: str) -> tf.data.Dataset:
    """Returns the tiles of a split, in order: `(image float32 0..255 [T, T, 3], mask float32 0/1 [T, T, C])`.

    Raises:
      InputError: a set without that split, or a shard that is not the one in the index.
    """
    return _tiles(TileReader(sets, split))


def _element_maker(
    sets: Sequence[RecordSet], train: TrainConfig, augmentation: AugmentConfig, *, cache: Cache
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    reader = TileReader(sets, "train", cache)
    sampler = make_sampler(sets, train)
    side = train.crop or sets[0].index.data.tile

    def show(k: tf.Tensor) -> dict[str, tf.Tensor]:
        seed = tf.stack([tf.cast(train.seed, tf.int64), k])
        target = sampler.target(k)
        image, bits = reader.packed_tile(target.tile)
        origin = crop_origin(target, bits, side, seed=seed)
        # The classes of a pixel go together wherever it goes.
        image, bits = augment(image, bits, seed, config=augmentation, crop=Crop(origin, side))
        return {"k": k, "target": tf.stack(target), "origin": origin, "image": image, "bits": bits}

    return show


def _unpack(image: tf.Tensor, bits: tf.Tensor, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns both in float32, the mask 0/1 with a channel a class, of a tile or a batch."""
    return tf.cast(image, tf.float32), tf.cast(unpack_mask(bits, classes), tf.float32)


def _tiles(reader: TileReader) -> tf.data.Dataset:
    def read(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, mask = reader.tile(number)
        return tf.cast(image, tf.float32), tf.cast(mask, tf.float32)

    return reader.numbers().map(read, num_parallel_calls=AUTOTUNE, deterministic=True)
