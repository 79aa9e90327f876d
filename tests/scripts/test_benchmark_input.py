"""The input benchmark: its variants show the same tiles, and a small run leaves the keys that other programs read."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs import Config, DataConfig, ModelConfig, TrainConfig, UNetConfig
from pipeline.input import RecordSet, open_records, training_batches
from records import find_cases
from records.synthetic import write_synthetic_set
from scripts.benchmarks import feeders, input_wait
from scripts.benchmarks import input as benchmark
from scripts.benchmarks.shard import shard_cases

CONFIG = Config(
    data=DataConfig(scale=0.25, tile=64, stride=64, photographs_per_shard=1, validation_fraction=0.25),
    model=ModelConfig(unet=UNetConfig(width=4, levels=2, normalization="none")),
    train=TrainConfig(batch_size=4),
)
AUGMENTATIONS = ("rotation", "jpeg")
FEEDERS = ("uncached", "PyDataset and OpenCV", "NumPy arrays")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark") / "source"
    write_synthetic_set(folder, training=4, test=0)
    return folder


@pytest.fixture(scope="module")
def one(source) -> RecordSet:
    folder = source.parent / "records"
    shard_cases(find_cases(source, CONFIG.data.classes)[1], CONFIG.data, 1, folder=folder)
    return open_records([folder], CONFIG)[0]


@pytest.fixture(scope="module")
def tiles(one) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first 16 tiles of the stream, image `[T, T, 3]` and mask `[T, T, 1]`."""
    batches = training_batches([one], CONFIG.train, feeders.NO_AUGMENTATION).take(4).as_numpy_iterator()
    return [(image, mask) for images, masks in batches for image, mask in zip(images, masks, strict=True)]


@pytest.fixture
def small(monkeypatch):
    """Few tiles, augmentations and feeders, a turn each."""
    for name, value in {"REPEATS": 1, "AUGMENTATION_REPEATS": 1, "TILES": 16, "STARTING_TILES": 4, "EPOCHS": 2}.items():
        monkeypatch.setattr(benchmark, name, value)
    monkeypatch.setattr(benchmark, "AUGMENTATIONS", AUGMENTATIONS)
    monkeypatch.setattr(feeders, "FEEDERS", FEEDERS)
    monkeypatch.setattr(input_wait, "BLOCKS", 1)
    monkeypatch.setattr(input_wait, "BLOCK_SECONDS", 0.1)


@pytest.mark.slow
def test_a_small_run_leaves_the_keys_that_other_programs_read(small, source):
    result = benchmark.measure(CONFIG, source=source)
    keys = result.keys
    assert keys["share_of_decode"] > 0
    assert keys["augmented_tiles_per_second_per_core"] > 0
    assert 0 <= keys["input_wait_share"] < 1
    assert keys["step_slowdown_share"] < 1
    assert set(keys["peak_memory_mb"]) == set(FEEDERS)
    assert min(keys["peak_memory_mb"].values()) >= keys["tensorflow_memory_mb"] > 100
    assert abs(keys["memory_growth_mb"]) < 100
    assert all(len(row) == len(result.columns) for row in result.rows)
    names = [row[0] for row in result.rows]
    assert {"bare decode", "uncached", "cache records", "cache decoded", "as configured", "every augmentation"} < {
        *names
    }
    assert [name for name in names if name.startswith("with")] == [f"with {name}" for name in AUGMENTATIONS]
    assert [name for name in names if name.startswith("fit")] == [f"fit, {name}" for name in FEEDERS]
    assert all(float(row[1]) > 0 for row in result.rows)
    assert "cache decoded, keeps" in result.title


def test_the_bound_decodes_the_tiles_of_the_stream_in_its_order(one, tiles, monkeypatch):
    monkeypatch.setattr(benchmark, "STARTING_TILES", 4)
    monkeypatch.setattr(benchmark, "TILES", 12)
    batches = benchmark._bare_decode(one, CONFIG.train).take(8).as_numpy_iterator()
    expected = [int(image[0, 0, 0] + mask[0, 0, 0]) % 256 for image, mask in tiles]
    assert len(set(expected)) > 1
    assert np.concatenate(list(batches)).tolist() == expected * 2  # endless


def test_the_other_feeders_show_the_tiles_of_the_stream(one, tiles, tmp_path):
    files = feeders.write_files(one, tmp_path / "files")
    assert len(files) == one.index.splits["train"].records
    dataset = feeders.TilesFromFiles(files, 4, classes=1)
    batches = [dataset[number] for number in range(len(dataset))]
    assert len(dataset) == len(files) // 4
    assert all(image.dtype == mask.dtype == np.float32 for image, mask in batches)
    pairs = [pair for images, masks in batches for pair in zip(images, masks, strict=True)]
    shown = {(image.tobytes(), mask.tobytes()) for image, mask in pairs}
    found = [(image.tobytes(), mask.tobytes()) in shown for image, mask in tiles]
    assert sum(found) >= len(tiles) - len(files) % 4  # the last tiles fill no batch


def test_bits_of_a_mask_file_become_classes(tmp_path):
    image, bits = np.zeros((8, 8, 3), np.uint8), np.arange(64, dtype=np.uint8).reshape(8, 8) % 8
    image[..., 0] = 200  # blue, as OpenCV writes it
    cv2.imwrite(str(tmp_path / "image.png"), image)
    cv2.imwrite(str(tmp_path / "mask.png"), bits)
    files = feeders.TileFiles(str(tmp_path / "image.png"), str(tmp_path / "mask.png"))
    images, masks = feeders.TilesFromFiles([files], 1, classes=3)[0]
    assert images[0, 0, 0].tolist() == [0, 0, 200]
    np.testing.assert_array_equal(masks[0] @ [1, 2, 4], bits)


def test_the_first_shards_are_a_set_of_their_own(one):
    shards = one.index.splits["train"].shards
    assert [shard.records > 0 for shard in shards] == [False, True, True]  # the first photograph has no lesions
    assert benchmark._first_shards(one, 1e12) == one
    two, three = (sum(shard.records for shard in shards[:number]) * CONFIG.data.tile**2 * 4 for number in (2, 3))
    for most, expected in ((0, 2), (two, 2), (three - 1, 2), (three, 3)):
        part = benchmark._first_shards(one, most)
        split = part.index.splits["train"]
        assert split.shards == shards[:expected]
        assert sum(part.index.cases[name].tiles for name in split.cases) == split.records
    part = benchmark._first_shards(one, 0)
    image, mask = next(iter(training_batches([part], CONFIG.train, feeders.NO_AUGMENTATION, cache="decoded")))
    assert image.shape == (4, 64, 64, 3)
    assert mask.shape == (4, 64, 64, 1)


def test_every_augmentation_of_the_config_is_on_or_off():
    fields = {field.name for field in dataclasses.fields(benchmark.ALL_AUGMENTATIONS)}
    probabilities = {name for name in fields if not any(name.startswith(f"{other}_") for other in fields)}
    assert all(getattr(benchmark.ALL_AUGMENTATIONS, name) == 1.0 for name in probabilities)
    assert not any(getattr(feeders.NO_AUGMENTATION, name) for name in probabilities)
