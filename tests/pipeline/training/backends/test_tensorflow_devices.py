"""Devices: several give what one gives, for every loss, optimizer and option; and what cannot be is refused."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs import Config, InputError, ModelConfig, TrainConfig, UNet3PlusConfig, UNetConfig
from models import build_network
from models.losses.losses import LOSSES
from pipeline.training.backends.tensorflow_devices import choose_devices, choose_xla

# Trains the same steps on one device and on two, and prints how far the weights came and how far apart they are.
TRAIN = """
import json, sys
import keras, numpy as np, tensorflow as tf
from configs.loading import load_config
from models import build_network, precision_policy
from pipeline.training.backends.tensorflow_devices import choose_devices
from pipeline.training.backends.tensorflow_step import TrainStepModel
from pipeline.training.fit import _compile

two_devices = choose_devices(load_config(sys.argv[1]).train).strategy
rng = np.random.default_rng(0)
images = rng.uniform(0, 255, (8, 16, 16, 3)).astype("float32")
masks = (images[..., :1] > 200).astype("float32")
masks[1] = 0
for path in sys.argv[1:]:
    config = load_config(path)
    batches = tf.data.Dataset.from_tensors((images, masks)).repeat()
    weights = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        keras.backend.clear_session()
        keras.utils.set_random_seed(1)
        with strategy.scope(), precision_policy(config.train.precision):
            network = build_network(config.model, 1)
            model = TrainStepModel(network, config.train)
            _compile(model, config, False)
        before = model.get_weights()
        history = model.fit(batches, steps_per_epoch=3, epochs=1, shuffle=False, verbose=0).history
        if model.averages:
            model.averages.swap()
        weights.append((history["loss"][-1], model.get_weights()))
    (loss, one), (other_loss, two) = weights
    moved = max(float(np.abs(a - b).max()) for a, b in zip(one, before))
    apart = max(float(np.abs(a - b).max()) for a, b in zip(one, two))
    print("RESULT", json.dumps([moved, apart, loss, other_loss]), flush=True)
"""
SMALL = UNetConfig(width=4, levels=2, normalization="batch")
SUPERVISED = ModelConfig(
    network="unet3plus", unet3plus=UNet3PlusConfig(width=4, levels=2, classification=False, normalization="none")
)
PLAIN = TrainConfig(
    batch_size=8, strategy="cpus:2", optimizer="sgd", learning_rate=0.05, schedule="constant", momentum=0.9
)


def variant(model: ModelConfig | None = None, **fields) -> Config:
    chosen = model or ModelConfig(network="unet", unet=SMALL)
    return Config(model=chosen, train=dataclasses.replace(PLAIN, **fields))


VARIANTS = {
    **{f"loss {name}": variant(loss=name) for name in LOSSES},
    "adam, clipped by value": variant(optimizer="adam", learning_rate=1e-3, clipvalue=1e-3),
    "adamw, clipped by norm": variant(optimizer="adamw", learning_rate=1e-3, clipnorm=1e-2),
    "sgd, clipped by value": variant(clipvalue=1e-3),
    "sgd, clipped by norm": variant(clipnorm=1e-2),
    "sgd, clipped by the norm of all": variant(global_clipnorm=1e-2),
    "two micro-batches and averages": variant(micro_batches=2, ema_momentum=0.9),
    "sgd with weight decay": variant(weight_decay=0.1),
    "scaled float16, clipped by the norm of all": variant(precision="mixed_float16", global_clipnorm=1e-2),
    "weights of side outputs": variant(SUPERVISED, side_output_weights=(0.3,)),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, list[float]]:
    folder = tmp_path_factory.mktemp("variants")
    paths = []
    for number, config in enumerate(VARIANTS.values()):
        paths.append(folder / f"{number}.json")
        paths[-1].write_text(config.to_json())
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *paths],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line.removeprefix("RESULT ")) for line in done.stdout.splitlines() if line.startswith("RESULT")]
    return dict(zip(VARIANTS, lines, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_two_devices_give_the_weights_of_one(results, name):
    moved, apart, loss, other_loss = results[name]
    assert moved > 1e-4
    print(f"{name}: moved by {moved:.2g}, apart by {apart:.1e}")
    half = "float16" in name
    assert apart < (1e-3 if half else 1e-4)  # most are below 1e-6; SSIM and powers amplify rounding
    assert other_loss == pytest.approx(loss, rel=1e-3 if half else 1e-5)


def test_mirrored_without_a_gpu_is_refused_with_what_was_found():
    with pytest.raises(InputError, match=r"'mirrored' runs on GPUs, but no GPU found"):
        choose_devices(dataclasses.replace(PLAIN, strategy="mirrored"))


def test_auto_without_a_gpu_is_the_cpu_and_no_strategy():
    devices = choose_devices(dataclasses.replace(PLAIN, strategy="auto"))
    assert (devices.replicas, devices.gpus) == (1, ())
    assert "the CPU" in devices.words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "cpus:3", "batch_size": 8}, r"batch_size 8 does not divide among 3 devices"),
        ({"strategy": "cpus:2", "batch_size": 6, "micro_batches": 2}, r"micro_batches 2 does not divide the 3 tiles"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_before_devices_are_made(fields, message):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, json; from configs import TrainConfig; "
            "from pipeline.training.backends.tensorflow_devices import choose_devices; "
            "choose_devices(TrainConfig(**json.loads(sys.argv[1])))",
            json.dumps(fields),
        ],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(message, done.stderr)


def test_xla_is_off_on_a_cpu_and_refused_where_it_fails():
    network = build_network(ModelConfig(network="unet", unet=SMALL), 1)
    single = choose_devices(dataclasses.replace(PLAIN, strategy="single"))
    assert choose_xla(PLAIN, single, network)[0] is False
    assert choose_xla(dataclasses.replace(PLAIN, xla="on"), single, network)[0] is True
    enlarging = build_network(SUPERVISED, 1)
    with pytest.raises(InputError, match="train.xla is 'on', but it cannot compile the gradient of the bilinear"):
        choose_xla(dataclasses.replace(PLAIN, xla="on"), single, enlarging)
    two = dataclasses.replace(single, replicas=2)
    with pytest.raises(InputError, match="several devices share"):
        choose_xla(dataclasses.replace(PLAIN, xla="on"), two, network)
