"""The input benchmark: all of its pipelines give the same tiles, and the command runs to its end with a few of them."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from configs import Config, DataConfig, ModelConfig, TrainConfig, UNetConfig
from pipeline.input.reading import RecordSet, open_records
from pipeline.input.stream import training_batches
from records import find_cases
from scripts.benchmarks import input as benchmark
from scripts.benchmarks import ways
from scripts.benchmarks.shard import shard_cases

ROOT = Path(__file__).parents[2]
CONFIG = Config(
    data=DataConfig(scale=0.25, tile=64, stride=64, photographs_per_shard=1, validation_fraction=0.25),
    model=ModelConfig(unet=UNetConfig(width=4, levels=3)),
    train=TrainConfig(batch_size=4),
)
AUGMENTATIONS = ("rotation", "jpeg")
WAYS = ("uncached", "PyDataset and OpenCV", "NumPy arrays")
PROGRAM = f"""
import runpy
from scripts.benchmarks import input, ways

input.REPEATS = input.AUGMENTATION_REPEATS = input.BLOCKS = 1
input.TILES, input.STARTING_TILES, input.EPOCHS, input.BLOCK_SECONDS = 16, 4, 2, 0.1
input.AUGMENTATIONS, ways.WAYS = {AUGMENTATIONS}, {WAYS}
runpy.run_module("scripts.benchmark", run_name="__main__")
"""


@pytest.fixture(scope="module")
def source(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark") / "source"
    assert run("synthesize", f"--output={folder}", "--training=4", "--test=0").returncode == 0
    return folder


@pytest.fixture(scope="module")
def one(source) -> RecordSet:
    folder = source.parent / "records"
    shard_cases(find_cases(source, CONFIG.data.classes)[1], CONFIG.data, 1, folder=folder)
    return open_records([folder], CONFIG)[0]


@pytest.fixture
def tiles(one) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first 16 tiles of the stream, image `[T, T, 3]` and mask `[T, T, 1]`."""
    batches = training_batches([one], CONFIG.train, ways.UNTOUCHED).take(4).as_numpy_iterator()
    return [(image, mask) for images, masks in batches for image, mask in zip(images, masks, strict=True)]


@pytest.mark.slow
def test_the_command_runs_to_its_end_and_writes_the_documented_keys(source, tmp_path):
    (tmp_path / "config.json").write_text(CONFIG.to_json())
    arguments = ["input", f"--config={tmp_path / 'config.json'}", f"--source={source}", f"--json={tmp_path / 'json'}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "json").read_text())
    assert numbers["share_of_decode"] > 0
    assert numbers["augmented_tiles_per_second_per_core"] > 0
    assert 0 <= numbers["input_wait_share"] < 1
    assert numbers["step_slowdown_share"] < 1
    assert set(numbers["peak_memory_mb"]) == set(WAYS)
    assert min(numbers["peak_memory_mb"].values()) >= numbers["tensorflow_memory_mb"] > 100
    assert abs(numbers["memory_growth_mb"]) < 100
    columns, *rows = numbers["table"]
    assert all(len(row) == len(columns) for row in rows)
    names = [row[0] for row in rows]
    assert {"bare decode", "uncached", "cache records", "cache decoded", "as configured", "every augmentation"} < {
        *names
    }
    assert [name for name in names if name.startswith("with")] == [f"with {name}" for name in AUGMENTATIONS]
    assert [name for name in names if name.startswith("fit")] == [f"fit, {name}" for name in WAYS]
    assert all(float(row[1]) > 0 for row in rows)
    for key in ("share_of_decode", "input_wait_share", "step_slowdown_share", "memory_growth_mb"):
        assert f"\n{key}: " in done.stdout


def test_the_bound_decodes_the_tiles_that_the_stream_shows_in_that_order(one, tiles, monkeypatch):
    monkeypatch.setattr(benchmark, "STARTING_TILES", 4)
    monkeypatch.setattr(benchmark, "TILES", 12)
    batches = benchmark._bare_decode(one, CONFIG.train).take(8).as_numpy_iterator()
    expected = [int(image[0, 0, 0] + mask[0, 0, 0]) % 256 for image, mask in tiles]
    assert len(set(expected)) > 1
    assert np.concatenate(list(batches)).tolist() == expected * 2  # endless


def test_the_usual_pipelines_give_the_tiles_of_the_stream(one, tiles, tmp_path):
    files = ways.write_files(one, tmp_path / "files")
    assert len(files) == one.index.splits["train"].records
    usual = ways.TilesFromFiles(files, 4, classes=1)
    batches = [usual[number] for number in range(len(usual))]
    assert len(usual) == len(files) // 4
    assert all(image.dtype == mask.dtype == np.float32 for image, mask in batches)
    pairs = [pair for images, masks in batches for pair in zip(images, masks, strict=True)]
    shown = {(image.tobytes(), mask.tobytes()) for image, mask in pairs}
    found = [(image.tobytes(), mask.tobytes()) in shown for image, mask in tiles]
    assert sum(found) >= len(tiles) - len(files) % 4  # the last tiles fill no batch


def test_bits_of_a_mask_file_become_classes(tmp_path):
    image, bits = np.zeros((8, 8, 3), np.uint8), np.arange(64, dtype=np.uint8).reshape(8, 8) % 8
    import cv2

    image[..., 0] = 200  # blue, as OpenCV writes it
    cv2.imwrite(str(tmp_path / "image.png"), image)
    cv2.imwrite(str(tmp_path / "mask.png"), bits)
    file = ways.TileFile(str(tmp_path / "image.png"), str(tmp_path / "mask.png"))
    images, masks = ways.TilesFromFiles([file], 1, classes=3)[0]
    assert images[0, 0, 0].tolist() == [0, 0, 200]
    np.testing.assert_array_equal(masks[0] @ [1, 2, 4], bits)


def test_the_first_shards_are_a_set_of_their_own(one):
    shards = one.index.splits["train"].shards
    assert [shard.records > 0 for shard in shards] == [False, True, True]  # a photograph without lesions is the first
    assert benchmark._first_shards(one, 1e12) == one
    two, three = (sum(shard.records for shard in shards[:number]) * CONFIG.data.tile**2 * 4 for number in (2, 3))
    for most, expected in ((0, 2), (two, 2), (three - 1, 2), (three, 3)):
        part = benchmark._first_shards(one, most)
        split = part.index.splits["train"]
        assert split.shards == shards[:expected]
        assert sum(part.index.cases[name].tiles for name in split.cases) == split.records
        image, mask = next(iter(training_batches([part], CONFIG.train, ways.UNTOUCHED, cache="decoded")))
        assert image.shape == (4, 64, 64, 3)
        assert mask.shape == (4, 64, 64, 1)


def test_every_augmentation_of_the_config_is_on():
    fields = {field.name for field in dataclasses.fields(benchmark.FULL)}
    probabilities = {name for name in fields if not any(name.startswith(f"{other}_") for other in fields)}
    assert {name for name in fields if getattr(benchmark.FULL, name) == 1.0} >= probabilities
    assert not any(getattr(ways.UNTOUCHED, name) for name in probabilities)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("input",), "benchmark input takes --records or --source; received none."),
        (("input", "--records=x", "--source=y"), "takes --records or --source; received --source and --records."),
        (("shard", "--records=x"), "benchmark shard takes --source; received --records."),
        (("input", "--records=/no/such"), "--records=/no/such: no index.json there"),
    ],
)
def test_a_wrong_folder_is_answered_in_a_line(run, arguments, message):
    done = run("benchmark", *arguments, "--config=configs/demo.py")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
