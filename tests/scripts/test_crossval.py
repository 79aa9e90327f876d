"""The crossval command: one real fold that is stopped and resumed, and command lines that are refused."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CONFIG = (
    "--config=tests/scripts/tiny_preset.py",
    "--config.data.tile=64",
    "--config.data.stride=64",
    "--config.model.unet.levels=2",
    "--config.model.unet.width=8",
    "--config.train.batch_size=2",
    "--config.train.steps_per_epoch=10",
    "--config.train.epochs=4",
    "--config.train.max_minutes=10",
    "--config.train.previews=0",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Writes six training photographs and a test photograph, paired with masks of a lesion each."""
    folder = tmp_path_factory.mktemp("crossval") / "source"
    for part, names in {"train": "abcdef", "test": "t"}.items():
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True)
        for number, name in enumerate(names):
            mask = np.zeros((96, 80), np.uint8)
            cv2.circle(mask, (20 + 7 * number, 40), 6 + number, 255, -1)
            light = np.random.default_rng(ord(name)).normal(150 - 70 * (mask > 0), 5)
            cv2.imwrite(str(folder / part / "images" / f"{name}.png"), np.dstack([light] * 3).astype(np.uint8))
            cv2.imwrite(str(folder / part / "masks" / f"{name}.png"), mask)
    return folder


@pytest.mark.slow
def test_a_stopped_fold_is_resumed_scored_out_of_fold_and_then_skipped(run, source, tmp_path):
    workdir = tmp_path / "workdir"
    arguments = [*CONFIG, f"--source={source}", f"--workdir={workdir}", "--folds=2", "--only=1"]
    command = [sys.executable, "-m", "scripts.crossval", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as first:
        before = []
        for line in first.stdout:
            before.append(line)
            if line.startswith("epoch 1/"):
                first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 143, "".join(before)
    assert "stopped; run the same command again to resume." in before[-1]
    assert any("up to 10 minutes per fold, 10 minutes for 1 of them" in line for line in before)
    assert not (workdir / "crossval.json").exists()

    second = run("crossval", *arguments)
    assert second.returncode == 0, second.stdout + second.stderr
    assert sum(line.startswith("epoch 1/") for line in [*before, *second.stdout.splitlines()]) == 1
    assert "out of fold, from 1 of 2 folds, 3 of 6 photographs" in second.stdout
    content = json.loads((workdir / "crossval.json").read_text())
    with open(workdir / "folds.csv", newline="") as file:
        held_out = {row["case"] for row in csv.DictReader(file) if row["fold"] == "1"}
    spec = json.loads((workdir / "fold_1" / "run" / "model" / "segmenter.json").read_text())
    assert set(spec["splits"]["test"]) == held_out
    assert held_out.isdisjoint(spec["splits"]["train"] + spec["splits"]["validation"])
    assert set().union(*spec["splits"].values()) == set("abcdef")  # t, of the source's test part, is nowhere
    with open(workdir / "photographs.csv", newline="") as file:
        assert {row["case"] for row in csv.DictReader(file)} == held_out
    assert content["by_fold"][0]["threshold_source"] == "validation"
    assert "no thresholds and least areas chosen: one fold is finished" in second.stdout
    with np.load(workdir / "fold_1" / "result" / "0" / "counts.npz") as counts:
        assert {"sweep_areas", "0/sweeps", "2/sweeps"} <= set(counts)
    assert sum(file.stat().st_size for file in (workdir / "fold_1" / "result").rglob("*")) < 1e6

    third = run("crossval", *arguments)
    assert third.returncode == 0 and "fold 1: finished already." in third.stdout
    assert json.loads((workdir / "crossval.json").read_text()) == content


def test_wrong_command_lines_are_refused_in_one_line_before_any_work(run, source, tmp_path):
    with_source = (*CONFIG, f"--source={source}")
    wrong = {
        (*with_source, "--folds=1"): "--folds=1",
        (*with_source, "--folds=7"): "folds must be 2 to the number of cases or patients (6); received 7",
        (*with_source, "--only=0,5"): "--only must be numbers of folds, 0 to 4, separated by commas; received 0,5",
        CONFIG: "--source is required",
        (): "no finished fold there",
        ("--only=1",): "--only, --patients, --threshold and --min_area are for running folds, which needs --config and",
    }
    workdir = tmp_path / "workdir"
    for arguments, message in wrong.items():
        done = run("crossval", f"--workdir={workdir}", *arguments)
        assert done.returncode == 2, done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and message in errors[0] and "Traceback" not in done.stderr
    assert not workdir.exists()


def test_a_workdir_alone_pools_the_finished_folds_again(run, tmp_path):
    earlier = ROOT / "tests" / "pipeline" / "data" / "earlier_crossval"
    workdir = Path(shutil.copytree(earlier, tmp_path / "workdir"))
    (workdir / "crossval.json").unlink()
    done = run("crossval", f"--workdir={workdir}")
    assert done.returncode == 0 and "from 2 of 2 folds" in done.stdout
    assert f"see: {workdir}/{{report.html,crossval.json," in done.stdout
    assert "To choose them, remove fold_0/result" in (workdir / "report.html").read_text()
    assert json.loads((workdir / "crossval.json").read_text())["finished"] == [0, 1]
    assert "To choose them, remove fold_0/result, fold_1/result and run the same crossval command again" in done.stdout
    assert (workdir / "operating_points.csv").read_text().startswith("class,scored_at,taken,threshold,min_area,dice,")
    assert "scripts.ensemble" not in done.stdout  # the models of the folds are not there
    for fold in (0, 1):
        (workdir / f"fold_{fold}" / "run" / "model").mkdir(parents=True)
        (workdir / f"fold_{fold}" / "run" / "model" / "segmenter.json").write_text("{}")
    again = run("crossval", f"--workdir={workdir}")
    assert f"  python -m scripts.ensemble '--models={workdir}/fold_*/run/model' --output={workdir}/ens" in again.stdout
    assert f"  python -m scripts.calibrate --model={workdir}/ensemble --results={workdir} --output=" in again.stdout
