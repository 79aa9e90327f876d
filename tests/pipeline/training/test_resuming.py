"""A training that is killed, or asked to stop, goes on as if nothing had been."""

import csv
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from configs import Config, InputError, ModelConfig, UNetConfig
from pipeline.training.checkpoints import LIST_FILE, load_arrays, load_checkpoint, save_arrays
from pipeline.training.fit import prepare

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
KILLS = 10


@pytest.fixture(scope="module")
def run_config(config) -> Config:
    """Many short epochs, with all that has a state: dropout, averages, a schedule of patience, the best epoch."""
    return dataclasses.replace(
        config,
        model=ModelConfig(unet=UNetConfig(width=4, levels=2, dropout=0.2)),
        train=dataclasses.replace(
            config.train,
            epochs=24,
            steps_per_epoch=3,
            learning_rate=1e-2,
            schedule="constant",
            warmup_fraction=0.1,
            reduce_lr_patience=2,
            ema_momentum=0.9,
            previews=0,
            deterministic=True,
        ),
    )


@pytest.fixture(scope="module")
def config_file(run_config, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("configs") / "config.json"
    path.write_text(run_config.to_json())
    return path


@pytest.fixture(scope="module")
def undisturbed(config_file, records_set, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("undisturbed") / "run"
    assert finish(start(config_file, records_set.folder, workdir)) == 0
    return workdir


def start(config_file: Path, records: Path, workdir: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "scripts.train", f"--config={config_file}", f"--records={records}"]
    return subprocess.Popen(
        [*words, f"--workdir={workdir}"],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> int:
    output, _ = process.communicate(timeout=300)
    assert process.returncode in (0, 130, 143), output
    return process.returncode


def history(workdir: Path) -> list[dict[str, str]]:
    with open(workdir / "history.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def wait_for_epochs(process: subprocess.Popen, workdir: Path, epochs: int) -> None:
    """Waits until the list names the checkpoint of that many epochs, or the process is over."""
    while process.poll() is None and done_epochs(workdir) < epochs:
        time.sleep(0.02)


def done_epochs(workdir: Path) -> int:
    path = workdir / "checkpoints" / LIST_FILE
    return int(json.loads(path.read_text())[0]["checkpoint"].split("_")[1]) if path.exists() else 0


def assert_same_training(one: Path, two: Path) -> None:
    assert history(one) == history(two)
    (first, words), (second, other_words) = (load_arrays(last_file(workdir)) for workdir in (one, two))
    assert words["callbacks"]["BestWeights"] == other_words["callbacks"]["BestWeights"]
    for group, arrays in first.items():
        assert len(arrays) == len(second[group])
        for array, other in zip(arrays, second[group], strict=True):
            np.testing.assert_array_equal(array, other, err_msg=group)
    assert (one / "model" / "network.keras").exists()
    assert (two / "model" / "network.keras").exists()


def last_file(workdir: Path) -> Path:
    folder = workdir / "checkpoints"
    return folder / json.loads((folder / LIST_FILE).read_text())[0]["checkpoint"]


def test_a_training_killed_at_random_moments_ends_as_the_undisturbed_one(
    undisturbed, config_file, records_set, tmp_path
):
    workdir = tmp_path / "run"
    draw = random.Random(0)
    kills = []
    while len(kills) < KILLS:
        process = start(config_file, records_set.folder, workdir)
        # Up to two epochs more, and then at any moment of steps, validation, saving.
        wait_for_epochs(process, workdir, done_epochs(workdir) + draw.randint(0, 2))
        time.sleep(draw.uniform(0, 0.4))
        assert process.poll() is None, process.communicate()[0]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills.append(done_epochs(workdir))
    print("epochs done at each kill:", kills)
    assert kills[-1] > 5
    assert finish(start(config_file, records_set.folder, workdir)) == 0
    assert_same_training(undisturbed, workdir)
    assert not list(workdir.rglob(".tmp*"))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (None, 0)])
def test_a_training_that_is_asked_to_stop_saves_in_the_middle_of_an_epoch_and_ends_as_the_undisturbed_one(
    undisturbed, config_file, records_set, tmp_path, sent, code
):
    workdir = tmp_path / "run"
    process = start(config_file, records_set.folder, workdir)
    wait_for_epochs(process, workdir, 4)
    if sent is None:
        (workdir / "stop").touch()
    else:
        process.send_signal(sent)
    assert finish(process) == code
    assert 4 <= done_epochs(workdir) < 24
    assert not (workdir / "stop").exists()
    assert not (workdir / "model").exists()
    assert finish(start(config_file, records_set.folder, workdir)) == 0
    assert_same_training(undisturbed, workdir)


def test_a_training_that_is_over_is_left_as_it_is(undisturbed, config_file, records_set):
    before = (undisturbed / "model" / "network.keras").stat().st_mtime_ns
    process = start(config_file, records_set.folder, undisturbed)
    assert "this training is over" in process.communicate(timeout=120)[0]
    assert (undisturbed / "model" / "network.keras").stat().st_mtime_ns == before


def test_a_workdir_of_another_config_is_refused_by_the_fields(undisturbed, run_config, records_set):
    train = dataclasses.replace(run_config.train, epochs=25, seed=7, cache="none")
    with pytest.raises(InputError, match=r"train\.epochs was 24 and is 25; train\.seed was 1 and is 7\. Name another"):
        prepare(dataclasses.replace(run_config, train=train), [records_set.folder], undisturbed)


def test_a_workdir_of_other_records_is_refused(undisturbed, run_config, records_set, shard, tmp_path):
    cases = [records_set.cases[name] for name in "ABDE"]
    shard(tmp_path / "records", cases, records_set.index.data)
    with pytest.raises(InputError, match="holds a run on other records"):
        prepare(run_config, [tmp_path / "records"], undisturbed)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(undisturbed, tmp_path, capsys):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for file in (undisturbed / "checkpoints").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    newest, before = (entry["checkpoint"] for entry in json.loads((folder / LIST_FILE).read_text()))
    content = bytearray((folder / newest).read_bytes())
    # Longer than what no checksum covers, the head of a member of the zip file.
    for place in range(len(content) // 2, len(content) // 2 + 500):
        content[place] ^= 255
    (folder / newest).write_bytes(content)
    assert load_checkpoint(folder).epoch == 23
    assert newest in capsys.readouterr().err
    (folder / before).unlink()
    with pytest.raises(InputError, match="no checkpoint can be read"):
        load_checkpoint(folder)


def test_a_disk_that_is_full_while_saving_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "epoch.npz"
    save_arrays(path, {"weights": [np.arange(5)]}, {"epoch": 1})

    def fill_the_disk(file, **arrays):
        Path(file).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        save_arrays(path, {"weights": [np.arange(6)]}, {"epoch": 2})
    arrays, words = load_arrays(path)
    assert words == {"epoch": 1}
    assert arrays["weights"][0].tolist() == [0, 1, 2, 3, 4]
    assert [file.name for file in tmp_path.iterdir()] == ["epoch.npz"]
