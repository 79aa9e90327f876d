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
import pytest

from configs import FastConfig, ModelConfig
from models import build_network
from pipeline.export import export_onnx
from pipeline.inference import SegmenterSpec, TiledSegmenter
from records import lesions

DEMO = Path(__file__).parents[1] / "docs" / "demo"
RUNTIME = os.environ.get("FUNDUS_TILES_ONNXRUNTIME_WEB")  # a folder that docs/demo/build.sh wrote
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_without_an_export_it_says_how_it_is_used(tmp_path):
    done = subprocess.run(
        ["bash", DEMO / "build.sh", tmp_path, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: bash docs/demo/build.sh EXPORT OUT")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def served(tmp_path):
    """The page with a tiny model: its folder, its address and its segmenter."""
    keras.utils.set_random_seed(3)
    network = build_network(ModelConfig(fast=FastConfig(widths=(8, 16), contrast=False)), classes=2)
    spec = SegmenterSpec(
        classes=("HE", "MA"),
        scale=0.5,
        tile=64,
        overlap=0.25,
        window="hann",
        tile_batch=1,
        thresholds=(0.02, 0.02),
        splits={},
        records_fingerprint="",
        config_fingerprint="",
    )
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


@pytest.mark.slow
@pytest.mark.skipif(RUNTIME is None, reason="FUNDUS_TILES_ONNXRUNTIME_WEB is not set")
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt install chromium")
def test_a_photograph_gets_its_regions_and_leaves_the_machine_for_nowhere(served, tmp_path):
    from playwright import sync_api as playwright

    _, address, segmenter = served
    photograph = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "eye.png"), photograph[..., ::-1])
    found = segmenter.spec.operating_point.detect(segmenter.segment(photograph).numpy())
    expected = [len(list(lesions(found[..., index]))) for index in range(2)]
    assert sum(expected) > 0
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        window, asked, problems = browser.new_page(), [], []
        window.on("request", lambda request: asked.append(request.url))
        window.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.goto(address)
        window.set_input_files("#file", tmp_path / "eye.png")
        playwright.expect(window.locator("#status")).to_contain_text(f"{sum(expected)} regions", timeout=60_000)
        names = window.locator("#legend").inner_text().split()
        browser.close()
    assert names == ["HE:", str(expected[0]), "MA:", str(expected[1])]
    assert problems == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {address.split("/")[2]}
