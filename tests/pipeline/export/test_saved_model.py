"""A SavedModel computes the segmenter's probability maps where this software is not installed."""

import dataclasses
import io
import json
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from configs import FastConfig, ModelConfig
from models import build_network
from pipeline.export.readme import readme
from pipeline.export.saved_model import ServedSegmenter, decode_photograph, export_model
from pipeline.inference import TiledSegmenter, load_segmenter
from pipeline.operating_point import OperatingPoint
from records import Camera, read_photograph

# Runs with `python -I` and imports only TensorFlow and NumPy, none of our code.
CLIENT = """
import sys
import numpy as np
import tensorflow as tf

folder, encoded, output = sys.argv[1:]
loaded = tf.saved_model.load(folder)
given = np.load(encoded)
maps = {}
for name in ("jpeg", "png"):
    maps[name] = loaded.signatures["serving_default"](tf.constant(given[name].tobytes()))["probabilities"]
maps["segment"] = loaded.signatures["segment"](photograph=tf.constant(given["photograph"]))["probabilities"]
maps["tiles"] = loaded.signatures["tiles"](tiles=tf.constant(given["tiles"]))["probabilities"]
metadata = loaded.metadata()
maps["thresholds"] = metadata["thresholds"]
maps["min_area"] = metadata["min_area"]
maps["classes"] = np.array([name.decode() for name in metadata["classes"].numpy()])
maps["precision"] = metadata["precision"].numpy().decode()
maps["serving_default_leaves"] = metadata["serving_default_leaves"].numpy().decode()
maps["signatures"] = np.array(sorted(loaded.signatures))
foreign = {"keras", "configs", "records", "models", "pipeline"} & set(sys.modules)
assert not foreign & {"configs", "records", "models", "pipeline"}, foreign
np.savez(output, **maps)
"""


@pytest.fixture(scope="module")
def files(fundus, tmp_path_factory):
    """A photograph of odd size as JPEG with and PNG without loss."""
    folder = tmp_path_factory.mktemp("photographs")
    photograph = fundus(121, 167, seed=9).photograph
    cv2.imwrite(str(folder / "eye.jpg"), photograph[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])  # chroma 4:2:0
    cv2.imwrite(str(folder / "eye.png"), photograph[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def served(exported, files, tmp_path_factory):
    """What a process that has only TensorFlow gets from the export, by name."""
    folder = tmp_path_factory.mktemp("served")
    photograph = read_photograph(files / "eye.png", max_pixels=10**6)
    tiles = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    np.savez(
        folder / "given.npz",
        jpeg=np.frombuffer((files / "eye.jpg").read_bytes(), np.uint8),
        png=np.frombuffer((files / "eye.png").read_bytes(), np.uint8),
        photograph=photograph,
        tiles=tiles,
    )
    command = [sys.executable, "-I", "-c", CLIENT, exported, folder / "given.npz", folder / "served.npz"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "served.npz")) | {"given tiles": tiles}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_encoded_photographs_give_the_map_of_the_segmenter(served, segmenter, files, suffix):
    photograph = read_photograph(files / f"eye.{suffix}", max_pixels=10**6)
    expected = segmenter.segment(photograph).numpy()
    found = served["jpeg" if suffix == "jpg" else "png"]
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (121, 167, 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_decoded_photograph_gives_the_map_of_the_segmenter(served, segmenter, files):
    photograph = read_photograph(files / "eye.png", max_pixels=10**6)
    np.testing.assert_allclose(served["segment"], segmenter.segment(photograph), atol=1e-6)


def test_tiles_give_the_networks_probabilities(served, segmenter):
    np.testing.assert_allclose(served["tiles"], segmenter.tiles(served["given tiles"]), atol=1e-6)


def test_the_export_knows_its_classes_thresholds_and_signatures(served):
    assert served["classes"].tolist() == ["HE", "MA"]
    assert served["thresholds"].tolist() == [0.5, 0.25]
    assert served["min_area"].tolist() == [1, 1]
    assert served["signatures"].tolist() == ["lesions", "map8", "masks", "segment", "serving_default", "tiles"]
    assert str(served["precision"]) == "float32"


def test_metadata_and_readme_state_what_serving_default_leaves_to_the_client(served, exported):
    leaves = str(served["serving_default_leaves"])
    assert "colour profiles other than sRGB" in leaves
    assert "orientation tags" in leaves
    assert "TIFF, BMP, WebP" in leaves
    text = (exported / "README.md").read_text().replace("`", "")
    assert leaves in text
    assert "| MA | 0.25 |" in text


def test_the_folder_of_a_version_contains_the_savedmodel_and_the_files_beside_it(exported, model_folder):
    assert exported.name == "3"
    beside = {"segmenter.json", "README.md", "verify.py", "golden.jpg", "golden.json", "golden.npy"}
    assert beside | {"saved_model.pb", "variables"} <= {path.name for path in exported.iterdir()}
    assert (exported / "segmenter.json").read_bytes() == (model_folder / "segmenter.json").read_bytes()
    assert json.loads((exported / "segmenter.json").read_text())["classes"] == ["HE", "MA"]
    assert [path.name for path in exported.parent.iterdir()] == ["3"]  # nothing temporary


def test_signatures_take_and_give_what_the_contract_says(exported):
    loaded = tf.saved_model.load(str(exported))
    forms = {}
    for name in ("serving_default", "segment", "tiles"):
        function = loaded.signatures[name]
        (spec,) = function.structured_input_signature[1].values()
        result = function.structured_outputs["probabilities"]
        forms[name] = (spec.shape.as_list(), spec.dtype, result.shape.as_list(), result.dtype)
    assert forms == {
        "serving_default": ([], tf.string, [None, None, 2], tf.float32),
        "segment": ([None, None, 3], tf.uint8, [None, None, 2], tf.float32),
        "tiles": ([None, 32, 32, 3], tf.float32, [None, 32, 32, 2], tf.float32),
    }


def rgb_noise(height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def file_of(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def without_adobes_mark(jpeg: bytes) -> bytes:
    mark = jpeg.index(b"\xff\xee\0\x0eAdobe")
    return jpeg[:mark] + jpeg[mark + 16 :]


CMYK = Image.fromarray(np.dstack([rgb_noise(), rgb_noise()[..., :1] // 2]), "CMYK")
READ_ALIKE = {
    "JPEG": file_of(Image.fromarray(rgb_noise()), format="JPEG", quality=85),
    "progressive JPEG": file_of(Image.fromarray(rgb_noise()), format="JPEG", progressive=True),
    "grey JPEG": file_of(Image.fromarray(rgb_noise()).convert("L"), format="JPEG"),
    "JPEG CMYK by Adobe": file_of(CMYK, format="JPEG", quality=95),
    "JPEG CMYK": without_adobes_mark(file_of(CMYK, format="JPEG", quality=95)),
    "PNG": file_of(Image.fromarray(rgb_noise()), format="PNG"),
    "PNG with alpha": file_of(Image.fromarray(rgb_noise()).convert("RGBA"), format="PNG"),
    "PNG with a palette": file_of(Image.fromarray(rgb_noise()).quantize(32), format="PNG"),
    "PNG of 16 bits": cv2.imencode(".png", rgb_noise().astype(np.uint16) * 251)[1].tobytes(),
}


@pytest.mark.parametrize("kind", READ_ALIKE)
def test_what_serving_default_decodes_are_the_pixels_that_predict_reads(kind, tmp_path):
    (tmp_path / "photograph").write_bytes(READ_ALIKE[kind])
    expected = read_photograph(tmp_path / "photograph", max_pixels=10**6)
    assert np.ptp(expected) > 100
    found = decode_photograph(tf.constant(READ_ALIKE[kind])).numpy()
    np.testing.assert_allclose(found.astype(int), expected, rtol=0, atol=1 if "CMYK" in kind else 0)


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "WEBP", "GIF", "nothing"])
def test_serving_default_refuses_what_is_left_to_the_client_and_says_what_to_do(kind):
    encoded = b"" if kind == "nothing" else file_of(Image.fromarray(rgb_noise()), format=kind)
    with pytest.raises(tf.errors.InvalidArgumentError, match="sends it to the signature segment"):
        decode_photograph(tf.constant(encoded))


STRATEGY = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from configs import FastConfig, ModelConfig
from models import build_network, precision_policy
from pipeline.inference import SegmenterSpec, save_model

with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope(), precision_policy("mixed_bfloat16"):
    network = build_network(ModelConfig(network="fast", fast=FastConfig(widths=(8, 8))), classes=1)
rng = np.random.default_rng(0)
network.set_weights([weight + rng.normal(0, 0.1, weight.shape) for weight in network.get_weights()])
assert len(network.trainable_weights[0].value.values) == 2  # a copy for each replica
spec = SegmenterSpec(("HE",), 1.0, 32, 0.25, "hann", 2, (0.5,), {}, "0" * 16, "1" * 16)
save_model(Path(sys.argv[1]), network, spec)
"""


@pytest.fixture(scope="module")
def mixed_model(forked, tmp_path_factory):
    """A model folder whose network was trained on two replicas in bfloat16."""
    folder = tmp_path_factory.mktemp("mixed") / "model"
    done = forked(code=STRATEGY, arguments=[folder])
    assert done.returncode == 0, done.stderr
    return folder


def graph_nodes(folder):
    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    functions = [function for function in graph.library.function if "_traced_" not in function.signature.name]
    return [node for function in functions for node in function.node_def]  # those reach for the files of weights


def test_a_model_of_two_replicas_in_bfloat16_becomes_a_plain_float32_graph(mixed_model, fundus, tmp_path):
    target = export_model(load_segmenter(mixed_model), mixed_model, tmp_path, version=1, overwrite=False)
    nodes = graph_nodes(target)
    assert {node.device for node in nodes} == {""}
    assert not [node.op for node in nodes if "PyFunc" in node.op or node.op == "XlaLaunch"]
    assert not [node.name for node in nodes if node.attr["_XlaMustCompile"].b]
    rough = {tf.bfloat16.as_datatype_enum, tf.float16.as_datatype_enum}
    assert not [node.name for node in nodes if {attribute.type for attribute in node.attr.values()} & rough]
    served = tf.saved_model.load(str(target))
    # The same weights in a network that was built in float32 are an independent reference.
    saved = keras.models.load_model(mixed_model / "network.keras", compile=False)
    plain = build_network(ModelConfig(network="fast", fast=FastConfig(widths=(8, 8))), classes=1)
    plain.set_weights(saved.get_weights())
    photograph = fundus(70, 81, seed=2).photograph
    reference = TiledSegmenter(plain, load_segmenter(mixed_model).spec)
    expected = reference.segment(photograph).numpy()
    found = served.signatures["segment"](photograph=tf.constant(photograph))["probabilities"].numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_in_its_own_precision_if_asked_for_the_map_is_predicts(mixed_model, fundus, tmp_path):
    segmenter = load_segmenter(mixed_model)
    target = export_model(segmenter, mixed_model, tmp_path, version=1, overwrite=False, precision="mixed_bfloat16")
    photograph = fundus(70, 81, seed=2).photograph
    served = tf.saved_model.load(str(target))
    found = served.signatures["segment"](photograph=tf.constant(photograph))["probabilities"]
    assert np.ptp(found) > 0.01
    np.testing.assert_allclose(found, segmenter.segment(photograph), atol=1e-6)
    assert served.metadata()["precision"] == b"mixed_bfloat16"


@pytest.mark.slow
def test_the_export_carries_all_that_the_segmenter_does_but_xla(segmenter, model_folder, fundus, tmp_path):
    fields = {"flips": 4, "skip_background": True, "trim": True}
    asked = TiledSegmenter(segmenter.network, dataclasses.replace(segmenter.spec, **fields, xla="on"))
    target = export_model(asked, model_folder, tmp_path, version=1, overwrite=False)
    assert not [node.name for node in graph_nodes(target) if node.attr["_XlaMustCompile"].b]
    served = tf.saved_model.load(str(target))
    expecting = TiledSegmenter(segmenter.network, dataclasses.replace(segmenter.spec, **fields, xla="off"))
    photograph = np.zeros((121, 30, 3), np.uint8)  # narrower than a tile, half of it background
    photograph[:60] = fundus(60, 30, seed=1).photograph
    found = served.signatures["segment"](photograph=tf.constant(photograph))["probabilities"].numpy()
    np.testing.assert_allclose(found, expecting.segment(photograph), atol=1e-6)
    assert not found[-20:].any()


@pytest.mark.parametrize(
    "fields", [{}, {"flips": 4}, {"skip_background": True, "flips": 8}, {"tile_batch": 5, "overlap": 0.5, "scale": 0.7}]
)
def test_batches_are_counted_as_they_go_through_the_network(spec, fields):
    runs = tf.Variable(0)

    def counting(images: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([runs.assign_add(1)]):
            return images[..., :1] / 255

    served = ServedSegmenter(TiledSegmenter(counting, spec(**fields)), OperatingPoint((0.5,)), precision="float32")
    photograph = np.zeros((130, 150, 3), np.uint8)
    photograph[40:90, 50:100] = 180
    counted = served.batches(tf.constant(photograph)).numpy()
    served.segment(tf.constant(photograph))
    assert runs.numpy() == counted > 0


@pytest.mark.parametrize("scaled", [{"scale": 0.5}, {"scale": None, "field_diameter": 100.0}])
def test_an_export_tells_least_areas_in_pixels_of_a_photograph(spec, disc, scaled):
    made = spec(classes=("R", "G"), min_areas=(0.0, 3.0), tile=64, **scaled)
    segmenter = TiledSegmenter(lambda images: images[..., :2] / 255, made)
    served = ServedSegmenter(segmenter, made.operating_point, precision="float32")
    factors = []
    for photograph in (disc(330, 420, diameter=300), disc(90, 110, diameter=80)):
        factors.append(segmenter.measure(photograph).scale.factor)
        found = served.least_areas(tf.constant(photograph)).numpy()
        assert found.tolist() == list(made.operating_point.of_photograph(factors[-1]).least_areas)
    metadata = {name: served.metadata()[name].numpy().tolist() for name in ("min_area", "min_areas")}
    assert metadata["min_areas"] == [0.0, 3.0]
    text = readme(made, segmenter.rule, made.operating_point, precision="float32")
    if made.scale is None:
        assert factors[0] != factors[1] and metadata["min_area"] == [0, 0]
        assert "| G | 0.5 | 3 |" in text and "**of the scaled\nphotograph**" in text
    else:
        assert metadata["min_area"] == [1, 12] and "| G | 0.5 | 12 |" in text and "of the scaled\nph" not in text


@pytest.mark.slow
def test_a_saved_graph_scales_photographs_of_any_size_as_predict_does(spec, disc, tmp_path):
    made = spec(classes=("R", "G", "B"), scale=None, field_diameter=100.0, tile=64)
    rule = made.rule(Camera(scale=0.5, degrees=45))
    segmenter = TiledSegmenter(lambda images: images / 255, made, rule)
    point = OperatingPoint(made.thresholds)
    served = ServedSegmenter(segmenter, point, precision="float32")
    tf.saved_model.save(served, str(tmp_path), signatures={"segment": served.segment})
    loaded = tf.saved_model.load(str(tmp_path))
    flat = np.full((70, 90, 3), 90, np.uint8)  # without a circle
    for photograph in (disc(330, 420, diameter=300), disc(90, 110, diameter=80), flat, flat[:1, :1]):
        found = loaded.signatures["segment"](photograph=tf.constant(photograph))["probabilities"]
        expected = segmenter.segment_measured(segmenter.measure(photograph)).probabilities
        np.testing.assert_allclose(found, expected, atol=2 / 255)
    metadata = loaded.metadata()
    assert [metadata[name] for name in ("scale", "field_diameter", "field_degrees")] == [0, 90, 45]
    assert f"resizes the photograph to {rule}, cuts" in readme(made, rule, point, precision="float32").replace(
        "\n", " "
    )
