"""What is expected to be wrong in a tile, what is, and what an order of tiles is good for."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.evaluation import bootstrap
from pipeline.evaluation.counting import PhotographCounts, count_photograph
from pipeline.evaluation.results import counts_writer, read_counts
from pipeline.evaluation.sparsification import first_to_last, removed_at, sparsify, summarize_tiles
from pipeline.evaluation.summary import summarize
from pipeline.evaluation.tables import write_tables
from pipeline.evaluation.tile_errors import TILE_ERRORS, worth
from pipeline.operating_point import OperatingPoint

CLASSES, THRESHOLDS = ("HE", "MA"), (0.5, 0.4)
SIZE = (90, 140)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws smooth probabilities, near 0 in most places, and masks of which each pixel is right as often as it says."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(2, *SIZE)), (0, 3, 3))
    probabilities = 1 / (1 + np.exp(-(smooth / smooth.std() * 3 - 7)))
    masks = rng.random(probabilities.shape) < probabilities
    return np.moveaxis(probabilities, 0, -1).astype(np.float32), np.moveaxis(masks, 0, -1)


def counted(seed: int, *, known: np.ndarray | None = None, probabilities=None, min_area=()) -> PhotographCounts:
    drawn_probabilities, masks = drawn(seed)
    return count_photograph(
        f"P{seed}",
        drawn_probabilities if probabilities is None else probabilities,
        masks if known is None else masks & known,
        field_of_view=np.indices(SIZE)[1] < 100,
        classes=CLASSES,
        operating_point=OperatingPoint(THRESHOLDS, min_area),
        bins=32,
        known=known,
    )


@pytest.mark.parametrize("least", [1, 9])
@pytest.mark.parametrize("partly", [False, True])
def test_errors_of_tiles_are_those_of_their_pixels(least, partly):
    probabilities, masks = drawn(3)
    known = np.moveaxis(np.indices(SIZE)[:, :, :, None] > 30, 0, -1)[:, :, 0] if partly else None
    tiles = counted(3, known=known, min_area=(least, least)).tiles
    point = OperatingPoint(THRESHOLDS, (least, least))
    shown = np.ones((*SIZE, 2), bool) if known is None else known
    positive = np.stack([point.is_positive(probabilities[..., c], c) & shown[..., c] for c in (0, 1)], axis=-1)
    detected = np.stack([point.without_small(positive[..., c], c) for c in (0, 1)], axis=-1)
    assert detected.any() and len(tiles) > 20
    for tile in tiles:
        part = (slice(tile["y"], tile["y"] + tile["height"]), slice(tile["x"], tile["x"] + tile["width"]))
        p, found, there = probabilities[part].astype(np.float64), detected[part], shown[part]
        assert tile["wrong"] == (found != (masks[part] & there)).sum()
        assert tile["expected"] == pytest.approx(np.where(found, 1 - p, p)[there].sum())
    if not partly:
        regions = sum(ndimage.label(detected[..., c], np.ones((3, 3)))[1] for c in (0, 1))
        assert tiles["detections"].sum() == regions


def test_tiles_without_retina_are_left_out_unless_they_show_something():
    nothing = np.zeros((*SIZE, 2), np.float32)
    counts = count_photograph(
        "P",
        nothing,
        np.zeros((*SIZE, 2), bool),
        field_of_view=np.indices(SIZE)[1] < 100,
        classes=CLASSES,
        operating_point=OperatingPoint(THRESHOLDS),
        bins=32,
    )
    assert counts.tiles["x"].max() < 100
    elsewhere = nothing.copy()
    elsewhere[:3, 130:, 0] = 1
    assert counted(1, probabilities=elsewhere).tiles["x"].max() > 100


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_as_many_pixels_are_wrong_as_calibrated_probabilities_say(seed):
    tiles = counted(seed).tiles
    expected = tiles["expected"].sum()
    assert abs(tiles["wrong"].sum() - expected) < 5 * np.sqrt(expected + 1)  # a variance is at most the mean


def test_a_curve_is_the_sum_over_the_first_tiles():
    wrong = np.array([5, 0, 3, 2])
    corrected, removed = sparsify(wrong)
    assert corrected.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert removed.tolist() == [0, 0.5, 0.5, 0.8, 1]
    assert removed_at((corrected, removed), 0.125) == 0.25
    assert np.isnan(removed_at(sparsify(np.zeros(3))))
    repeated = sparsify(np.repeat(wrong, [2, 0, 1, 3]))
    for fraction in np.linspace(0, 1, 13):
        assert removed_at(sparsify(wrong, np.array([2, 0, 1, 3])), fraction) == pytest.approx(
            removed_at(repeated, fraction)
        )


def test_the_order_by_probabilities_finds_wrong_pixels_much_sooner_than_chance():
    """What it is for: on photographs whose wrong pixels are in few places, as lesions are."""
    tables = [counted(seed).tiles for seed in range(6)]
    found = summarize_tiles(tables, bootstrap.draw_photographs(6))
    assert found["tiles"] == sum(map(len, tables))
    assert found["wrong_pixels"] == sum(table["wrong"].sum() for table in tables)
    assert 2 * found["random"] < found["removed"] <= found["best"]
    low, high = found["removed_interval"]
    assert low < found["removed"] < high
    pooled = np.concatenate(tables)
    shuffled = [
        removed_at(sparsify(pooled["wrong"][np.random.default_rng(seed).permutation(len(pooled))]))
        for seed in range(200)
    ]
    assert np.mean(shuffled) == pytest.approx(found["random"], abs=0.02)


def test_where_nothing_is_wrong_nothing_can_be_removed():
    table = np.zeros(4, TILE_ERRORS)
    found = summarize_tiles([table, table], bootstrap.draw_photographs(2))
    assert (found["removed"], found["best"], found["removed_interval"]) == (None, None, None)


def test_a_tile_full_of_detections_costs_more_to_look_at():
    tiles = np.zeros(3, TILE_ERRORS)
    tiles["expected"], tiles["detections"] = [100, 100, 250], [0, 40, 40]
    assert first_to_last(worth(tiles)).tolist() == [0, 2, 1]


def test_tiles_are_kept_in_the_counts_and_in_a_table(tmp_path):
    photographs = [counted(seed) for seed in (1, 2)]
    with counts_writer(tmp_path, classes=CLASSES, bins=32, thresholds=THRESHOLDS) as writer:
        for photograph in photographs:
            writer.add(photograph)
    result = read_counts(tmp_path, {})
    write_tables(tmp_path, result)
    for one, other in zip(result.photographs(), photographs, strict=True):
        assert np.array_equal(one.tiles, other.tiles)
    with open(tmp_path / "tiles.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    tiles = np.concatenate([photograph.tiles for photograph in photographs])
    assert [int(row["wrong"]) for row in rows] == tiles["wrong"].tolist()
    np.testing.assert_allclose([float(row["expected_per_minute"]) for row in rows], worth(tiles), atol=0.06)


def test_results_of_earlier_versions_have_no_tiles(tmp_path):
    with counts_writer(tmp_path, classes=CLASSES, bins=32, thresholds=THRESHOLDS) as writer:
        for seed in (1, 2):
            counts = counted(seed)
            writer.add(PhotographCounts(*(getattr(counts, name) for name in EARLIER_FIELDS)))
    result = read_counts(tmp_path, {})
    assert summarize(result)["sparsification"] is None
    write_tables(tmp_path, result)
    assert len((tmp_path / "tiles.csv").read_text().splitlines()) == 1


EARLIER_FIELDS = ("case", "height", "width", "counts", "lesions", "detections")
