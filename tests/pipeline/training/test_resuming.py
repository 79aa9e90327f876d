"""A training that is killed or asked to stop continues as if nothing had happened."""

import dataclasses
import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from configs import Config, InputError, ModelConfig, UNetConfig
from models import build_network
from pipeline.inference import save_model
from pipeline.training import prepare
from pipeline.training.callbacks import (
    BestWeights,
    EarlyStopping,
    HistoryFiles,
    LearningRate,
    Progress,
    ReduceLROnPlateau,
    Resumable,
)
from pipeline.training.checkpoints import LIST_FILE, load_arrays, load_checkpoint, save_arrays
from tests.pipeline.training.trainings import Trainings, assert_same_training, done_epochs

pytestmark = pytest.mark.slow
EPOCHS = 8
KILLS = 2


@pytest.fixture(scope="module")
def teacher(spec, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "model"
    save_model(folder, build_network(ModelConfig(unet=UNetConfig(width=4, levels=2)), 1), spec(classes=("MA",)))
    return folder


@pytest.fixture(scope="module")
def run_config(config, teacher) -> Config:
    """Many short epochs, with everything that has a state: dropout, averages, patience, the best epoch; a teacher."""
    return dataclasses.replace(
        config,
        model=ModelConfig(unet=UNetConfig(width=4, levels=2, dropout=0.2)),
        train=dataclasses.replace(
            config.train,
            epochs=EPOCHS,
            steps_per_epoch=3,
            learning_rate=1e-2,
            schedule="constant",
            warmup_fraction=0.1,
            reduce_lr_patience=2,
            ema_momentum=0.9,
            teacher=str(teacher),
            previews=0,
            deterministic=True,
        ),
    )


@pytest.fixture(scope="module")
def trainings(run_config, records_set, tmp_path_factory) -> Iterator[Trainings]:
    folder = tmp_path_factory.mktemp("trainings")
    (folder / "config.json").write_text(run_config.to_json())
    trainings = Trainings(folder / "config.json", records_set.folder, folder / "log.txt")
    yield trainings
    trainings.close()


@pytest.fixture(scope="module")
def undisturbed(trainings, tmp_path_factory) -> Path:
    """The workdir of a training that nothing stopped."""
    workdir = tmp_path_factory.mktemp("undisturbed") / "run"
    trainings.start(workdir)
    assert trainings.finish() == 0, trainings.log.read_text()
    return workdir


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_as_the_undisturbed_one(trainings, undisturbed, tmp_path):
    workdir = tmp_path / "run"
    draw = random.Random(0)
    kills = []
    while len(kills) < KILLS:
        trainings.start(workdir)
        # After up to two more epochs, then at any moment of steps, validation, saving.
        trainings.wait_for_epochs(workdir, done_epochs(workdir) + draw.randint(0, 2))
        time.sleep(draw.uniform(0, 0.4))
        trainings.send(signal.SIGKILL)
        assert trainings.finish() == -signal.SIGKILL
        kills.append(done_epochs(workdir))
    print("epochs done at each kill:", kills)
    assert kills[-1] > 0
    trainings.start(workdir)
    assert trainings.finish() == 0
    assert_same_training(undisturbed, workdir)
    assert not list(workdir.rglob(".tmp*"))


def test_a_training_stopped_by_signals_and_a_file_saves_within_an_epoch_and_ends_as_the_undisturbed_one(
    trainings, undisturbed, tmp_path
):
    workdir = tmp_path / "run"
    before = 0
    for sent, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (None, 0)):
        trainings.start(workdir)
        trainings.wait_for_epochs(workdir, before + 1)
        if sent is None:
            (workdir / "stop").touch()
        else:
            trainings.send(sent)
        assert trainings.finish() == code
        assert "everything is saved. Run the same command again to continue." in trainings.log.read_text()
        assert before + 1 <= done_epochs(workdir) < EPOCHS
        assert not (workdir / "stop").exists()
        assert not (workdir / "model").exists()
        before = done_epochs(workdir)
    trainings.start(workdir)
    assert trainings.finish() == 0
    assert f"continues after epoch {before} and" in trainings.log.read_text()
    assert_same_training(undisturbed, workdir)


def test_a_training_that_is_finished_is_left_as_it_is(trainings, undisturbed):
    before = (undisturbed / "model" / "network.keras").stat().st_mtime_ns
    trainings.start(undisturbed)
    assert trainings.finish() == 0
    assert "this training is already finished" in trainings.log.read_text()
    assert (undisturbed / "model" / "network.keras").stat().st_mtime_ns == before


def test_a_workdir_of_another_config_is_refused_by_the_fields(undisturbed, run_config, records_set):
    train = dataclasses.replace(run_config.train, epochs=25, seed=7, cache="none")
    with pytest.raises(
        InputError, match=rf"train\.epochs was {EPOCHS} and is 25; train\.seed was 1 and is 7\. Name another"
    ):
        prepare(dataclasses.replace(run_config, train=train), [records_set.folder], undisturbed)


def test_a_workdir_of_other_records_is_refused(undisturbed, run_config, records_set, shard, tmp_path):
    cases = [records_set.cases[name] for name in "ABDE"]
    shard(tmp_path / "records", cases, records_set.index.data)
    with pytest.raises(InputError, match="holds a run on other records"):
        prepare(run_config, [tmp_path / "records"], undisturbed)


def test_a_workdir_of_another_teacher_at_the_same_path_is_refused(undisturbed, run_config, records_set, spec, teacher):
    kept = (teacher / "network.keras").read_bytes()
    save_model(teacher, build_network(ModelConfig(unet=UNetConfig(width=4, levels=2)), 1), spec(classes=("MA",)))
    with pytest.raises(InputError, match=r"holds a run with another model as train\.teacher\. Name another folder"):
        prepare(run_config, [records_set.folder], undisturbed)
    (teacher / "network.keras").write_bytes(kept)
    assert prepare(run_config, [records_set.folder], undisturbed).plan.finished


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
    assert load_checkpoint(folder).epoch == EPOCHS - 1
    assert newest in capsys.readouterr().err
    (folder / before).unlink()
    with pytest.raises(InputError, match="no checkpoint can be read"):
        load_checkpoint(folder)


STATES = {
    "Progress": {"step": 7, "seconds": 12.5},
    "LearningRate": {"settled": True},
    "EarlyStopping": {"wait": 1, "best": 0.5},
    "ReduceLROnPlateau": {"wait": 2, "best": 0.25},
    "HistoryFiles": {"rows": [{"epoch": 1, "loss": 0.75}]},
    "BestWeights": {"best": 0.5, "epoch": 1},
}


def test_a_checkpoint_of_the_first_version_is_read_and_its_callbacks_restored(tmp_path):
    """Written here as version 0.1 did, without the code under test: names must not change."""
    metadata = {"epoch": 2, "step": 1, "ended": False, "records": "12ab", "monitor": "val_loss", "callbacks": STATES}
    groups = {"weights": [np.arange(3.0), np.ones((2, 2))], "metrics": []}
    named = {f"{name}/{number:05d}": array for name, arrays in groups.items() for number, array in enumerate(arrays)}
    words = {"words": np.array(json.dumps(metadata)), "groups": np.array(json.dumps(list(groups)))}
    np.savez(tmp_path / "epoch_0002_000001.npz", **named, **words)
    np.savez(tmp_path / "best_0001.npz", **{"weights/00000": np.zeros(3)}, **words)
    entry = {"checkpoint": "epoch_0002_000001.npz", "best": "best_0001.npz"}
    (tmp_path / LIST_FILE).write_text(json.dumps([entry]))

    found = load_checkpoint(tmp_path)
    assert (found.epoch, found.step, found.ended, found.records, found.monitor) == (2, 1, False, "12ab", "val_loss")
    assert [array.tolist() for array in found.arrays["weights"]] == [[0, 1, 2], [[1, 1], [1, 1]]]
    progress = Progress(10, None)
    callbacks = [
        progress,
        LearningRate(None, progress),
        EarlyStopping(monitor="val_loss"),
        ReduceLROnPlateau(monitor="val_loss"),
        HistoryFiles(tmp_path),
        BestWeights(tmp_path, "val_loss"),
    ]
    assert all(isinstance(callback, Resumable) for callback in callbacks)
    assert [callback.name for callback in callbacks] == list(STATES)
    for callback in callbacks:
        callback.restore(found.callbacks[callback.name])
        expected = STATES[callback.name]
        assert callback.state() == {
            **expected,
            **({"seconds": pytest.approx(12.5, abs=1)} if callback is progress else {}),
        }


def test_a_disk_that_is_full_while_saving_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "epoch.npz"
    save_arrays(path, {"weights": [np.arange(5)]}, {"epoch": 1})

    def fill_the_disk(file, **arrays):
        Path(file).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        save_arrays(path, {"weights": [np.arange(6)]}, {"epoch": 2})
    arrays, metadata = load_arrays(path)
    assert metadata == {"epoch": 1}
    assert arrays["weights"][0].tolist() == [0, 1, 2, 3, 4]
    assert [file.name for file in tmp_path.iterdir()] == ["epoch.npz"]
