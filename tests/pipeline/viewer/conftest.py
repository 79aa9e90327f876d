"""A page that is served with a tiny model, and requests to it as any program could send them."""

import gzip
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import cv2
import pytest

from pipeline.prediction import SegmenterPool
from pipeline.viewer import Corrections, PageSettings, opened_page

CLASSES = ("HE", "MA")
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


def point(thresholds: tuple[float, float] = (0.5, 0.25), **further: object) -> str:
    return urlencode({"thresholds": ",".join(map(str, thresholds)), "areas": ",", **further})


@pytest.fixture(scope="session")
def operating_query() -> Callable[..., str]:
    """What the page adds to addresses whose answers depend on its sliders."""
    return point


@pytest.fixture(scope="session")
def serve(segmenter, fundus, tmp_path_factory) -> Callable[..., Any]:
    """Serves a page with two photographs while a block runs."""

    def make(**settings: Any) -> Any:
        base = tmp_path_factory.mktemp("view")
        photographs, output = base / "photographs", base / "output"
        photographs.mkdir()
        output.mkdir()
        for seed, (name, (height, width)) in enumerate(SIZES.items()):
            cv2.imwrite(str(photographs / f"{name}.png"), fundus(height, width, seed=seed).photograph[..., ::-1])
        files = {name: photographs / f"{name}.png" for name in SIZES}
        spec = segmenter.spec
        corrections = Corrections(output, spec.classes, max_pixels=spec.max_pixels, model="0" * 16)
        opened = opened_page(
            files,
            lambda: SegmenterPool(lambda: segmenter, ["/device:CPU:0"], say=print),
            PageSettings(spec, spec.operating_point, **settings),
            corrections=corrections,
        )
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
