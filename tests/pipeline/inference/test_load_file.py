"""`load.py` of a model folder: Keras alone loads the network, on TensorFlow and on JAX."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from models import Network
from models.layers import LocalContrast, convolve
from models.network import NO_PREPROCESSING, image_input, probability_head
from pipeline.inference import save_model

PROGRAM = """
import importlib.abc, sys

folder, *blocked = sys.argv[1:]

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Blocked())
sys.path.insert(0, folder)
import load
import keras
import numpy as np

load.main()
given = np.load(f"{folder}/given.npz")
network = keras.models.load_model(f"{folder}/network.keras")
found = network.predict(given["tile"], verbose=0)
np.testing.assert_allclose(found, given["probabilities"], atol=1e-5)
assert network.stride == 4 and type(network).__module__ == "load", (network.stride, type(network))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, spec):
    """A model folder of a small network with layers of its own, a tile, and what it gives here."""
    folder = tmp_path_factory.mktemp("loaded") / "model"
    image, x = image_input(NO_PREPROCESSING, stride=4)
    x = LocalContrast(4.0, dtype="float32")(x, image)
    x = convolve(x, 8, 3, names=("conv", "norm", "relu"), normalization="batch", activation="relu")
    network = Network(image, probability_head(x, classes=2))
    rng = np.random.default_rng(0)
    network.set_weights([weight + rng.uniform(0, 0.05, weight.shape) for weight in network.get_weights()])
    save_model(folder, network, spec(classes=("HE", "MA"), tile=32))
    tile = rng.uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    probabilities = keras.ops.convert_to_numpy(network(tile, training=False))
    assert np.ptp(probabilities) > 0.01
    np.savez(folder / "given.npz", tile=tile, probabilities=probabilities)
    return folder


@pytest.mark.parametrize(("backend", "other"), [("tensorflow", "jax"), ("jax", "tensorflow")])
def test_a_network_loads_with_keras_and_one_backend_alone(folder, tmp_path, backend, other):
    command = [sys.executable, "-I", "-c", PROGRAM, folder, other, "configs", "models", "records", "pipeline"]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"on {backend}, " in done.stdout
    assert "RGB 0..255 [1, 32, 32, 3], sides multiples of 4 → probabilities of HE, MA [1, 32, 32, 2]" in done.stdout
