"""The demo page finds in Chromium what the client finds, and asks no other machine for anything."""

import functools
import http.server
import os
import shutil
import subprocess
import threading
from pathlib import Path

import cv2
import keras
import numpy as np
import onnx
import pytest

from configs import FastConfig, ModelConfig
from models import build_network
from pipeline.export import export_onnx
from pipeline.inference import TiledSegmenter
from records import lesions
from tests.chromium import CHROMIUM, needs_chromium
from tests.specs import make_spec

DEMO = Path(__file__).parents[1] / "docs" / "demo"
RUNTIME = os.environ.get("FUNDUS_TILES_ONNXRUNTIME_WEB")  # a folder for docs/demo/runtime.sh


def test_without_an_export_it_says_how_it_is_used(tmp_path):
    done = subprocess.run(
        ["bash", DEMO / "build.sh", tmp_path, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: bash docs/demo/build.sh EXPORT OUT")
    assert not (tmp_path / "out").exists()


def test_an_export_of_an_earlier_version_is_refused(tmp_path):
    (tmp_path / "segmenter.onnx").touch()
    done = subprocess.run(
        ["bash", DEMO / "build.sh", tmp_path, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"{tmp_path}: an export of an earlier version; export again with --overwrite\n"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def served(tmp_path):
    """The page with a tiny model: its folder, its address and its segmenter."""
    keras.utils.set_random_seed(3)
    network = build_network(ModelConfig(fast=FastConfig(widths=(8, 16), contrast=False)), classes=2)
    tiling = {"scale": 0.5, "tile": 64, "overlap": 0.25, "window": "hann", "tile_batch": 1}
    spec = make_spec(classes=("HE", "MA"), thresholds=(0.02, 0.02), **tiling)
    segmenter = TiledSegmenter(network, spec)
    folder = tmp_path / "page"
    export_onnx(segmenter, folder, operating_point=spec.operating_point, overwrite=False, precision="float32")
    for file in [*DEMO.iterdir(), *Path(RUNTIME or "").glob("ort*")]:
        shutil.copy(file, folder)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/index.html", segmenter
        server.shutdown()


def found_in_chromium(address, photograph: Path, *flags: str) -> tuple[str, list[str]]:
    """Returns what the page says of a photograph, and the names and counts of its legend; it must not ask elsewhere."""
    from playwright import sync_api as playwright

    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *flags])
        window, asked, problems = browser.new_page(), [], []
        window.on("request", lambda request: asked.append(request.url))
        window.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.goto(address)
        window.set_input_files("#file", photograph)
        playwright.expect(window.locator("#status")).to_contain_text("regions", timeout=120_000)
        said, legend = window.locator("#status").inner_text(), window.locator("#legend").inner_text().split()
        browser.close()
    assert problems == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {address.split("/")[2]}
    return said, legend


@pytest.fixture
def photograph(served, tmp_path):
    """A photograph's file, and the number of regions of each class in it."""
    _, _, segmenter = served
    pixels = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "eye.png"), pixels[..., ::-1])
    found = segmenter.spec.operating_point.detect(segmenter.segment(pixels).numpy())
    counts = [len(list(lesions(found[..., index]))) for index in range(2)]
    assert sum(counts) > 0
    return tmp_path / "eye.png", counts


@pytest.fixture
def software_gpu(served):
    """Lets the page take an adapter that the CPU computes, as there is no GPU here."""
    worker = served[0] / "worker.js"
    text = worker.read_text()
    assert "adapter.info?.isFallbackAdapter" in text
    worker.write_text(text.replace("adapter.info?.isFallbackAdapter", "false"))
    return "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"


@pytest.mark.slow
@pytest.mark.skipif(RUNTIME is None, reason="FUNDUS_TILES_ONNXRUNTIME_WEB is not set")
@needs_chromium
class TestInChromium:
    def test_a_photograph_gets_its_regions_and_leaves_the_machine_for_nowhere(self, served, photograph):
        file, counts = photograph
        said, legend = found_in_chromium(served[1], file)
        assert said.startswith(f"200x150 pixels: {sum(counts)} regions") and said.endswith("on the CPU (WebAssembly)")
        assert legend == ["HE:", str(counts[0]), "MA:", str(counts[1])]

    def test_with_webgpu_the_regions_are_the_same(self, served, photograph, software_gpu):
        file, counts = photograph
        said, legend = found_in_chromium(served[1], file, *software_gpu)
        assert said.startswith(f"200x150 pixels: {sum(counts)} regions") and said.endswith("on the GPU (WebGPU)")
        assert legend == ["HE:", str(counts[0]), "MA:", str(counts[1])]

    def test_a_gpu_that_computes_something_else_is_not_used(self, served, photograph, software_gpu):
        file, counts = photograph
        spoil(served[0] / "network.onnx")  # which the CPU does not need
        said, legend = found_in_chromium(served[1], file, *software_gpu)
        assert "on the CPU (WebAssembly), as the GPU cannot be used: its probabilities differ by 0." in said
        assert legend == ["HE:", str(counts[0]), "MA:", str(counts[1])]


def spoil(network: Path) -> None:
    model = onnx.load(network)
    weights = next(weight for weight in model.graph.initializer if len(weight.dims) == 4)
    weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), weights.name))
    onnx.save(model, network)
