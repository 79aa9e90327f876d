"""The folder of an ONNX export is whole, verifies itself, and is used without TensorFlow."""

import dataclasses
import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest

from configs import InputError
from pipeline.export import onnx_file, onnx_graph
from pipeline.export.onnx_file import check_onnx, export_onnx
from pipeline.inference import TiledSegmenter
from records import lesions


def export(segmenter, folder, **changes):
    options = {"operating_point": segmenter.spec.operating_point, "overwrite": False, "precision": "float32"}
    return export_onnx(segmenter, folder, **options | changes)


@pytest.fixture(scope="module")
def folder(segmenter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "export"
    done = export(segmenter, folder)
    assert done.difference <= 2e-4
    return folder


def run(script, *arguments):
    """Runs a file of the export where nothing of this software, and no TensorFlow, can be imported."""
    blocked = "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'pipeline', 'onnx')))"
    program = f"{blocked}; import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-I", "-c", program, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_it_verifies_itself_and_times_its_parts(folder):
    done = run(folder / "verify_onnx.py")
    assert done.returncode == 0, done.stderr
    assert "same map within rounding" in done.stdout
    assert "times its bare network" in done.stdout


def test_another_map_is_told(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    golden = np.load(other / "golden.npy")
    golden[3, 3] += 0.1
    np.save(other / "golden.npy", golden)
    done = run(other / "verify_onnx.py")
    assert done.returncode == 1
    assert "ANOTHER MAP" in done.stdout


def test_a_damaged_file_is_told_in_one_line(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "segmenter.onnx").write_bytes(b"nothing")
    done = run(other / "verify_onnx.py")
    assert done.returncode == 1
    assert "cannot load the export" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_client_lists_lesions_and_draws_them(folder, segmenter, fundus, tmp_path):
    photograph = fundus(96, 121, seed=3).photograph
    cv2.imwrite(str(tmp_path / "eye.png"), photograph[..., ::-1])
    done = run(folder / "client.py", tmp_path / "eye.png", tmp_path / "overlay.png")
    assert done.returncode == 0, done.stderr
    found = segmenter.spec.operating_point.detect(segmenter.segment(photograph).numpy())
    rows = done.stdout.splitlines()[1:]
    assert len(rows) == sum(len(list(lesions(found[..., index]))) for index in range(found.shape[2]))
    assert rows[0].startswith("HE,")
    red = (cv2.imread(str(tmp_path / "overlay.png"))[..., ::-1] == (255, 0, 0)).all(axis=-1)
    np.testing.assert_array_equal(red, found.any(axis=-1))
    assert len((folder / "client.py").read_text().splitlines()) <= 34


def test_the_file_says_what_clients_must_know(folder, segmenter):
    stored = onnx.load(folder / "segmenter.onnx")
    facts = {one.key: json.loads(one.value) for one in stored.metadata_props}
    assert facts == json.loads((folder / "metadata.json").read_text())
    assert facts["classes"] == list(segmenter.spec.classes)
    assert facts["thresholds"] == [0.5, 0.25]
    onnx.checker.check_model(stored)
    readme = (folder / "README.md").read_text()
    assert "| HE | 0.5 | 1 |" in readme and "verify_onnx.py" in readme


def test_a_folder_is_only_replaced_if_it_is_an_export_and_that_is_asked_for(folder, segmenter, tmp_path):
    with pytest.raises(InputError, match="already exists"):
        export(segmenter, folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="is not an ONNX export"):
        export(segmenter, tmp_path / "other", overwrite=True)
    assert (tmp_path / "other" / "thesis.txt").read_text() == "years"


def test_weights_in_half_the_size_are_smaller_and_their_difference_is_told(segmenter, folder, tmp_path):
    done = export(segmenter, tmp_path / "export", precision="float16")
    assert 0 < done.difference <= 0.01
    facts = json.loads((tmp_path / "export" / "golden.json").read_text())
    assert facts["precision"] == "float16" and facts["difference_from_tensorflow"] == done.difference
    assert (tmp_path / "export" / "network.onnx").stat().st_size < (folder / "network.onnx").stat().st_size


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(onnx_file, "PACKAGES", ("onnx", "onnx_of_tomorrow"))
    with pytest.raises(InputError, match=r"needs onnx_of_tomorrow; install the extra with `pip install -e .\[onnx\]`"):
        check_onnx()


def test_an_onnx_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(onnx.defs, "onnx_opset_version", lambda: 15)
    with pytest.raises(InputError, match="needs operator set 18, but onnx .* ends with 15"):
        check_onnx()


def test_an_onnxruntime_that_cannot_run_the_file_is_told_and_leaves_nothing(segmenter, folder, tmp_path, monkeypatch):
    import onnxruntime

    network = onnx.load(folder / "network.onnx")
    monkeypatch.setattr(onnx_graph, "network_to_onnx", lambda *_, **__: network)

    def fail(*_, **__):
        raise RuntimeError("Opset 18 is under development")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(InputError, match="cannot run the file .Opset 18"):
        export(segmenter, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_converted_is_refused_in_one_line(segmenter, tmp_path):
    import tensorflow as tf

    def network(tiles):
        return tf.linalg.inv(tiles[..., 0])[..., None] + tiles[..., :2]

    with pytest.raises(InputError, match="tf2onnx cannot convert .MatrixInverse"):
        export(TiledSegmenter(network, dataclasses.replace(segmenter.spec)), tmp_path / "export")
    assert list(tmp_path.iterdir()) == []
