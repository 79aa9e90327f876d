"""Two devices, on one host or two, give what one gives, for every loss and optimizer; the impossible is refused."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from configs import Config, InputError, ModelConfig, TrainConfig, UNet3PlusConfig, UNetConfig
from models import LOSSES, build_network
from pipeline.inference import save_model
from pipeline.training.backends.tensorflow_devices import choose_devices, choose_xla

pytestmark = pytest.mark.slow

# For each config, trains the same steps on one device and on two, which are parts of the CPU, or where TF_CONFIG is
# set, two hosts; prints how far the weights moved and how far apart they are, and keeps what one device gave. A config
# with the default model gets a network of three layers, which is quick to trace. If the name of its file says so, most
# of the masks are unknown, on one of two devices more than on the other. Then checks that a segmenter follows mirrored
# weights, or with hosts, what Keras does there without our step.
TWO_DEVICES = """
import dataclasses, json, os, sys
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from configs import ModelConfig
from configs.loading import load_config
from models import Network, build_loss, build_network, precision_policy
from models.layers.normalization import FusedBatchNormalization
from pipeline.hosts import joined_hosts, place_in
from pipeline.inference import SegmenterSpec, TiledSegmenter
from pipeline.training.backends.tensorflow_devices import choose_devices
from pipeline.training.backends.tensorflow_step import make_model
from pipeline.training.checkpoints import load_arrays, save_arrays
from pipeline.training.run import compile_model
from pipeline.training.teacher import load_teacher

def build(config):
    if config.model != ModelConfig():
        return build_network(config.model, 1)
    image = keras.Input((None, None, 3))
    # Without a bias, which the normalisation would cancel: its gradient would be rounding alone, and Adam follows that.
    hidden = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(image / 255)
    hidden = FusedBatchNormalization()(hidden)
    hidden = keras.layers.ReLU()(hidden)
    return Network(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(hidden))


joined = joined_hosts(place_in(os.environ))
hosts = joined.__enter__()
train = load_config(sys.argv[1]).train
two_devices = choose_devices(train if hosts is None else dataclasses.replace(train, strategy="auto"), hosts)
here = slice(None) if hosts is None else slice(4 * hosts.index, 4 * hosts.index + 4)
rng = np.random.default_rng(0)
images = rng.uniform(0, 255, (8, 16, 16, 3)).astype("float32")
masks = (images[..., :1] > 200).astype("float32")
masks[1] = 0
known = np.ones_like(masks)
known[:3] = known[3, :5] = known[5, 4:] = known[6] = 0
for path in sys.argv[1:]:
    config = load_config(path)
    labels = np.append(masks * known, known, axis=-1) if "unknown" in path else masks


    def fitted(devices):
        strategy = tf.distribute.get_strategy() if devices is None else devices.strategy
        keras.backend.clear_session()
        keras.utils.set_random_seed(1)
        with strategy.scope(), precision_policy(config.train.precision):
            network = build(config)
            loaded = load_teacher(Path(config.train.teacher), config) if config.train.teacher else None
            model = make_model(network, config.train, loaded.teacher if loaded else None)
            compile_model(model, config, xla=False)
        before = model.get_weights()
        part = slice(None) if devices is None else here
        batches = lambda: tf.data.Dataset.from_tensors((images[part], labels[part])).repeat()
        batches = batches() if devices is None else devices.distributed(batches)
        loss = model.fit(batches, steps_per_epoch=3, epochs=1, shuffle=False, verbose=0).history["loss"][-1]
        if model.averages:
            model.averages.swap()
        return {"before": before, "after": model.get_weights(), "loss": [np.array(loss)]}

    two = fitted(two_devices)
    kept = Path(path).with_suffix(".npz")
    if hosts is None or hosts.first:
        if not kept.exists():
            save_arrays(kept, fitted(None), {})
        one, _ = load_arrays(kept)
        moved = max(float(np.abs(a - b).max()) for a, b in zip(one["after"], one["before"]))
        apart = max(float(np.abs(a - b).max()) for a, b in zip(one["after"], two["after"]))
        print("RESULT", json.dumps([moved, apart, float(one["loss"][0]), float(two["loss"][0])]), flush=True)
if hosts is not None:
    with two_devices.strategy.scope():
        plain = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(1, 1, activation="sigmoid")])
        plain.compile("sgd", "mse", jit_compile=False)
    faults = []
    for mended in (False, True):
        if mended:
            plain._maybe_symbolic_build = lambda iterator=None, data_batch=None: None
        try:
            part = lambda: tf.data.Dataset.from_tensors((images[here], masks[here])).repeat()
            plain.fit(two_devices.distributed(part), steps_per_epoch=1, verbose=0)
            faults.append("none")
        except ValueError as error:
            faults.append(str(error))
    print("FAULTS", json.dumps(faults))
joined.__exit__(None, None, None)
if hosts is not None:
    sys.exit()

two_devices = two_devices.strategy
config = load_config(sys.argv[1])  # with a U-Net
with two_devices.scope():
    network = build_network(config.model, classes=1)
    network.compile(keras.optimizers.SGD(0.1), build_loss("bce_dice"), jit_compile=False)
assert isinstance(network.weights[0].value, tf.distribute.DistributedValues)
spec = SegmenterSpec(("HE",), 0.8, 32, 0.25, "hann", 3, (0.5,), {}, "", "")
alone = build_network(config.model, classes=1)
of_mirrored, of_alone = TiledSegmenter(network, spec), TiledSegmenter(alone, spec)
photograph = rng.integers(0, 256, (60, 91, 3), np.uint8)
maps, apart = [], []
for epoch in range(2):
    network.fit(images, masks, batch_size=8, verbose=0)
    maps.append(of_mirrored.segment(photograph).numpy())
    alone.set_weights(network.get_weights())
    apart.append(float(np.abs(maps[-1] - of_alone.segment(photograph)).max()))
moved = float(np.abs(maps[1] - maps[0]).max())
print("SEGMENTER", json.dumps([moved, max(apart), of_mirrored.segment.experimental_get_tracing_count()]))
"""
# Before the program, which TensorFlow has imported but not started: makes two hosts of the process.
AS_TWO_HOSTS = """
import json, os, socket
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in listeners]
for one in listeners:
    one.close()
other = os.fork()
task = {"type": "worker", "index": 0 if other else 1}
os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
if not other:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
"""
SMALL = UNetConfig(width=4, levels=2, normalization="batch")
SUPERVISED = ModelConfig(
    network="unet3plus", unet3plus=UNet3PlusConfig(width=4, levels=2, classification=False, normalization="none")
)
# Without metrics, which take long to trace; one variant has them.
PLAIN = TrainConfig(
    batch_size=8, strategy="cpus:2", optimizer="sgd", learning_rate=0.05, schedule="constant", momentum=0.9, metrics=()
)


def variant(model: ModelConfig | None = None, **fields) -> Config:
    return Config(model=model or ModelConfig(), train=dataclasses.replace(PLAIN, **fields))


# Every loss, and with it another option.
VARIANTS = {
    "bce; scaled float16, clipped by the norm of all": variant(
        ModelConfig(unet=SMALL), precision="mixed_float16", global_clipnorm=1e-2
    ),
    "dice; adam, clipped by value": variant(optimizer="adam", learning_rate=1e-3, clipvalue=1e-3),
    "bce_dice; adamw, clipped by norm": variant(optimizer="adamw", learning_rate=1e-3, clipnorm=1e-2),
    "bce_batch_dice; sgd, and metrics": variant(metrics=TrainConfig().metrics),
    "iou; two micro-batches and averages": variant(micro_batches=2, ema_momentum=0.9),
    "bce_iou; sgd, clipped by value": variant(clipvalue=1e-3),
    "bce_ssim_iou; sgd": variant(),
    "focal; sgd, clipped by norm": variant(clipnorm=1e-2),
    "focal_tversky; sgd with weight decay": variant(weight_decay=0.1),
    "lovasz_hinge; sgd, clipped by the norm of all": variant(global_clipnorm=1e-2),
    "lesion_weighted; sgd": variant(),
    "bce_dice; weights of side outputs": variant(SUPERVISED, side_output_weights=(0.3,)),
    "bce_present_dice; unknown": variant(),
    "bce_dice; unknown, two micro-batches, a teacher": variant(micro_batches=2, teacher="TEACHER"),
}
VARIANTS = {
    name: dataclasses.replace(config, train=dataclasses.replace(config.train, loss=name.partition(";")[0]))
    for name, config in VARIANTS.items()
}


class Results(NamedTuple):
    """What the script prints: of each variant, and of the segmenter, or of Keras' faults with several hosts."""

    variants: dict[str, list[float]]
    further: list


@pytest.fixture(scope="module")
def configs(spec, tmp_path_factory) -> list[Path]:
    """The files of the variants."""
    folder = tmp_path_factory.mktemp("variants")
    save_model(folder / "teacher", build_network(ModelConfig(unet=SMALL), 1), spec())
    paths = []
    for number, (name, config) in enumerate(VARIANTS.items()):
        paths.append(folder / f"{number}{'_unknown' if 'unknown' in name else ''}.json")
        paths[-1].write_text(config.to_json().replace("TEACHER", str(folder / "teacher")))
    return paths


def results_of(done: subprocess.CompletedProcess) -> Results:
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    variants = [json.loads(numbers) for kind, numbers in lines if kind == "RESULT"]
    (further,) = (json.loads(numbers) for kind, numbers in lines if kind in ("SEGMENTER", "FAULTS"))
    return Results(dict(zip(VARIANTS, variants, strict=True)), further)


@pytest.fixture(scope="module")
def of_devices(forked, configs) -> Results:
    return results_of(forked(code=TWO_DEVICES, arguments=configs))


@pytest.fixture(scope="module")
def of_hosts(forked, configs) -> Results:
    return results_of(forked(code=AS_TWO_HOSTS + TWO_DEVICES, arguments=configs))


def assert_same_training(name: str, result: list[float]) -> None:
    moved, apart, loss, other_loss = result
    assert moved > 1e-4
    print(f"{name}: moved by {moved:.2g}, apart by {apart:.1e}")
    half = "float16" in name
    assert apart < (1e-3 if half else 1e-5)  # most are below 1e-6; SSIM and powers amplify rounding
    assert other_loss == pytest.approx(loss, rel=1e-3 if half else 1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_two_devices_give_the_weights_of_one(of_devices, name):
    assert_same_training(name, of_devices.variants[name])


@pytest.mark.parametrize("name", VARIANTS)
def test_two_hosts_give_the_weights_of_one(of_hosts, name):
    assert_same_training(name, of_hosts.variants[name])


def test_keras_still_cannot_fit_on_several_hosts(of_hosts):
    before_the_first_step, in_it = of_hosts.further
    assert "PerReplica" in before_the_first_step, "HostsTrainStepModel need not build symbolically any more"
    assert in_it != "none", "HostsTrainStepModel need not trace its own steps any more"


def test_mirrored_weights_are_read_outside_of_their_scope_and_followed(of_devices):
    moved, apart, traces = of_devices.further
    assert moved > 1e-3
    assert apart < 1e-6
    assert traces == 1


def test_every_loss_is_compared():
    assert {config.train.loss for config in VARIANTS.values()} == set(LOSSES)


def test_mirrored_without_a_gpu_is_refused_with_what_was_found():
    with pytest.raises(InputError, match=r"'mirrored' runs on GPUs, but no GPU found"):
        choose_devices(dataclasses.replace(PLAIN, strategy="mirrored"))


def test_auto_without_a_gpu_is_the_cpu_and_no_strategy():
    devices = choose_devices(dataclasses.replace(PLAIN, strategy="auto"))
    assert (devices.replicas, devices.gpus) == (1, ())
    assert "the CPU" in devices.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "cpus:3", "batch_size": 8}, r"batch_size 8 is not divisible by 3 devices"),
        ({"strategy": "cpus:2", "batch_size": 6, "micro_batches": 2}, r"micro_batches 2 does not divide the 3 tiles"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_before_devices_are_made(fields, message):
    with pytest.raises(InputError, match=message):  # TensorFlow has started here: it could not divide the CPU any more
        choose_devices(TrainConfig(**fields))


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
