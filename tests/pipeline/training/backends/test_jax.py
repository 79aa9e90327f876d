"""Training on JAX gives the steps, files and scores of TensorFlow; a child process segments whole photographs."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf

from configs import Config, DataConfig, ModelConfig, TrainConfig, UNetConfig
from configs.loading import load_config
from models import FusedBatchNormalization, Network, build_network
from pipeline.inference import load_segmenter, save_model
from pipeline.training.backends.tensorflow_step import TrainStepModel
from pipeline.training.callbacks import FrozenEncoder
from pipeline.training.checkpoints import load_arrays
from pipeline.training.run import compile_model
from pipeline.training.teacher import load_teacher
from records import find_cases, sweep_temporaries
from tests.pipeline.training.trainings import done_epochs, history, last_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed; pip install '.[jax]'"),
]
ROOT = Path(__file__).parents[4]
ENVIRONMENT = {
    **os.environ,
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiles in a fraction of the time
    "TF_CPP_MIN_LOG_LEVEL": "2",
}

EPOCHS = 4
SMALL = ModelConfig(unet=UNetConfig(width=4, levels=2, normalization="batch"))
PLAIN = TrainConfig(
    batch_size=8, strategy="cpus:2", optimizer="sgd", learning_rate=0.01, schedule="constant", momentum=0.9
)
VARIANTS = {
    "sgd": PLAIN,
    "adamw in micro-batches, frozen at first, clipped, averaged, taught, much unknown": dataclasses.replace(
        PLAIN,
        teacher="TEACHER",
        teacher_temperature=2.0,
        optimizer="adamw",
        learning_rate=1e-3,
        micro_batches=2,
        frozen_encoder_epochs=1,
        ema_momentum=0.9,
        global_clipnorm=0.1,
    ),
}
# A network of three layers, which compiles in a moment, and its training for two epochs of two steps, with the first
# two of them in place of an encoder; for JAX and, in this process, for TensorFlow.
FIT = """
def small_network():
    image = keras.Input((None, None, 3))
    # Without a bias, which the normalisation would cancel: its gradient would be rounding alone, and Adam follows that.
    hidden = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(image / 255)
    hidden = FusedBatchNormalization()(hidden)
    hidden = keras.layers.ReLU()(hidden)
    return Network(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(hidden))

def labels_of(train):
    known = np.ones_like(masks)
    known[:3] = known[3, :5] = known[5, 4:] = known[6] = 0
    return np.append(masks * known, known, axis=-1) if train.teacher else masks

def fit(model, network, train):
    frozen = FrozenEncoder(network, train.frozen_encoder_epochs)
    frozen.layers = network.layers[2:4]
    assert sum(len(layer.trainable_weights) for layer in frozen.layers)
    batches = tf.data.Dataset.from_tensors((images, labels_of(train))).repeat()
    history = model.fit(batches, steps_per_epoch=2, epochs=2, shuffle=False, verbose=0, callbacks=[frozen]).history
    if model.averages:
        model.averages.swap()
    return [*model.get_weights(), np.array(history["loss"])]
"""
# Starts from the same weights on one device and on two, and saves them and what they came to. Then measures the memory
# of a plain step, whole and in two parts.
STEPS = f"""
import dataclasses, sys
import jax, keras, numpy as np, tensorflow as tf
from configs.loading import load_config
from models import FusedBatchNormalization, Network
from pipeline.training.checkpoints import save_arrays
from pipeline.training.backends.jax_devices import choose_devices
from pipeline.training.callbacks import FrozenEncoder
from pipeline.training.backends.jax_step import TrainStepModel
from pipeline.training.run import compile_model
from pipeline.training.teacher import load_teacher
from pathlib import Path

images, masks = (np.load(path) for path in sys.argv[1:3])
{FIT}

def build(config):
    keras.utils.set_random_seed(1)
    network = small_network()
    loaded = load_teacher(Path(config.train.teacher), config) if config.train.teacher else None
    model = TrainStepModel(network, config.train, loaded.teacher if loaded else None)
    compile_model(model, config, xla=True)
    return model, network

configs = [load_config(path) for path in sys.argv[3:]]
choose_devices(configs[0].train)
two_devices = keras.distribution.distribution()
for path, config in zip(sys.argv[3:], configs):
    arrays = {{}}
    for devices, distribution in (("one", None), ("two", two_devices)):
        keras.distribution.set_distribution(distribution)
        model, network = build(config)
        arrays["start"] = model.get_weights()
        arrays[devices] = fit(model, network, config.train)
    save_arrays(Path(path).with_suffix(".npz"), arrays, {{}})

keras.distribution.set_distribution(None)
memories = []
for parts in (1, 2):
    config = dataclasses.replace(configs[0], train=dataclasses.replace(configs[0].train, micro_batches=parts))
    model, _ = build(config)
    model.compute_metrics(None, masks, masks)
    groups = [model.trainable_variables, model.non_trainable_variables, model.optimizer.variables]
    state = tuple([variable.value for variable in group] for group in [*groups, model.metrics_variables])
    memory = jax.jit(model.train_step).lower(state, (images, masks, None)).compile().memory_analysis()
    memories.append(np.array(memory.temp_size_in_bytes))
save_arrays(Path(sys.argv[1]).with_name("memory.npz"), {{"memory": memories}}, {{}})
"""


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory) -> Iterator[None]:
    """Lets the processes compile a step once for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENVIRONMENT, "JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setitem(ENVIRONMENT, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


def run(script: str, *arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    return images, (images[..., :1] > 200).astype(np.float32)


@pytest.fixture(scope="module")
def variants(spec, tmp_path_factory) -> dict[str, Config]:
    teacher = tmp_path_factory.mktemp("teacher") / "model"
    save_model(teacher, build_network(SMALL, 1), spec())
    trains = {
        name: dataclasses.replace(train, teacher=train.teacher and str(teacher)) for name, train in VARIANTS.items()
    }
    return {name: Config(train=train) for name, train in trains.items()}


@pytest.fixture(scope="module")
def stepped(batch, variants, tmp_path_factory) -> dict[str, dict[str, list[np.ndarray]]]:
    """By variant: the weights at the start, and on one and two devices the weights and losses at the end."""
    folder = tmp_path_factory.mktemp("steps")
    paths = [folder / name for name in ("images.npy", "masks.npy", *(f"{n}.json" for n in range(len(VARIANTS))))]
    for path, array in zip(paths, batch, strict=False):
        np.save(path, array)
    for path, config in zip(paths[2:], variants.values(), strict=True):
        path.write_text(config.to_json())
    run(STEPS, *paths)
    written = {**dict(zip(VARIANTS, paths[2:], strict=True)), "memory": folder / "memory"}
    return {name: load_arrays(path.with_suffix(".npz"))[0] for name, path in written.items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_steps_are_those_of_tensorflow_also_while_layers_are_frozen(stepped, batch, variants, name):
    config = variants[name]
    known = {
        "keras": keras,
        "np": np,
        "tf": tf,
        "images": batch[0],
        "masks": batch[1],
        "FrozenEncoder": FrozenEncoder,
        "FusedBatchNormalization": FusedBatchNormalization,
        "Network": Network,
    }
    exec(FIT, known)
    network = known["small_network"]()
    loaded = load_teacher(Path(config.train.teacher), config) if config.train.teacher else None
    model = TrainStepModel(network, config.train, loaded.teacher if loaded else None)
    compile_model(model, config, xla=False)
    model.set_weights(stepped[name]["start"])
    if model.averages:
        for average, weight in zip(model.averages.variables_kept, model.weights, strict=True):
            average.assign(weight.value)
    for array, other in zip(stepped[name]["one"], known["fit"](model, network, config.train), strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_two_devices_give_the_weights_of_one(stepped, name):
    moved = [np.abs(a - b).max() for a, b in zip(stepped[name]["one"], stepped[name]["start"], strict=False)]
    assert max(moved) > 1e-3
    for array, other in zip(stepped[name]["one"], stepped[name]["two"], strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-4, atol=2e-5)


def test_micro_batches_take_less_memory(stepped):
    whole, halves = stepped["memory"]["memory"]
    assert halves < 0.75 * whole  # of a network whose maps are hardly larger than its masks


# A network's probability map on JAX and by the child, before and after its weights change; the errors, one of them of a
# second child that misses a photograph; and the end by SIGKILL while the first child waits.
CHILD = """
import json, os, signal, sys
from pathlib import Path
import keras, numpy as np
import psutil
from configs import InputError, TrainConfig
from configs.loading import load_config
from models import build_network
from pipeline.training.backends import jax_devices
from pipeline.training.segmenter_process import SegmenterProcess
from pipeline.inference import SegmenterSpec, save_model
from records import Case

folder = Path(sys.argv[1])
config = load_config(str(folder / "config.json"))
photograph = np.load(folder / "photograph.npy")
keras.utils.set_random_seed(3)
network = build_network(config.model, len(config.data.classes))
spec = SegmenterSpec.from_config(config, {})
segmenter = SegmenterProcess(network, spec, config, folder=folder)

def maps():
    return [np.asarray(network(photograph[None].astype("float32"), training=False))[0], segmenter.segment(photograph)]

first = maps()
rng = np.random.default_rng(3)
network.set_weights([one + rng.uniform(0, 0.2, one.shape) for one in network.get_weights()])
second = maps()
save_model(folder / "model", network, spec)
np.savez(folder / "maps.npz", *first, *second)

refused = []
def refuse(function, *arguments):
    try:
        function(*arguments)
    except InputError as error:
        refused.append(str(error))

failing = SegmenterProcess(network, spec, config, folder=folder)
refuse(failing.count, [Case("GONE", folder / "gone.png", dict.fromkeys(config.data.classes), "validation")])
failing.close()
refuse(jax_devices.choose_devices, TrainConfig(strategy="mirrored"))
refuse(jax_devices.choose_devices, TrainConfig(strategy="cpus:3", batch_size=8))
refuse(jax_devices.choose_xla, TrainConfig(xla="off"), None, network)
(child,) = psutil.Process().children()
(folder / "child").write_text(str(child.pid))
(folder / "refused.json").write_text(json.dumps(refused))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def child_folder(fundus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("child")
    np.save(folder / "photograph.npy", fundus(64, 64, seed=4).photograph)
    data = DataConfig(classes=("HE", "MA"), tile=64, stride=64)
    (folder / "config.json").write_text(Config(data=data, model=SMALL).to_json())
    run(CHILD, folder, code=-signal.SIGKILL)
    return folder


def test_the_childs_map_is_the_networks_and_follows_its_weights(child_folder):
    with np.load(child_folder / "maps.npz") as maps:
        first, by_child, second, by_child_later = maps.values()
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_allclose(by_child, first, atol=5e-6)
    np.testing.assert_allclose(by_child_later, second, atol=5e-6)


def test_the_child_of_a_killed_parent_ends_and_its_files_are_swept(child_folder):
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int((child_folder / "child").read_text())).wait(timeout=10)
    assert len(list(child_folder.glob(".tmp*"))) == 1  # the failing child's went as it was closed
    sweep_temporaries(child_folder)
    assert not list(child_folder.glob(".tmp*"))


def test_the_model_folder_gives_on_tensorflow_the_map_of_jax(child_folder):
    segmenter = load_segmenter(child_folder / "model")
    with np.load(child_folder / "maps.npz") as maps:
        expected = maps["arr_2"]
    found = segmenter.segment(np.load(child_folder / "photograph.npy")).numpy()
    np.testing.assert_allclose(found, expected, atol=5e-6)


def test_a_child_that_fails_and_what_jax_cannot_do_are_errors_of_one_line(child_folder):
    gone, mirrored, odd, no_xla = json.loads((child_folder / "refused.json").read_text())
    assert "ended with code 1: " in gone
    assert "gone.png" in gone
    assert "'mirrored' runs on GPUs, but no GPU found by JAX" in mirrored
    assert "batch_size 8 is not divisible by 3 devices" in odd
    assert "train.xla is 'off', but JAX runs nothing else" in no_xla
    assert not any("\n" in line for line in (gone, mirrored, odd, no_xla))


# Trains to the end in each of the workdirs; the second of them is where an earlier process was stopped.
FIT_ALL = """
import sys
from pathlib import Path
from configs.loading import load_config
from pipeline.training import fit, prepare

config, records, source, *workdirs = sys.argv[1:]
for workdir in workdirs:
    run = prepare(load_config(config), [Path(records)], Path(workdir), sources=[Path(source)])
    print(*run.plan.lines(), sep="\\n", flush=True)
    fit(run, verbose=0)
"""


@pytest.fixture(scope="module")
def trainings(fundus, shard, tmp_path_factory) -> tuple[Path, Path]:
    """Workdirs of the same training: undisturbed, and stopped by SIGTERM and then continued."""
    base = tmp_path_factory.mktemp("jax")
    for seed, (part, name) in enumerate((("train", "A"), ("train", "B"), ("valid", "V"))):
        picture = fundus(100, 120, seed=seed)
        for folder, image in (
            ("images", picture.photograph[..., ::-1]),
            ("masks", picture.masks[..., 0] * np.uint8(255)),
        ):
            (base / "source" / part / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(base / "source" / part / folder / f"{name}.png"), image)
    data = DataConfig(classes=("HE",), tile=64, stride=32, empty_per_nonempty=1.0)
    _, cases = find_cases(base / "source", data.classes)
    shard(base / "records", cases, data)
    config = Config(
        data=data,
        model=ModelConfig(unet=UNetConfig(width=4, levels=2, dropout=0.2)),
        train=dataclasses.replace(
            TrainConfig(
                epochs=EPOCHS,
                steps_per_epoch=2,
                batch_size=4,
                photographs_every=2,
                deterministic=True,
                seed=1,
                metrics=(),
            ),
            ema_momentum=0.9,
            learning_rate=1e-2,
            micro_batches=2,
        ),
    )
    (base / "config.json").write_text(config.to_json())
    words = (f"--config={base / 'config.json'}", f"--records={base / 'records'}", f"--source={base / 'source'}")
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.train", *words, f"--workdir={base / 'disturbed'}"],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while process.poll() is None and done_epochs(base / "disturbed") < 1:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 143, output
    assert 1 <= done_epochs(base / "disturbed") < EPOCHS
    workdirs = base / "undisturbed", base / "disturbed"
    printed = run(FIT_ALL, base / "config.json", base / "records", base / "source", *workdirs)
    assert printed.count("continues after epoch") == 1
    return workdirs


def test_a_training_leaves_what_one_on_tensorflow_does(trainings):
    workdir, _ = trainings
    rows = history(workdir)
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    assert [row["epoch"] for row in rows if row["val_photo_aupr"]] == [str(epoch) for epoch in range(2, EPOCHS + 1, 2)]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    about = json.loads((workdir / "environment.json").read_text())
    assert about["backend"] == "jax"
    assert "XLA on: JAX compiles every step" in about["chosen"][0]
    for name in ("curves.png", "previews/V.png", "previews/V/epoch_004.png"):
        assert cv2.imread(str(workdir / name)) is not None
    assert list((workdir / "tensorboard").rglob("events*"))
    assert load_config(str(workdir / "config.json")).train.epochs == EPOCHS
    assert load_segmenter(workdir / "model").spec.splits["validation"] == ["V"]


def test_two_hosts_give_the_training_of_one(trainings):
    undisturbed, _ = trainings
    base = undisturbed.parent
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two)]
    words = [f"--config={base / 'config.json'}", f"--records={base / 'records'}", "--config.train.previews=0"]
    hosts = []
    for index in range(2):
        place = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        hosts.append(
            subprocess.Popen(
                [sys.executable, "-m", "scripts.train", *words, f"--workdir={base / 'hosts'}"],
                cwd=ROOT,
                env={**ENVIRONMENT, "TF_CONFIG": json.dumps(place)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    printed = [host.communicate(timeout=600)[0] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], printed
    assert "data-parallel on 2 CPUs of 2 hosts, 2 tiles each per step (1 on each)" in printed[0]
    for of_two, of_one in zip(history(base / "hosts"), history(undisturbed), strict=True):
        for name, value in of_two.items():
            assert float(value) == pytest.approx(float(of_one[name]), rel=1e-3, abs=1e-4), name


def test_a_training_that_was_stopped_ends_as_the_undisturbed_one(trainings):
    undisturbed, disturbed = trainings
    assert history(undisturbed) == history(disturbed)
    (arrays, metadata), (others, other_metadata) = (load_arrays(last_file(workdir)) for workdir in trainings)
    assert metadata["callbacks"]["BestWeights"] == other_metadata["callbacks"]["BestWeights"]
    for group, values in arrays.items():
        for value, other in zip(values, others[group], strict=True):
            np.testing.assert_array_equal(value, other, err_msg=group)
    spec, other_spec = (load_segmenter(workdir / "model").spec for workdir in trainings)
    assert spec == other_spec
    assert not list(disturbed.rglob(".tmp*"))
