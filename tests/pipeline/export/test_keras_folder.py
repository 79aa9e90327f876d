"""A model folder for others: its weights by name, its card, and what comes along from the model's own folder."""

import json

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from configs import InputError
from pipeline.export import export_keras
from pipeline.inference import load_model


@pytest.fixture
def exported_folder(model_folder, tmp_path):
    own = tmp_path / "model"
    own.mkdir()
    for name in ("network.keras", "segmenter.json"):  # a folder of an earlier version has no load.py
        (own / name).write_bytes((model_folder / name).read_bytes())
    (own / "MODEL_CARD.md").write_text("# Scores\n")
    (own / "notes.txt").write_text("of mine\n")
    options = {"version": 2, "overwrite": False}
    return export_keras(own, tmp_path / "out", license_name="cc-by-4.0", datasets=["idrid"], **options)


def test_the_folder_has_all_that_others_need_and_nothing_of_mine(exported_folder, model_folder):
    names = {path.name for path in exported_folder.iterdir()}
    assert names == {
        "MODEL_CARD.md",
        "README.md",
        "load.py",
        "model.safetensors",
        "network.keras",
        "segmenter.json",
    }
    assert (exported_folder / "network.keras").read_bytes() == (model_folder / "network.keras").read_bytes()
    assert (exported_folder / "load.py").read_bytes() == (model_folder / "load.py").read_bytes()
    _, spec = load_model(exported_folder)
    assert spec == load_model(model_folder)[1]


def test_safetensors_restore_a_network_whose_weights_were_lost(exported_folder):
    network, _ = load_model(exported_folder)
    expected = [keras.ops.convert_to_numpy(weight) for weight in network.weights]
    network.set_weights([np.zeros_like(weight) for weight in expected])
    weights = load_file(exported_folder / "model.safetensors")
    for weight in network.weights:
        weight.assign(weights.pop(weight.path))
    assert not weights
    for found, weight in zip(network.weights, expected, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(found), weight)


def test_the_card_begins_with_what_the_hub_reads_and_says_how_to_load(exported_folder):
    text = (exported_folder / "README.md").read_text()
    start, head, body = text.split("---\n", 2)
    assert start == ""
    assert head.startswith(
        "license: cc-by-4.0\nlibrary_name: keras\npipeline_tag: image-segmentation\ntags:\n- fundus\n"
    )
    assert "datasets:\n- idrid\nmetrics:\n- dice\n" in head
    assert "| 1 | MA | 0.25 |" in body
    assert "[MODEL_CARD.md](MODEL_CARD.md)" in body
    assert f"Keras {keras.__version__}" in body


def test_without_data_sets_the_card_names_none_and_anonymous_names_no_photograph(model_folder, tmp_path):
    folder = export_keras(model_folder, tmp_path, version=1, overwrite=False, anonymous=True)
    assert "datasets:" not in (folder / "README.md").read_text()
    given = json.loads((model_folder / "segmenter.json").read_text())
    names = {name for cases in given["splits"].values() for name in cases}
    text = (folder / "segmenter.json").read_text()
    assert not [name for name in names if f'"{name}"' in text]
    with pytest.raises(InputError, match="already exists"):
        export_keras(model_folder, tmp_path, version=1, overwrite=False)
