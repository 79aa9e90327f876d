"""Networks of half the size: the contents of the file, the loaded weights, and weights beyond float16."""

import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

from configs import FastConfig, InputError, ModelConfig
from models import build_network, halve_kernels
from models.surgery.half_precision import WEIGHTS_FILE

# Keras 3.15.1 causes this warning when it saves weights.
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return build_network(ModelConfig(network="fast", fast=FastConfig(widths=(16, 32, 64))), classes=2)


@SAVING
def test_kernels_are_stored_in_float16_and_everything_else_unchanged(network, tmp_path):
    file = tmp_path / "network.keras"
    network.save(file)
    whole = file.stat().st_size
    halve_kernels(file)
    assert file.stat().st_size < 0.6 * whole
    with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS_FILE))) as weights:
        dtypes = set()
        weights.visititems(
            lambda _, item: dtypes.add((item.ndim >= 2, item.dtype)) if isinstance(item, h5py.Dataset) else None
        )
    assert dtypes == {(True, np.dtype("float16")), (False, np.dtype("float32"))}
    loaded = keras.models.load_model(file)
    assert {weight.dtype for weight in loaded.weights} == {"float32"}
    for before, after in zip(network.get_weights(), loaded.get_weights(), strict=True):
        expected = before.astype(np.float16) if before.ndim >= 2 else before
        np.testing.assert_array_equal(after, expected)


@SAVING
def test_a_weight_beyond_float16_is_refused_and_the_file_is_not_changed(network, tmp_path):
    layer = network.get_layer("logits")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel + 1e5, bias])
    network.save(tmp_path / "network.keras")
    before = (tmp_path / "network.keras").read_bytes()
    with pytest.raises(InputError, match=r"layers/.* has a weight that is too large for float16"):
        halve_kernels(tmp_path / "network.keras")
    assert (tmp_path / "network.keras").read_bytes() == before
