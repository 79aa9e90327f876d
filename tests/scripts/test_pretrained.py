"""The model in pretrained/: its card is true, it finds lesions, and training can start from it."""

import csv
import hashlib
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs import DataConfig
from pipeline.inference import load_segmenter
from records import find_cases, read_labels, read_photograph

MODEL = Path(__file__).parents[2] / "pretrained" / "idrid_lesions"
CARD = (MODEL / "MODEL_CARD.md").read_text()
CLASSES = ("MA", "HE", "EX", "SE", "OD")
DATA = DataConfig(classes=CLASSES)


def test_the_card_is_of_these_very_files():
    spec = json.loads((MODEL / "segmenter.json").read_text())
    (weights,) = re.findall(r"network\.keras, sha256: `([0-9a-f]{64})`", CARD)
    assert weights == hashlib.sha256((MODEL / "network.keras").read_bytes()).hexdigest()
    for name in ("config", "records"):
        (fingerprint,) = re.findall(rf"fingerprint of the {name}: `(\w+)`", CARD)
        assert fingerprint == spec[f"{name}_fingerprint"]
    assert tuple(spec["classes"]) == CLASSES


def test_all_of_it_takes_at_most_nine_mebibytes():
    assert sum(file.stat().st_size for file in MODEL.rglob("*")) <= 9 * 2**20


@pytest.fixture(scope="module")
def predicted(run, way, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("pretrained")
    photographs = way.source / "A. Segmentation" / "1. Original Images" / "b. Testing Set"
    done = run("predict", f"--model={MODEL}", f"--output={output}", photographs)
    assert done.returncode == 0, done.stderr
    assert "2 photographs" in done.stdout
    return output


def test_predict_gives_a_mask_of_every_class_and_an_overlay_of_a_synthetic_photograph(predicted, way):
    height, width = cv2.imread(str(next(way.source.glob("A*/1*/b*/SYN_06.jpg")))).shape[:2]
    for name in CLASSES:
        mask = cv2.imread(str(predicted / "masks" / f"SYN_06_{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (height, width)
        assert set(np.unique(mask)) <= {0, 255}
    assert (predicted / "overlays" / "SYN_06.jpg").is_file()
    assert (predicted / "lesions.csv").is_file()


@pytest.mark.slow
@pytest.mark.skipif("FUNDUS_TILES_IDRID" not in os.environ, reason="FUNDUS_TILES_IDRID is not set")
def test_dice_of_real_photographs_is_what_the_card_says():
    segmenter = load_segmenter(MODEL)
    said = {
        row[0]: [float(cell) for cell in row[1:]]
        for row in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in CARD.partition("## Check it")[2].splitlines()
            if line.startswith("| IDRiD_")
        )
    }
    assert len(said) == 2
    _, cases = find_cases(Path(os.environ["FUNDUS_TILES_IDRID"]), CLASSES)
    for case in (case for case in cases if case.name in said):
        photograph = read_photograph(case.photograph, max_pixels=DATA.max_pixels)
        truth = read_labels(case, photograph.shape[:2], DATA).masks
        found = segmenter.segment(photograph).numpy() >= np.float32(segmenter.spec.thresholds)
        dice = 2 * np.sum(truth & found, axis=(0, 1)) / (np.sum(truth, axis=(0, 1)) + np.sum(found, axis=(0, 1)))
        assert dice == pytest.approx(said.pop(case.name), abs=6e-4), case.name
    assert not said


@pytest.mark.slow
def test_a_training_for_one_of_its_classes_still_finds_the_lesions_after_three_steps(run, way, tmp_path):
    """With other photographs and fewer classes."""
    preset = (
        "--config=configs/idrid_lesions.py",
        "--config.data.classes=('HE',)",
        "--config.train.class_sampling=()",
        "--config.train.paste_classes=()",
        "--config.data.field_diameter=none",
        "--config.data.scale=1.0",
        "--config.segment.tile=512",
    )
    training = (
        "--config.train.epochs=1",
        "--config.train.steps_per_epoch=3",
        "--config.train.batch_size=4",
        "--config.train.crop=256",
        "--config.train.ema_momentum=none",
        "--config.train.validation_steps=1",
        "--config.train.previews=0",
        f"--config.train.initial_model={MODEL}",
    )
    records, source = f"--records={tmp_path / 'records'}", f"--source={way.source}"
    assert run("shard", *preset, source, records).returncode == 0
    done = run("train", *preset, *training, records, source, f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    assert "without those of its head for MA, EX, SE, OD" in done.stdout
    with open(tmp_path / "run" / "history.csv", newline="") as file:
        (epoch,) = csv.DictReader(file)
    assert float(epoch["val_photo_aupr"]) > 0.8  # by chance it would be 0.015, with a new head not much more
