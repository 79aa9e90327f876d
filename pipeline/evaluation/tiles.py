"""Scores of tiles, computed as the system before this one did, so that its numbers can be compared with.

They flatter: only tiles with a lesion are scored. What counts are the scores of whole photographs
(`pipeline.evaluation.scores`).
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from configs import InputError
from pipeline.inference import TiledSegmenter
from pipeline.input import RecordSet, naming_damaged_shards, tiles_of_split
from records import Index, write_text

TILE_BATCH = 4  # batch size of the earlier system, whose scores are means over batches


def score_split(
    segmenter: TiledSegmenter, records: Path, index: Index, *, split: str, output: Path
) -> dict[str, float]:
    """Scores the tiles of a split of records, and writes `evaluation.csv`.

    Args:
      segmenter: segmenter whose network is scored.
      records: folder of the records.
      index: index of the records.
      split: name of the split, one of `index.splits`.
      output: folder for the file.

    Returns:
      `bce_dice` and `dice_coef`, see `evaluate_tiles`.

    Raises:
      InputError: no tile shows a lesion, or a record is damaged.
    """
    sets = [RecordSet(records, index)]
    with naming_damaged_shards(sets):
        values = evaluate_tiles(segmenter, tiles_of_split(sets, split))
    write_tile_scores(output, values)
    return values


def evaluate_tiles(segmenter: TiledSegmenter, tiles: tf.data.Dataset) -> dict[str, float]:
    """Scores the tiles that show a lesion, whatever loss the model was trained with.

    Args:
      segmenter: segmenter whose network is scored.
      tiles: dataset of image float32 `[T, T, 3]` and mask float32 0/1 `[T, T, C]`; or `[T, T, 2C]`, where whether each
        pixel is known as 0/1 follows the masks, which are 0 where it is not. Only known pixels count.

    Returns:
      `dice_coef`, which is soft, smoothed by 1 and taken over a batch of 4 tiles, and `bce_dice`,
      (BCE + 1 - dice_coef) / 2; both are means over batches, of which the last may be smaller.

    Raises:
      InputError: no tile shows a lesion.
    """
    values = []
    classes = len(segmenter.spec.classes)
    nonempty = tiles.filter(
        tf.autograph.experimental.do_not_convert(lambda image, labels: tf.reduce_any(labels[..., :classes] > 0))
    )
    for images, labels in nonempty.batch(TILE_BATCH):
        predicted = tf.convert_to_tensor(segmenter.tiles(images))
        masks = labels[..., :classes]
        if labels.shape[-1] > classes:
            predicted, masks = (tf.boolean_mask(one, labels[..., classes:] > 0)[:, None] for one in (predicted, masks))
        both = tf.reduce_sum(masks * predicted)
        dice = (2 * both + 1) / (tf.reduce_sum(masks) + tf.reduce_sum(predicted) + 1)
        bce = tf.reduce_mean(tf.keras.losses.binary_crossentropy(masks, predicted))
        values.append((float(bce + 1 - dice) / 2, float(dice)))
    if not values:
        raise InputError("no tile of this split shows a lesion, so there are no tile scores; leave out --records.")
    bce_dice, dice_coef = np.mean(values, axis=0)
    return {"bce_dice": float(bce_dice), "dice_coef": float(dice_coef)}


def write_tile_scores(output: Path, values: dict[str, float]) -> None:
    """Writes `evaluation.csv` with the columns name and value."""
    write_text(output / "evaluation.csv", "name,value\n" + "".join(f"{k},{v}\n" for k, v in values.items()))
