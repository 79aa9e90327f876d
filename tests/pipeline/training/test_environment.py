"""The content of `environment.json`: software, devices, config and records."""

import dataclasses
import datetime
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.machine import gpus, processor
from pipeline.training.environment import environment, git_state

NOTHING = (None, None)


def git(folder: Path, *words: str) -> str:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", "-C", folder, *author, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one committed file in `package`."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "code.py").write_text("1\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_it_says_with_what_and_on_what_a_training_runs(config, records_set, network):
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    said = json.loads(json.dumps(environment(config, records_set.sets, network, accelerators=gpus())))
    assert before <= datetime.datetime.fromisoformat(said["started"]) <= datetime.datetime.now(datetime.UTC)
    assert said["started"].endswith("+00:00")
    assert said["command"] == sys.argv
    versions = {"tensorflow": tf, "keras": keras, "numpy": np, "opencv": cv2}
    assert {name: said[name] for name in versions} == {name: one.__version__ for name, one in versions.items()}
    assert said["python"] == ".".join(map(str, sys.version_info[:3]))
    assert said["backend"] == "tensorflow"
    assert said["devices"] == [processor(), *gpus()]
    assert said["config"] == json.loads(config.to_json())
    assert said["config_fingerprint"] == config.fingerprint()
    assert said["records"] == [str(records_set.folder)]
    assert said["records_fingerprint"] == records_set.index.fingerprint
    assert said["parameters"] == sum(np.prod(weight.shape) for weight in network.weights)
    assert said["platform"]


def test_the_version_of_another_backend_is_named_by_its_name(config, records_set, network, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(__version__="0.9.1"))
    said = environment(config, records_set.sets, network, accelerators=[])
    assert (said["backend"], said["jax"], said["tensorflow"]) == ("jax", "0.9.1", tf.__version__)


def test_all_sets_of_records_are_named(config, records_set, network):
    other = dataclasses.replace(records_set.sets[0], folder=Path("elsewhere"))
    said = environment(config, [*records_set.sets, other], network, accelerators=[])
    assert said["records"] == [str(records_set.folder), "elsewhere"]


def test_a_clean_checkout_has_its_revision(checkout):
    revision = git(checkout, "rev-parse", "HEAD").strip()
    assert len(revision) == 40
    assert git_state(checkout / "package") == (revision, False)
    (checkout / "notes.txt").write_text("not part of it\n")
    assert git_state(checkout / "package") == (revision, False)


def test_a_changed_file_makes_a_checkout_dirty(checkout):
    (checkout / "package" / "code.py").write_text("2\n")
    assert git_state(checkout / "package") == (git(checkout, "rev-parse", "HEAD").strip(), True)


def test_a_package_that_is_installed_inside_another_checkout_has_no_revision(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "code.py").write_text("1\n")
    assert git_state(checkout / ".venv") == NOTHING


def test_outside_a_checkout_and_without_git_there_is_no_revision(checkout, tmp_path_factory, monkeypatch):
    assert git_state(tmp_path_factory.mktemp("outside")) == NOTHING
    assert git_state(checkout / "package") != NOTHING
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
    assert git_state(checkout / "package") == NOTHING
