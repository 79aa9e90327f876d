"""Training from records to a workdir: the files it leaves, that its numbers are right, and how it ends."""

import csv
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import InputError, ModelConfig, UNetConfig, loading
from pipeline.inference import load_segmenter
from pipeline.input import tiles_of_split
from pipeline.training import fit, prepare
from pipeline.training.checkpoints import LIST_FILE, best_file, load_arrays, save_arrays
from records import read_index

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def history(trained) -> list[dict[str, float]]:
    return read_history(trained.workdir)


@pytest.fixture(scope="module")
def still(config):
    """A config whose loss cannot improve: no normalization, and steps too small to move a float32 weight."""
    return dataclasses.replace(
        config,
        model=ModelConfig(unet=UNetConfig(width=4, levels=2, normalization="none")),
        train=dataclasses.replace(config.train, epochs=9, learning_rate=1e-30, schedule="constant", previews=0),
    )


@pytest.fixture(scope="module")
def stalled(train, still, records_set, tmp_path_factory):
    """Such a training, with everything that waits for an improvement."""
    chosen = with_train(still, early_stopping_patience=4, reduce_lr_patience=1, reduce_lr_factor=0.25)
    return train(chosen, records_set.folder, tmp_path_factory.mktemp("stalled") / "run")


def read_history(workdir: Path) -> list[dict[str, float]]:
    with open(workdir / "history.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def with_train(config, **fields):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **fields))


def loss_of_tiles(network: keras.Model, tiles: tf.data.Dataset) -> tuple[float, float]:
    """The mean (BCE + 1 - Dice) / 2 and the mean Dice over single tiles, in float64."""
    losses, dices = [], []
    for image, mask in tiles.as_numpy_iterator():
        p = network(image[None], training=False).numpy()[0].astype(np.float64)
        y = mask.astype(np.float64)
        bce = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        both, total = (y * p).sum(axis=(0, 1)), y.sum(axis=(0, 1)) + p.sum(axis=(0, 1))
        dices.append(np.mean((2 * both + 1) / (total + 1)))
        losses.append((bce + 1 - dices[-1]) / 2)
    return np.mean(losses), np.mean(dices)


def test_the_workdir_has_all_files_of_a_run(trained):
    names = {path.name for path in trained.workdir.iterdir()}
    files = {"config.json", "environment.json", "history.csv", "curves.png"}
    assert names == {*files, "checkpoints", "tensorboard", "previews", "model"}
    assert cv2.imread(str(trained.workdir / "curves.png")) is not None
    assert {path.name for path in trained.model.iterdir()} == {"load.py", "network.keras", "segmenter.json"}
    assert list((trained.workdir / "tensorboard").rglob("events.out.tfevents.*"))
    best = {f"best_{epoch:04d}.npz" for epoch in (1, 2)}
    epochs = {"checkpoints.json", "epoch_0001_000000.npz", "epoch_0002_000000.npz"}
    assert epochs <= {path.name for path in (trained.workdir / "checkpoints").iterdir()} <= epochs | best
    assert not list(trained.workdir.rglob(".tmp*"))


def test_config_json_is_the_config_of_the_run(trained, config):
    assert loading.load_config(str(trained.workdir / "config.json")) == config


def test_environment_json_has_versions_config_and_records(trained, config, records_set):
    environment = json.loads((trained.workdir / "environment.json").read_text())
    assert environment["tensorflow"] == tf.__version__
    assert environment["keras"] == keras.__version__
    assert environment["config_fingerprint"] == config.fingerprint()
    assert environment["records_fingerprint"] == records_set.index.fingerprint
    assert environment["parameters"] == trained.run.network.count_params()


def test_history_has_a_row_per_epoch_and_the_loss_only_once(trained, history, config):
    assert [row["epoch"] for row in history] == [1, 2]
    assert {"loss", "val_loss", "dice_coef", "val_dice_coef", "learning_rate"} <= set(history[0])
    assert not {config.train.loss, f"val_{config.train.loss}"} & set(history[0])
    assert all(np.isfinite(value) for row in history for value in row.values())


def test_the_learning_rate_falls_along_a_cosine(trained, history, config):
    assert config.train.schedule == "cosine"
    steps = trained.run.plan.steps
    fractions = [(steps - 1) / (2 * steps), (2 * steps - 1) / (2 * steps)]  # before the last step of each epoch
    expected = [config.train.learning_rate * (1 + np.cos(np.pi * fraction)) / 2 for fraction in fractions]
    assert [row["learning_rate"] for row in history] == pytest.approx(expected, rel=1e-5)


def test_previews_of_every_epoch_and_a_strip_show_the_validation_photographs(trained, config):
    assert config.train.previews == 3  # but two photographs have tiles
    files = {str(path.relative_to(trained.workdir / "previews")) for path in trained.workdir.glob("previews/**/*.png")}
    assert files == {"D.png", "E.png", *(f"{name}/epoch_00{epoch}.png" for name in "DE" for epoch in (1, 2))}
    assert cv2.imread(str(trained.workdir / "previews" / "D.png")) is not None


def test_an_epoch_takes_exactly_its_steps(stalled, records_set):
    """No phantom step: a finite dataset whose length Keras does not know gets one more, on nothing, in each epoch."""
    tiles, batch_size = records_set.index.splits["train"].records, stalled.run.plan.config.train.batch_size
    assert tiles % batch_size != 0  # else the test could not see a last batch too many
    assert stalled.run.plan.steps == tiles // batch_size
    assert int(stalled.run.model.optimizer.iterations) == 5 * stalled.run.plan.steps


def test_early_stopping_ends_a_training_that_no_longer_improves(stalled):
    assert len(read_history(stalled.workdir)) == 5  # the first was the best, then four without improvement


def test_the_learning_rate_falls_when_the_loss_no_longer_improves(stalled):
    rates = [row["learning_rate"] for row in read_history(stalled.workdir)]
    assert rates == pytest.approx([1e-30, 1e-30, 0.25e-30, 0.25**2 * 1e-30, 0.25**3 * 1e-30], rel=1e-4, abs=0)


def test_keras_still_takes_a_phantom_step_on_a_dataset_of_unknown_length():
    """When this fails, the stated cardinality of `pipeline.input.stream` may go."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    known = tf.data.Dataset.from_tensor_slices((np.ones((6, 1)), np.ones((6, 1)))).batch(2)
    unknown = known.filter(lambda x, y: True)
    with pytest.warns(UserWarning, match="Your input ran out of data"):
        model.fit(unknown, epochs=2, shuffle=False, verbose=0)
    phantom = int(model.optimizer.iterations) - 2 * 3
    model.fit(unknown.apply(tf.data.experimental.assert_cardinality(3)), epochs=2, shuffle=False, verbose=0)
    assert phantom > 0
    assert int(model.optimizer.iterations) == 2 * 3 + phantom + 2 * 3


def test_val_loss_is_the_mean_over_real_tiles_though_the_last_batch_is_padded(trained, history, config, records_set):
    tiles = records_set.index.splits["validation"].records
    assert tiles % config.train.batch_size != 0
    best = min(history, key=lambda row: row["val_loss"])  # the network has the weights of that epoch
    found = tiles_of_split(records_set.sets, "validation")
    loss, dice = loss_of_tiles(trained.run.network, found)
    assert best["val_loss"] == pytest.approx(loss, abs=1e-5)
    assert best["val_dice_coef"] == pytest.approx(dice, abs=1e-5)


def test_keras_still_divides_the_loss_by_the_padding_too(trained, config, history):
    """When this fails, `PaddedValidationLoss`, and the loss as a metric, may go."""
    validation = trained.run.validation
    values = trained.run.model.evaluate(validation, return_dict=True, verbose=0)
    assert values[config.train.loss] == pytest.approx(min(row["val_loss"] for row in history), abs=1e-6)
    assert values["loss"] < 0.95 * values[config.train.loss]


def test_the_model_folder_has_the_weights_of_the_best_epoch(trained):
    loaded = load_segmenter(trained.model).network
    for one, two in zip(loaded.get_weights(), trained.run.network.get_weights(), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.slow
def test_a_training_that_an_earlier_version_ended_without_a_best_epoch_goes_on(train, trained, records_set, tmp_path):
    workdir = Path(shutil.copytree(trained.workdir, tmp_path / "run"))
    shutil.rmtree(workdir / "model")
    (workdir / "checkpoints" / "epoch_0002_000000.npz").unlink()
    path = workdir / "checkpoints" / "epoch_0001_000000.npz"
    arrays, metadata = load_arrays(path)
    metadata["callbacks"]["BestWeights"] = {"best": None, "epoch": 0}
    save_arrays(path, arrays, metadata | {"ended": True})
    (workdir / "checkpoints" / LIST_FILE).write_text(json.dumps([{"checkpoint": path.name, "best": best_file(0)}]))
    again = train(trained.run.plan.config, records_set.folder, workdir)
    assert [row["epoch"] for row in read_history(workdir)] == [1, 2]
    assert load_segmenter(again.model).spec.splits == load_segmenter(trained.model).spec.splits


def test_without_validation_the_last_epoch_is_kept(train, config, records_set, shard, tmp_path):
    data = dataclasses.replace(records_set.index.data, validation_fraction=0.0)
    shard(tmp_path / "records", [records_set.cases[name] for name in "AB"], data)
    chosen = dataclasses.replace(with_train(config, early_stopping_patience=1, epochs=2), data=data)
    run = train(chosen, tmp_path / "records", tmp_path / "run")
    assert run.run.validation is None
    assert not [name for row in read_history(run.workdir) for name in row if name.startswith("val_")]
    assert len(read_history(run.workdir)) == 2
    assert not list((run.workdir / "previews").iterdir())
    assert load_segmenter(run.model).spec.splits == {"train": ["A", "B"]}


def test_validation_tiles_without_a_lesion_are_drawn_too(train, still, records_set, shard, tmp_path):
    data = records_set.index.data
    lonely = dataclasses.replace(records_set.cases["C"], split="validation")
    shard(tmp_path / "records", [records_set.cases["A"], lonely], data)
    assert read_index(tmp_path / "records").splits["validation"].records > 0
    chosen = with_train(still, epochs=1, steps_per_epoch=1, previews=3)
    run = train(chosen, tmp_path / "records", tmp_path / "run")
    assert len(read_history(run.workdir)) == 1
    assert [path.name for path in (run.workdir / "previews").rglob("*.png")] == ["C.png", "epoch_001.png"]


def test_a_training_that_diverges_ends_with_the_step_and_what_to_do(train, config, records_set, tmp_path):
    """The first step is still of the weights as drawn; the second is lost, and its batch can be looked at."""
    chosen = with_train(config, learning_rate=1e30, schedule="constant", epochs=1, previews=0)
    with pytest.raises(InputError, match=r"loss is nan in step 1 .*scripts\.inspect --config=.* --step=1 "):
        train(chosen, records_set.folder, tmp_path / "run")


def test_a_workdir_whose_name_a_file_has_is_refused(config, records_set, tmp_path):
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(InputError, match="--workdir="):
        fit(prepare(config, [records_set.folder], tmp_path / "run"), verbose=0)


# Trains. Before that, if a second config is given, prints the number of different gradients of one batch and the number
# of threads between ops; so nothing but `prepare` has started TensorFlow then.
DETERMINISTIC = """
import sys
from pathlib import Path
import tensorflow as tf
from configs.loading import load_config
from pipeline.training import fit, prepare
from pipeline.training.checkpoints import LIST_FILE, best_file, load_arrays, save_arrays

records, workdir, config, *others = sys.argv[1:]
for path in others:
    run = prepare(load_config(path), [Path(records)], Path(workdir))
    images, masks = next(iter(run.training))
    images, masks = (tf.image.resize(one, [256, 256]) for one in (images, masks))

    @tf.function(jit_compile=False)
    def step():
        with tf.GradientTape() as tape:
            loss = run.model.compute_loss(images, masks, run.model(images, training=True))
        return loss, tape.gradient(loss, run.model.trainable_variables)

    gradients = {b"".join(one.numpy().tobytes() for one in tf.nest.flatten(step())) for _ in range(20)}
    print("RESULT", len(gradients), tf.config.threading.get_inter_op_parallelism_threads(), flush=True)
fit(prepare(load_config(config), [Path(records)], Path(workdir)), verbose=0)
"""


@pytest.fixture(scope="module")
def deterministic(config, records_set, tmp_path_factory) -> tuple[list[str], Path, Path]:
    """What the script prints, and the workdirs of a training in two processes, the first of which does more before."""
    base = tmp_path_factory.mktemp("deterministic")
    train = dataclasses.replace(config.train, deterministic=True, previews=0)
    unet = UNetConfig(width=4, levels=3, dropout=0.1)  # dropout and augmentation draw
    for name, one in (("train", unet), ("gradients", UNetConfig(width=8, levels=3))):
        chosen = dataclasses.replace(config, model=ModelConfig(unet=one), train=train)
        (base / f"{name}.json").write_text(chosen.to_json())
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", DETERMINISTIC, records_set.folder, workdir, base / "train.json", *others],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "random"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for workdir, others in ((base / "one", [base / "gradients.json"]), (base / "two", []))
    ]
    printed = []
    for run in runs:
        output, errors = run.communicate(timeout=400)
        assert run.returncode == 0, errors[-2000:]
        printed += [line for line in output.splitlines() if line.startswith("RESULT")]
    return printed, base / "one", base / "two"


@pytest.mark.slow
def test_a_deterministic_training_gives_the_same_history_and_weights_in_two_processes(deterministic):
    _, *workdirs = deterministic
    one, two = ([{**row, "seconds": 0} for row in read_history(workdir)] for workdir in workdirs)
    assert one == two
    weights = [load_segmenter(workdir / "model").network.get_weights() for workdir in workdirs]
    assert all(np.array_equal(*pair) for pair in zip(*weights, strict=True))


@pytest.mark.slow
def test_deterministic_means_the_same_bits_however_ops_are_scheduled(deterministic):
    assert deterministic[0] == ["RESULT 1 1"]
