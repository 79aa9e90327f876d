"""`verify.py` of an export: the same map, the same within rounding, or another; timing; what it prints."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.export import verify as export_verify
from pipeline.export.golden import TOLERANCES, golden_photograph
from records import tile_origins
from scripts.support.stderr_filter import NOISE

DROPPED = [
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    b"I0000 00:00:1795903637.235622   17714 port.cc:153] oneDNN custom operations are on. You may see slightly",
    b"E0000 00:00:1795903771.067806   19208 cuda_dnn.cc:8579] Unable to register cuDNN factory: Attempting to",
]


@pytest.fixture
def golden(exported, tmp_path, monkeypatch):
    """A copy of the golden files without the SavedModel, as the folder of `verify_map`."""
    for file in exported.glob("golden.*"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(export_verify, "FOLDER", tmp_path)
    return tmp_path


def change_facts(golden: Path, **fields: object) -> None:
    facts = json.loads((golden / "golden.json").read_text())
    (golden / "golden.json").write_text(json.dumps({**facts, **fields}))


def test_verify_needs_only_tensorflow_and_prints_only_the_same_map_and_its_time(exported, tmp_path):
    moved = Path(shutil.copytree(exported, tmp_path / "elsewhere" / "5"))
    command = [sys.executable, "-I", moved / "verify.py"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    same, cost = done.stdout.splitlines()
    assert same.startswith("same map")
    assert re.fullmatch(
        r"graph [\d.]+ s, bare network [\d.]+ s for \d+ batches of 3 tiles: "
        r"the graph costs [\d.]+ times its bare network",
        cost,
    )


def test_the_golden_files_are_small_and_their_map_is_not_trivial(exported):
    assert sum(file.stat().st_size for file in exported.glob("golden.*")) < 2**20
    kept = np.load(exported / "golden.npy")
    assert kept.dtype == np.float32
    assert np.ptp(kept) > 0.01


@pytest.mark.parametrize(("scale", "tile", "overlap"), [(1.0, 512, 0.5), (1 / 3, 768, 0.25), (0.8, 32, 0.0)])
def test_the_golden_photograph_takes_two_rows_and_columns_of_tiles(spec, scale, tile, overlap):
    one = spec(scale=scale, tile=tile, overlap=overlap)
    photograph = golden_photograph(one, one.rule())
    scaled = [round(length * scale) for length in photograph.shape[:2]]
    stride = round(tile * (1 - overlap))
    assert len(tile_origins(*scaled, tile, stride=stride)) == 4
    assert photograph.dtype == np.uint8
    assert np.ptp(photograph) > 100


@pytest.mark.parametrize(("field_diameter", "tile"), [(300, 512), (300, 32), (1136, 192)])
def test_a_golden_photograph_that_is_scaled_by_its_field_of_view_takes_at_least_as_many(spec, field_diameter, tile):
    one = spec(scale=None, field_diameter=float(field_diameter), tile=tile)
    photograph = golden_photograph(one, one.rule())
    scale = one.rule().measure(photograph)
    assert scale.ruler == "field of view"
    rows, columns = (length * scale.factor for length in photograph.shape[:2])
    assert min(rows, columns) > tile


def test_a_map_of_other_last_bits_is_the_same_within_rounding(golden, capsys):
    change_facts(golden, sha256="0" * 64, step=1, shape=list(np.load(golden / "golden.npy").shape))
    kept = np.load(golden / "golden.npy")
    assert export_verify.verify_map(kept + np.float32(0.9 * TOLERANCES["float32"]))
    assert "same map within rounding: largest difference 3.5e-03" in capsys.readouterr().out


@pytest.mark.parametrize("change", [1.1 * TOLERANCES["float32"], np.nan])
def test_one_value_beyond_rounding_is_another_map(golden, capsys, change):
    kept = np.load(golden / "golden.npy")
    change_facts(golden, sha256="0" * 64, step=1, shape=list(kept.shape))
    other = kept.copy()
    other[3, 5, 1] += change
    assert not export_verify.verify_map(other)
    assert "ANOTHER MAP: largest difference" in capsys.readouterr().out


def test_a_map_of_another_shape_is_another_map(golden, capsys):
    kept = np.load(golden / "golden.npy")
    assert not export_verify.verify_map(kept[:-1])
    assert "ANOTHER MAP: shape" in capsys.readouterr().out


def test_another_map_ends_in_exit_code_1(monkeypatch, exported):
    monkeypatch.setattr(export_verify, "FOLDER", exported)
    monkeypatch.setattr(export_verify, "verify_map", lambda computed: False)
    monkeypatch.setattr(export_verify, "TURNS", 1)
    assert export_verify.main() == 1


def test_errors_pass_and_routine_lines_do_not(exported, tmp_path):
    """A stand-in for TensorFlow logs as it does and then fails."""
    routine = (
        "E0000 00:00:1795903771.067806   19208 util.cc:131] oneDNN supports DT_UINT8 only on platforms with AVX-512."
    )
    error = "E0000 00:00:1795903771.067806   19208 cuda_dnn.cc:522] Loaded runtime CuDNN library: 8.9.4"
    shutil.copy(exported / "verify.py", tmp_path)
    (tmp_path / "tensorflow.py").write_text(
        f"import os\nos.write(2, b'{routine}\\n{error}\\n')\nraise ImportError('libcudart is missing')\n"
    )
    command = [sys.executable, tmp_path / "verify.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert (first, last) == (error, "ImportError: libcudart is missing")


@pytest.mark.parametrize("line", DROPPED)
def test_routine_lines_are_those_that_commands_drop(line):
    assert export_verify.ROUTINE.match(line)
    assert NOISE.match(line)
