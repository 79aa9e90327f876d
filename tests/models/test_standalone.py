"""The code of all layers in one file, complete and without names that two modules use for different things."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import pytest

import models
from models.saving import PACKAGE
from models.standalone import _Collected, standalone_code

PRETRAINED = Path(__file__).parents[2] / "pretrained" / "idrid_lesions"


def every_layer() -> list[type]:
    registered = keras.saving.get_custom_objects()
    return [one for name, one in registered.items() if name.startswith(f"{PACKAGE}>") and one is not models.Network]


def test_the_code_of_all_layers_together_defines_and_uses_every_name(tmp_path):
    assert len(every_layer()) > 12
    with zipfile.ZipFile(tmp_path / "network.keras", "w") as archive:
        config = {"layers": [{"registered_name": f"{PACKAGE}>{layer.__name__}"} for layer in every_layer()]}
        archive.writestr("config.json", json.dumps(config))
    code = standalone_code(tmp_path / "network.keras")
    assert all(f"class {layer.__name__}(" in code for layer in every_layer())
    assert not [name for name in ("configs", "models", "records", "pipeline") if f"from {name}" in code]
    # F: names that are not defined, defined twice, or never used
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F", "-"]
    checked = subprocess.run(command, input=code, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_a_name_with_two_meanings_is_an_error_and_not_a_wrong_file():
    collected = _Collected()
    collected.add("models.networks.deeplabv3plus", "_head")
    with pytest.raises(ValueError, match=r"_head is defined in models.networks.deeplabv3plus and in models.networks"):
        collected.add("models.networks.unet3plus", "_head")


def test_the_pretrained_model_comes_with_the_code_of_its_layers():
    assert (PRETRAINED / "load.py").read_text() == standalone_code(PRETRAINED / "network.keras")
