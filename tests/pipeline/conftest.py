"""Fixtures of the pipeline's tests: small photographs, their records, a tiny network and one short training."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import keras
import numpy as np
import pytest

from configs import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    ModelConfig,
    SegmentConfig,
    TrainConfig,
    UNetConfig,
)
from models import Network, build_network
from pipeline.evaluation import Counts, count_photograph
from pipeline.export.saved_model import export_model
from pipeline.inference import SegmenterSpec, TiledSegmenter, load_segmenter, save_model
from pipeline.input import RecordSet
from pipeline.operating_point import OperatingPoint
from pipeline.training import TrainingRun, fit, prepare
from records import Case, Index, survey_case
from records.shards.building import build_records
from records.shards.sharding import plan_shards
from tests.specs import make_spec

CLASSES = ("HE", "MA")
# Name: split, height, width, whether it has lesions. Two are lower than a tile of 64 pixels.
PHOTOGRAPHS = {
    "A": ("train", 110, 150, True),
    "B": ("train", 90, 70, True),
    "C": ("train", 100, 100, False),
    "D": ("validation", 120, 110, True),
    "E": ("validation", 60, 130, True),
    "F": ("test", 111, 127, True),
    "G": ("test", 50, 90, True),
}


class Photographed(NamedTuple):
    """A photograph, uint8 RGB `[H, W, 3]`, and its masks, bool `[H, W, C]`."""

    photograph: np.ndarray
    masks: np.ndarray


class RecordsSet(NamedTuple):
    """A set of records and its source."""

    folder: Path
    index: Index
    cases: dict[str, Case]
    pictures: dict[str, Photographed]

    @property
    def sets(self) -> list[RecordSet]:
        return [RecordSet(self.folder, self.index)]


class Trained(NamedTuple):
    """A short, finished training; its network has the weights of the best epoch."""

    run: TrainingRun
    workdir: Path
    model: Path


@pytest.fixture(scope="session")
def fundus() -> Callable[..., Photographed]:
    """Draws a bright, noisy retina with dark discs (HE) and small ones (MA) on a black background."""

    def draw(height: int, width: int, *, seed: int, lesions: bool = True) -> Photographed:
        rng = np.random.default_rng(seed)
        ys, xs = np.mgrid[:height, :width]
        masks = np.zeros((height, width, 2), bool)
        for index, (number, least, most) in enumerate(((5, 4, 9), (4, 1, 3))):
            for _ in range(number if lesions else 0):
                y, x, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(least, most)
                masks[..., index] |= np.hypot(ys - y, xs - x) <= radius
        retina = np.hypot((ys - height / 2) / height, (xs - width / 2) / width) <= 0.6
        brightness = np.where(masks.any(axis=-1), 0.5, 1) * (1 - 0.2 * xs / width)
        light = brightness[..., None] * (200, 120, 60)
        noisy = np.where(retina[..., None], light, 2) + rng.normal(0, 4, (height, width, 3))
        return Photographed(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), masks)

    return draw


@pytest.fixture(scope="session")
def write_case() -> Callable[..., Case]:
    """Writes a photograph and its masks as PNG files; a class without lesions gets no file."""

    def write(folder: Path, name: str, picture: Photographed, split: str) -> Case:
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{name}.png"), picture.photograph[..., ::-1])
        masks: dict[str, Path | None] = dict.fromkeys(CLASSES)
        for index, class_name in enumerate(CLASSES):
            if picture.masks[..., index].any():
                masks[class_name] = folder / f"{name}_{class_name}.png"
                cv2.imwrite(str(masks[class_name]), picture.masks[..., index].astype(np.uint8) * 255)
        return Case(name, folder / f"{name}.png", masks, split)

    return write


@pytest.fixture(scope="session")
def shard() -> Callable[..., Index]:
    """Writes records of cases, as `scripts.shard` does, and returns their index."""

    def make(folder: Path, cases: list[Case], data: DataConfig) -> Index:
        folder.mkdir(parents=True)
        surveys = {case.name: survey_case(case, data) for case in cases}
        index, failures = build_records("by hand", plan_shards(cases, data, surveys), surveys, folder=folder, workers=1)
        assert not failures
        return index

    return make


@pytest.fixture(scope="session")
def records_set(tmp_path_factory, fundus, write_case, shard) -> RecordsSet:
    """Three training, two validation and two test photographs in tiles of 64 pixels, one shard for each photograph."""
    base = tmp_path_factory.mktemp("records")
    pictures, cases = {}, {}
    for seed, (name, (split, height, width, lesions)) in enumerate(PHOTOGRAPHS.items()):
        pictures[name] = fundus(height, width, seed=seed, lesions=lesions)
        cases[name] = write_case(base / "source", name, pictures[name], split)
    data = DataConfig(classes=CLASSES, tile=64, stride=48, empty_per_nonempty=0.6, photographs_per_shard=1)
    index = shard(base / "records", list(cases.values()), data)
    return RecordsSet(base / "records", index, cases, pictures)


@pytest.fixture(scope="session")
def config(records_set) -> Config:
    """A minimal config that trains on `records_set`; its batch size divides the tiles of neither split."""
    return Config(
        data=records_set.index.data,
        model=ModelConfig(unet=UNetConfig(width=4, levels=3)),
        augment=AugmentConfig(brightness=0.8, color=0.8),
        train=TrainConfig(epochs=2, batch_size=4, learning_rate=3e-3, previews=3, seed=1),
        segment=SegmentConfig(overlap=0.25, window="hann", tile_batch=3),
        evaluate=EvaluateConfig(threshold=0.3, bins=64),
    )


@pytest.fixture(scope="session")
def train() -> Callable[..., Trained]:
    """Prepares and fits without output."""

    def run(config: Config, records: Path, workdir: Path) -> Trained:
        prepared = prepare(config, [records], workdir)
        with warnings.catch_warnings():
            # From Keras 3.15.1, when it saves weights.
            warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
            model = fit(prepared, verbose=0)
        return Trained(prepared, workdir, model)

    return run


@pytest.fixture(scope="session")
def trained(train, config, records_set, tmp_path_factory) -> Trained:
    """Two epochs on `records_set`."""
    return train(config, records_set.folder, tmp_path_factory.mktemp("training") / "run")


@pytest.fixture(scope="session")
def spec() -> Callable[..., SegmenterSpec]:
    """Makes a segmenter's spec, see `make_spec`."""
    return make_spec


@pytest.fixture(scope="session")
def network() -> Network:
    """A tiny untrained network of two classes, stride 4."""
    keras.utils.set_random_seed(7)
    return build_network(ModelConfig(unet=UNetConfig(width=4, levels=3)), classes=2)


@pytest.fixture(scope="session")
def model_folder(network, spec, tmp_path_factory) -> Path:
    """A model folder of `network`: tiles of 32 pixels, overlap 0.25, Hann window, scale 0.8."""
    folder = tmp_path_factory.mktemp("models") / "model"
    splits = {"train": ["A", "B"], "validation": ["D"]}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
        save_model(
            folder,
            network,
            spec(
                classes=CLASSES,
                thresholds=(0.5, 0.25),
                tile=32,
                scale=0.8,
                overlap=0.25,
                window="hann",
                tile_batch=3,
                splits=splits,
            ),
        )
    return folder


@pytest.fixture(scope="session")
def segmenter(model_folder) -> TiledSegmenter:
    """The segmenter in `model_folder`."""
    return load_segmenter(model_folder)


@pytest.fixture(scope="session")
def exported(segmenter, model_folder, tmp_path_factory) -> Path:
    """An export of `model_folder`; tests must not change it."""
    return export_model(segmenter, model_folder, tmp_path_factory.mktemp("export"), version=3, overwrite=False)


@pytest.fixture(scope="session")
def count() -> Callable[..., dict[str, dict[str, Counts]]]:
    """Counts one photograph: `count(…)[region][class]`; the default field of view is the whole frame."""

    def count(probabilities, masks, retina=None, *, thresholds=(0.5,), bins=64) -> dict[str, dict[str, Counts]]:
        retina = np.ones(masks.shape[:2], bool) if retina is None else retina
        classes = CLASSES[: masks.shape[2]]
        found = count_photograph(
            "P",
            probabilities,
            masks,
            field_of_view=retina,
            classes=classes,
            operating_point=OperatingPoint(thresholds),
            bins=bins,
        )
        return {region: dict(by_class) for region, by_class in found.counts.items()}

    return count


@pytest.fixture(scope="session")
def random_photograph() -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Draws probabilities and masks of two classes that agree in part, and a field of view."""

    def draw(seed: int, height: int = 40, width: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        masks = rng.random((height, width, 2)) < (0.2, 0.05)
        probabilities = np.clip(rng.normal(0.3 + 0.3 * masks, 0.2), 0, 1).astype(np.float32)
        return probabilities, masks, rng.random((height, width)) < 0.7

    return draw
