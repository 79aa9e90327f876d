"""The streams of batches: one builder for training, one for validation.

Training is an endless stream whose element k depends on (seed, k) alone, so it can start at any element.
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from configs import AugmentConfig, TrainConfig
from pipeline.input.augmentation import augment
from pipeline.input.cropping import draw_crop
from pipeline.input.host_share import WHOLE, HostShare
from pipeline.input.pasting import NO_DONOR, make_donors
from pipeline.input.reading import AUTOTUNE, Cache, RecordSet, TileReader, label_format
from pipeline.input.sampling import make_sampler
from records.shards.record import LabelFormat

DEVICE_BATCHES = 2  # batches prefetched to the device
# Converting Python control flow, of which the stream has none that depends on tensors, takes seconds at every start.
do_not_convert = tf.autograph.experimental.do_not_convert


def training_batches(
    sets: Sequence[RecordSet],
    train: TrainConfig,
    augmentation: AugmentConfig,
    *,
    start: int = 0,
    cache: Cache = "none",
    device: str | None = None,
    share: HostShare = WHOLE,
) -> tf.data.Dataset:
    """Returns the endless stream of full training batches.

    Args:
      sets: records, all made with the same config.
      train: batch size, crop, sampling and seed.
      augmentation: probabilities and ranges of the augmentations.
      start: index of the first element; with `share` the first of a batch.
      cache: where tiles are kept, see `TileReader`.
      device: device to which the next batches are prefetched, such as "/GPU:0". None: batches stay in host memory, as a
        distribution strategy needs them, since it moves them itself.
      share: the part of each batch that is wanted.

    Returns:
      `(image float32 0..255 [B, S, S, 3], labels float32 [B, S, S, C])`, where B is the batch size of the share, and S
      the side of the crop, or of the tile without cropping. Labels are masks 0/1, or 0..1 if any set has soft labels;
      if not everything is known, they are followed by whether it is, 0/1: `[B, S, S, 2 C]`.

    Raises:
      InputError: a shard differs from the index, or the sampling fractions leave nothing to show.
    """
    build = _element_builder(sets, train, augmentation, cache=cache)
    unpack = do_not_convert(functools.partial(_unpack, form=label_format(sets)))

    @do_not_convert
    def build_pair(k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        element = build(k)
        return element["image"], element["labels"]

    numbers = share.numbers(start, tf.int64.max, train.batch_size)
    pairs = numbers.map(build_pair, num_parallel_calls=AUTOTUNE, deterministic=True)
    # Unpacked only after batching, which copies the elements: as bytes the images (unless an augmentation needs floats)
    # are a quarter of their size in float32, and the masks of five classes a twentieth.
    batches = pairs.batch(share.batch_size(train.batch_size), drop_remainder=True).map(
        unpack, num_parallel_calls=AUTOTUNE
    )
    # Tiles are processed in parallel; splitting each tile's operations across the cores too costs a fifth more time.
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    batches = batches.with_options(options)
    if device is None:
        return batches.prefetch(AUTOTUNE)
    return batches.apply(tf.data.experimental.prefetch_to_device(device, DEVICE_BATCHES))  # must come last


def training_elements(
    sets: Sequence[RecordSet],
    train: TrainConfig,
    augmentation: AugmentConfig,
    *,
    start: int = 0,
    cache: Cache = "none",
) -> tf.data.Dataset:
    """Returns the endless stream of single training elements, with their origin.

    The arguments are those of `training_batches`.

    Returns:
      Dictionaries: "k" int64, the index of the element; "target" int64 `[6]`, the fields of `Target`; "origin" int32
      `[2]`, of the crop in its tile; "donor" int64, the number of the tile whose lesions are pasted, or `NO_DONOR`;
      "image" float32 0..255 `[S, S, 3]`; "labels" float32 `[S, S, C]` or `[S, S, 2 C]`.
    """
    build = _element_builder(sets, train, augmentation, cache=cache)
    form = label_format(sets)

    @do_not_convert
    def build_unpacked(k: tf.Tensor) -> dict[str, tf.Tensor]:
        element = build(k)
        image, labels = _unpack(element["image"], element["labels"], form)
        return {**element, "image": image, "labels": labels}

    indices = tf.data.Dataset.range(start, tf.int64.max)
    return indices.map(build_unpacked, num_parallel_calls=AUTOTUNE, deterministic=True)


def validation_batches(
    sets: Sequence[RecordSet],
    train: TrainConfig,
    *,
    split: str = "validation",
    cache: Cache = "none",
    share: HostShare = WHOLE,
) -> tf.data.Dataset:
    """Returns every tile of a split once, whole, in the order of the records; of each batch the part of `share`.

    The last batch is padded with zeros of weight 0.

    Returns:
      `(image float32 0..255 [B, T, T, 3], labels float32 [B, T, T, C] or [B, T, T, 2 C], weight float32 [B])`, of known
      cardinality.

    Raises:
      InputError: a set lacks the split, or a shard differs from the index.
    """
    reader = TileReader(sets, split, cache)
    batches = -(-reader.count // train.batch_size)
    side, channels = sets[0].index.data.tile, reader.form.classes * (1 + reader.form.partly_known)
    padding = tf.zeros([side, side, 3]), tf.zeros([side, side, channels]), tf.constant(0.0)

    @do_not_convert
    def read_or_pad(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return tf.cond(number < reader.count, lambda: (*_read(reader, number), tf.constant(1.0)), lambda: padding)

    stream = share.numbers(0, batches * train.batch_size, train.batch_size)
    stream = stream.map(read_or_pad, num_parallel_calls=AUTOTUNE, deterministic=True)
    stream = stream.batch(share.batch_size(train.batch_size), drop_remainder=True)
    # With unknown cardinality `fit` runs one more, empty step; prefetch_to_device would lose the cardinality.
    return stream.apply(tf.data.experimental.assert_cardinality(batches * share.devices)).prefetch(AUTOTUNE)


def tiles_of_split(sets: Sequence[RecordSet], split: str) -> tf.data.Dataset:
    """Returns the tiles of a split in order: `(image float32 0..255 [T, T, 3], labels float32 [T, T, C or 2 C])`.

    Raises:
      InputError: a set lacks the split, or a shard differs from the index.
    """
    reader = TileReader(sets, split)
    read = do_not_convert(functools.partial(_read, reader))
    return reader.numbers().map(read, num_parallel_calls=AUTOTUNE, deterministic=True)


def _element_builder(
    sets: Sequence[RecordSet], train: TrainConfig, augmentation: AugmentConfig, *, cache: Cache
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns the function that builds element k: sample a target, read its tile, draw the crop, paste, augment."""
    reader = TileReader(sets, "train", cache)
    donors = make_donors(sets, train, reader)
    sampler = make_sampler(sets, train)
    side = train.crop or sets[0].index.data.tile

    def build(k: tf.Tensor) -> dict[str, tf.Tensor]:
        seed = tf.stack([tf.cast(train.seed, tf.int64), k])
        target = sampler.target(k)
        image, labels = reader.packed_tile(target.tile)
        crop = draw_crop(target, labels, side, form=reader.form, seed=seed)
        donor = tf.constant(NO_DONOR, tf.int64)
        if donors is not None:
            image, labels, donor = donors.paste_into(image, labels, crop, seed=seed)
        # Labels are augmented packed: all classes of a pixel move together.
        image, labels = augment(image, labels, seed, config=augmentation, crop=crop)
        places = {"k": k, "target": tf.stack(target), "origin": crop.origin, "donor": donor}
        return {**places, "image": image, "labels": labels}

    return build


def _unpack(image: tf.Tensor, packed: tf.Tensor, form: LabelFormat) -> tuple[tf.Tensor, tf.Tensor]:
    """Converts the image and the packed labels of a tile or batch to float32."""
    return tf.cast(image, tf.float32), form.unpack(packed)


def _read(reader: TileReader, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image, labels = reader.tile(number)
    return tf.cast(image, tf.float32), labels
