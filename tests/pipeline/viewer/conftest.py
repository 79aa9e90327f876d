"""A page that is served with a tiny model, and requests to it as any program could send them."""

import gzip
import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import cv2
import numpy as np
import pytest

from configs import Config, DataConfig, ModelConfig, SegmentConfig, TrainConfig
from configs.schema.networks import UNetConfig
from pipeline.inference import load_segmenter, spec_of
from pipeline.inference.model_folder import fingerprint_of
from pipeline.planning import Stage
from pipeline.prediction import SegmenterPool
from pipeline.viewer import Corrections, PageSettings, StageRunner, TrainOn, ViewedModel, opened_page
from pipeline.viewer.corrections import Drawn
from pipeline.viewer.library import Viewed
from records import pack_classes

CLASSES = ("HE", "MA")
# How the tiny model could have been trained; its network is that of the fixture `network`.
CONFIG = Config(
    data=DataConfig(classes=CLASSES, scale=0.8, tile=32, stride=32, empty_per_nonempty=1.0),
    model=ModelConfig(unet=UNetConfig(width=4, levels=3)),
    train=TrainConfig(batch_size=4, lesion_fraction=0.5),
    segment=SegmentConfig(tile=32, overlap=0.25),
)
SIZES = {"left": (96, 130), "right": (80, 110)}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served(NamedTuple):
    """A page: its folder of photographs, its temporary folder, and where corrections go."""

    url: str
    photographs: Path
    folder: Path
    output: Path

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Answer:
        """Sends a request of this very form; headers by name with _ for -, None leaves out one of the page's own."""
        address = urlsplit(self.url)
        given = {"Host": address.netloc, "Origin": f"http://{address.netloc}" if method != "GET" else None}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None and "Content-Length" not in given:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        received = connection.getresponse()
        answer = Answer(received.status, dict(received.headers), received.read())
        connection.close()
        return answer

    def cases(self) -> dict[str, dict[str, Any]]:
        """The photographs by name."""
        return {case["name"]: case for case in self.ask("GET", "/api/news?since=0").json["cases"]}

    def wait_for(self, *names: str) -> dict[str, dict[str, Any]]:
        """Waits until photographs are segmented and counted, or have failed."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            cases = self.cases()
            if all(cases[name]["lesions"] is not None or cases[name]["state"] == "failed" for name in names):
                return cases
            time.sleep(0.05)
        raise AssertionError(f"not segmented: {cases}")

    def save(self, number: int, planes: bytes, **told: object) -> Answer:
        """Saves labels as the page does."""
        known = {"revision": 0, "by": "Ada", "complete": ["HE"], "thresholds": [0.5, 0.25], "areas": [1, 1], **told}
        headers = {"X_Labels": json.dumps(known)}
        return self.ask("PUT", f"/api/photographs/{number}/labels", gzip.compress(planes), **headers)


class NoStages:
    """Runs no stages: a test that trains brings what runs them."""

    def run(self, stages: Sequence[Stage], log: Path, began: Callable[[int], None]) -> int:
        raise AssertionError("nothing is to be trained here")

    def stop(self) -> None:
        raise AssertionError("nothing is to be trained here")


def point(thresholds: tuple[float, float] = (0.5, 0.25), **further: object) -> str:
    return urlencode({"thresholds": ",".join(map(str, thresholds)), "areas": ",", **further})


@pytest.fixture(scope="session")
def operating_query() -> Callable[..., str]:
    """What the page adds to addresses whose answers depend on its sliders."""
    return point


@pytest.fixture(scope="session")
def described(segmenter, model_folder) -> Callable[[Path], ViewedModel]:
    """Describes a model folder; the tiny model's is loaded already."""

    def describe(folder: Path) -> ViewedModel:
        spec = spec_of(folder)

        def load() -> SegmenterPool:
            known = segmenter if folder == model_folder else None
            return SegmenterPool(lambda: known or load_segmenter(folder), ["/device:CPU:0"], say=print)

        return ViewedModel((folder,), spec, spec.operating_point, fingerprint_of(folder, spec.classes), load)

    return describe


@pytest.fixture(scope="session")
def train_on(described) -> Callable[..., TrainOn]:
    """What training on needs, with the tiny model; its stages run as a runner says."""
    return lambda runner: TrainOn(runner, lambda model: CONFIG, described)


@pytest.fixture(scope="session")
def correct(fundus, tmp_path_factory) -> Callable[..., None]:
    """Saves corrections of photographs of the numbers `first` to `last`, named eye1 and so on."""

    def save(corrections: Corrections, first: int, last: int, complete: tuple[str, ...] = CLASSES) -> None:
        folder = tmp_path_factory.mktemp("eyes")
        for number in range(first, last + 1):
            eye = fundus(64, 80, seed=number)
            cv2.imwrite(str(folder / f"eye{number}.png"), eye.photograph[..., ::-1])
            ignored = np.zeros((64, 80), np.uint8)
            ignored[20:25, 20:25] = 2
            corrections.save(
                Viewed(0, f"eye{number}", folder / f"eye{number}.png"),
                Drawn(pack_classes(eye.masks), ignored, complete),
                revision=0,
                by="Ada",
                levels=np.zeros((2, 4, 5), np.uint8),
                started_from={},
            )

    return save


@pytest.fixture(scope="session")
def serve(segmenter, described, model_folder, train_on, fundus, tmp_path_factory) -> Callable[..., Any]:
    """Serves a page with two photographs while a block runs; a training's stages run as `runner` says."""

    def make(*, runner: Callable[[], StageRunner] = NoStages, **settings: Any) -> Any:
        base = tmp_path_factory.mktemp("view")
        photographs, output = base / "photographs", base / "output"
        photographs.mkdir()
        output.mkdir()
        for seed, (name, (height, width)) in enumerate(SIZES.items()):
            cv2.imwrite(str(photographs / f"{name}.png"), fundus(height, width, seed=seed).photograph[..., ::-1])
        files = {name: photographs / f"{name}.png" for name in SIZES}
        spec = segmenter.spec
        corrections = Corrections(output, spec.classes, max_pixels=spec.max_pixels, model="0" * 16)
        model, further = described(model_folder), {"corrections": corrections, "train_on": train_on(runner)}
        opened = opened_page(files, model, PageSettings(**settings), **further)
        return opened, photographs, output

    return make


@pytest.fixture(scope="session")
def page(serve) -> Iterator[Served]:
    """A page on loopback whose photographs are segmented."""
    opened, photographs, output = serve()
    with opened as page:
        served = Served(page.url, photographs, page.folder, output)
        served.wait_for(*SIZES)
        yield served


@pytest.fixture(scope="session")
def ask_at() -> Callable[[str], Served]:
    """Asks a page at an address."""
    return lambda url: Served(url, Path(), Path(), Path())
