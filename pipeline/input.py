"""Shards to batches: one builder for training, one for validation.

Training is an endless stream whose element k depends on (seed, k) alone, so that it can start anywhere.
"""

from pathlib import Path

import tensorflow as tf

from configs import AugmentConfig, InputError, TrainConfig
from pipeline.augmentation import augment
from records import Index, check_shards
from records.record import decode_tile, parse_record

AUTOTUNE = tf.data.AUTOTUNE
BLOCKS_PER_EPOCH = 2**32  # more than any epoch has, so that no two blocks of a run are numbered alike


def training_batches(
    folder: Path, index: Index, train: TrainConfig, augmentation: AugmentConfig, *, start: int = 0
) -> tf.data.Dataset:
    """Returns the endless stream of whole training batches.

    Args:
      folder: of the records.
      index: of the records.
      train: batch size, shuffle buffer and seed.
      augmentation: what is drawn for each tile.
      start: the element, a tile, at which the stream starts.

    Returns:
      `(image float32 0..255 [B, T, T, 3], mask float32 0/1 [B, T, T, C])`.

    Raises:
      InputError: a shard that is missing or of another size than the index says.
    """
    files = [str(path) for path in check_shards(index, "train", folder)]
    per_epoch = index.splits["train"].records

    def records_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(files, seed=[train.seed, epoch])
        # Shards are read side by side, so that a block holds tiles of many photographs.
        shards = tf.data.Dataset.from_tensor_slices(order)
        records = shards.interleave(tf.data.TFRecordDataset, cycle_length=len(files), block_length=1)
        # Dataset.shuffle would draw from TensorFlow's global seed too; blocks shuffled by (seed, block) do not.
        blocks = records.batch(train.shuffle_buffer).enumerate(epoch * BLOCKS_PER_EPOCH)
        return blocks.map(
            lambda block, members: tf.random.experimental.stateless_shuffle(members, seed=[train.seed, block])
        ).unbatch()

    def decode_and_augment(k: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, mask = _decode(record, index)
        return augment(image, mask, tf.stack([tf.cast(train.seed, tf.int64), k]), augmentation)

    epochs = tf.data.Dataset.range(start // per_epoch, tf.int64.max)
    stream = epochs.flat_map(records_of_epoch).skip(start % per_epoch)  # records are skipped before they are decoded
    stream = stream.enumerate(start).map(decode_and_augment, num_parallel_calls=AUTOTUNE, deterministic=True)
    return stream.batch(train.batch_size, drop_remainder=True).prefetch(AUTOTUNE)


def validation_batches(folder: Path, index: Index, train: TrainConfig, *, split: str = "validation") -> tf.data.Dataset:
    """Returns every tile of a split once, in the order of the records, the last batch filled up with weight 0.

    Returns:
      `(image float32 0..255 [B, T, T, 3], mask float32 0/1 [B, T, T, C], weight float32 [B])`, of known cardinality.

    Raises:
      InputError: a shard that is missing or of another size than the index says.
    """
    records = index.splits[split].records
    batches = -(-records // train.batch_size)
    padding = batches * train.batch_size - records
    blank = tf.zeros([index.data.tile, index.data.tile, 3 + len(index.classes)])

    stream = tiles_of_split(folder, index, split).map(lambda image, mask: (image, mask, tf.constant(1.0)))
    if padding:
        nothing = tf.data.Dataset.from_tensors((blank[..., :3], blank[..., 3:], tf.constant(0.0)))
        stream = stream.concatenate(nothing.repeat(padding))
    stream = stream.batch(train.batch_size, drop_remainder=True)
    # Without a known cardinality `fit` runs one more step on nothing.
    return stream.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(AUTOTUNE)


def tiles_of_split(folder: Path, index: Index, split: str) -> tf.data.Dataset:
    """Returns the tiles of a split, in order: `(image float32 0..255 [T, T, 3], mask float32 0/1 [T, T, C])`.

    Raises:
      InputError: the records have no such split, or a shard is missing or of another size than the index says.
    """
    if split not in index.splits:
        raise InputError(f"{folder}: these records have no split {split!r}; they have {', '.join(index.splits)}.")
    files = [str(path) for path in check_shards(index, split, folder)]
    return tf.data.TFRecordDataset(files).map(lambda record: _decode(record, index), num_parallel_calls=AUTOTUNE)


def _decode(record: tf.Tensor, index: Index) -> tuple[tf.Tensor, tf.Tensor]:
    data = index.data
    image, mask = decode_tile(parse_record(record), tile=data.tile, classes=len(data.classes), codec=data.codec)
    return tf.cast(image, tf.float32), tf.cast(mask, tf.float32)
