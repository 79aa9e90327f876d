"""Scores of tiles, as the earlier system computed them."""

import csv

import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from pipeline.evaluation.tiles import evaluate_tiles, write_tile_scores
from pipeline.inference import TiledSegmenter


@pytest.fixture
def green_segmenter(spec):
    """A segmenter of one class whose probability is green / 255."""
    return TiledSegmenter(lambda images: images[..., 1:2] / 255, spec())


def tile_set(number: int, empty: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns that many images and masks; the masks at the places `empty` have no lesion."""
    rng = np.random.default_rng(0)
    images = rng.uniform(5, 250, (number, 16, 16, 3)).astype(np.float32)
    masks = (rng.random((number, 16, 16, 1)) < np.linspace(0.05, 0.6, number)[:, None, None, None]).astype(np.float32)
    masks[list(empty)] = 0
    return images, masks


@pytest.mark.parametrize(("number", "empty"), [(9, (0, 4, 7)), (8, ()), (3, (1,))])
def test_tiles_are_scored_in_batches_of_four_with_a_smaller_last_one_and_without_empty_ones(
    green_segmenter, number, empty
):
    images, masks = tile_set(number, empty)
    kept = [place for place in range(number) if place not in empty]
    dices, losses = [], []
    for first in range(0, len(kept), 4):
        batch = kept[first : first + 4]
        p, y = images[batch][..., 1:2].astype(np.float64) / 255, masks[batch].astype(np.float64)
        dices.append((2 * np.sum(p * y) + 1) / (p.sum() + y.sum() + 1))
        losses.append((-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)) + 1 - dices[-1]) / 2)
    found = evaluate_tiles(green_segmenter, tf.data.Dataset.from_tensor_slices((images, masks)))
    assert found["dice_coef"] == pytest.approx(np.mean(dices), rel=1e-5)
    assert found["bce_dice"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_pixels_of_which_nothing_is_known_are_no_part_of_the_scores_of_tiles(green_segmenter):
    images, masks = tile_set(7, ())
    known = (np.random.default_rng(1).random(masks.shape) < 0.7).astype(np.float32)
    known[3] = 0  # such a tile shows no lesion either
    kept, dices, losses = [0, 1, 2, 4, 5, 6], [], []
    for batch in (kept[:4], kept[4:]):
        chosen = known[batch] > 0
        p, y = images[batch][..., 1:2][chosen].astype(np.float64) / 255, masks[batch][chosen].astype(np.float64)
        dices.append((2 * np.sum(p * y) + 1) / (p.sum() + y.sum() + 1))
        losses.append((-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)) + 1 - dices[-1]) / 2)
    labels = np.concatenate([masks * known, known], axis=-1)
    found = evaluate_tiles(green_segmenter, tf.data.Dataset.from_tensor_slices((images, labels)))
    assert found["dice_coef"] == pytest.approx(np.mean(dices), rel=1e-5)
    assert found["bce_dice"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_tiles_without_any_lesion_cannot_be_scored(green_segmenter):
    images, masks = tile_set(3, (0, 1, 2))
    with pytest.raises(InputError, match="no tile of this split shows a lesion"):
        evaluate_tiles(green_segmenter, tf.data.Dataset.from_tensor_slices((images, masks)))


def test_tile_scores_are_written_as_names_and_values(tmp_path):
    write_tile_scores(tmp_path, {"bce_dice": 0.25, "dice_coef": 0.7655})
    with open(tmp_path / "evaluation.csv", newline="") as file:
        assert {row["name"]: float(row["value"]) for row in csv.DictReader(file)} == {
            "bce_dice": 0.25,
            "dice_coef": 0.7655,
        }
