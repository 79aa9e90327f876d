"""Tiles from all over a split, for statistics that need no more than some hundred."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from pipeline.input.reading import RecordSet, TileReader, naming_damaged_shards


def spread_batches(sets: Sequence[RecordSet], split: str, *, tiles: int, batch: int) -> Iterator[np.ndarray]:
    """Yields images of tiles that are evenly spread over a split, always the same ones, in full batches.

    Args:
      sets: records, all made with the same config.
      split: which tiles.
      tiles: number of tiles; all of a split that has fewer.
      batch: tiles of a batch; a last one that is not full is left out, unless it is the only one.

    Yields:
      float32 RGB 0..255 `[B, T, T, 3]`.

    Raises:
      InputError: all sets lack the split, or a shard differs from the index.
    """
    reader = TileReader(sets, split)
    numbers = np.unique(np.linspace(0, reader.count - 1, min(tiles, reader.count)).astype(int))
    last = max(len(numbers) // batch, 1) * batch
    with naming_damaged_shards(sets):
        for first in range(0, min(last, len(numbers)), batch):
            chosen = [reader.tile(tf.constant(number))[0] for number in numbers[first : first + batch]]
            yield np.stack(chosen).astype(np.float32)
