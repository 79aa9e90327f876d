"""Distributes the tests over two processes (pytest-xdist, `-n 2`) and says which ones a marker left out.

Also the server that runs commands and programs in processes of their own, an object store, and the photograph that
tests of scaling draw, in records and in the graph.
"""

import gc
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
COMMANDS = "tests/scripts/"
# Fixtures that take tens of seconds: all tests that use them are marked slow.
SLOW_FIXTURES = {"way", "train", "trained", "exported", "served", "mixed_model"}
LEFT_OUT = pytest.StashKey[Counter[str]]()


class ByFile(LoadScopeScheduling):
    """Runs a file's tests in one process, so that their fixtures are made once, and all tests of commands in another.

    pytest-xdist's own way to group tests, `--dist loadgroup`, does nothing with pytest 9.2 (seen with 3.8.0).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return COMMANDS if file.startswith(COMMANDS) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> ByFile:
    config.option.loadscopereorder = False  # keeps the order of `pytest_collection_modifyitems`
    return ByFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = Counter()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks tests as slow for their fixtures, and starts with the slow files, so that both processes end together."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: (not item.nodeid.startswith(COMMANDS), -slow[item.path]))


def pytest_collection_finish() -> None:
    """Collects garbage seldom: traced graphs are so many objects that a tenth or more of the time would go into it."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session")
def command_environment() -> dict[str, str]:
    """The environment variables of commands."""
    return {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "2",  # as the commands have it; JAX sets another one in a process that imports it
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error:::scripts",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # clusters of tests are on loopback
    }


@pytest.fixture(scope="session")
def forked(command_environment, tmp_path_factory) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    """Runs a command or a program in a fork of a process that has imported TensorFlow but not started it.

    `forked(name="shard", arguments=["--help"])` is `python -m scripts.shard --help`, and `forked(code=…)` is
    `python -c …`, from the workspace root unless `cwd` is given. See `fork_server`.
    """
    base = tmp_path_factory.mktemp("forked")
    stdout, stderr = base / "stdout", base / "stderr"
    command = [sys.executable, Path(__file__).with_name("fork_server.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        open(base / "log", "w") as log,
        subprocess.Popen(command, env=command_environment, stderr=log, **pipes) as server,
    ):

        def run(
            *, name: str = "", code: str = "", arguments: list[object] = (), cwd: Path = ROOT
        ) -> "subprocess.CompletedProcess[str]":
            given = list(map(str, arguments))
            request = {"name": name, "code": code, "arguments": given, "cwd": str(cwd)}
            print(json.dumps({**request, "stdout": str(stdout), "stderr": str(stderr)}), file=server.stdin, flush=True)
            answer = server.stdout.readline()
            assert answer, "the server that runs the commands has ended"
            printed, errors = stdout.read_text(), stderr.read_text()
            return subprocess.CompletedProcess([name or "-c", *given], int(answer), printed, errors)

        yield run
        server.stdin.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    """The variables of the environment by which clients reach an S3 server on loopback, see `store_server`."""
    program = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("store_server.py"))]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{process.stdout.readline().strip()}",
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        finally:
            process.kill()


@pytest.fixture(scope="session")
def disc() -> Callable[..., np.ndarray]:
    """Draws the disc of a field of view in a dark surround, uint8 RGB `[height, width, 3]`.

    Its diameter is in pixels, its centre in pixels from the upper left corner (default: the middle). `rim` is the
    brightness at the edge beside that of the middle, 0 to 1; `surround` and `noise` are grey levels. A notch and a
    flare lie at random places of the edge, letters in a corner.
    """

    def draw(
        height: int,
        width: int,
        *,
        diameter: float,
        y: float | None = None,
        x: float | None = None,
        rim: float = 0.6,
        noise: float = 2,
        surround: float = 2,
        notch: bool = False,
        flare: bool = False,
        letters: bool = False,
        seed: int = 0,
    ) -> np.ndarray:
        rng = np.random.default_rng(seed)
        y, x = height / 2 if y is None else y, width / 2 if x is None else x
        ys, xs = np.ogrid[0.5:height, 0.5:width]

        def from_edge() -> np.ndarray:
            angle = rng.uniform(0, 2 * np.pi)
            return np.hypot(ys - y - diameter / 2 * np.sin(angle), xs - x - diameter / 2 * np.cos(angle))

        from_center = np.hypot(ys - y, xs - x).astype(np.float32)
        light = cv2.resize(
            rng.uniform(0.6, 1, (7, 9)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        light *= 1 - (1 - rim) * np.clip(2 * from_center / diameter, 0, 1) ** 4
        vessels = np.zeros((height, width), np.uint8)
        for ends in rng.uniform(0, 1, (4, 2, 2)) * (width, height):
            cv2.line(vessels, *ends.astype(int).tolist(), 1, max(int(diameter) // 100, 1))
        light *= 1 - np.float32(0.35) * vessels
        inside = np.clip(diameter / 2 - from_center + 0.5, 0, 1)
        if notch:
            inside *= from_edge() > diameter / 25
        grey = surround + (200 * light - surround) * inside
        if flare:
            grey += 120 * np.exp(-((from_edge() / (diameter / 12)) ** 2) / 2).astype(np.float32)
        if letters:
            written = np.zeros((height, width), np.uint8)
            cv2.putText(written, "R 45", (4, height - 6), cv2.FONT_HERSHEY_SIMPLEX, height / 600, 255)
            grey = np.maximum(grey, written)
        color = grey[..., None] * np.array((1, 0.6, 0.3), np.float32)
        color += rng.normal(0, noise, (height, width, 3)).astype(np.float32)
        return np.clip(np.rint(color), 0, 255).astype(np.uint8)

    return draw


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        item.config.stash[LEFT_OUT][item.nodeid.partition("::")[0]] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error: object) -> None:
    """Takes over what a worker left out; each one collects all tests."""
    node.config.stash[LEFT_OUT] |= Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    left_out = config.stash[LEFT_OUT]
    if left_out and config.option.markexpr:
        terminalreporter.section(f"left out {left_out.total()} tests: -m '{config.option.markexpr}'")
        for folder in sorted({str(Path(file).parent) for file in left_out}):
            files = {Path(file).name: number for file, number in left_out.items() if str(Path(file).parent) == folder}
            names = ", ".join(f"{name} ({number})" for name, number in sorted(files.items()))
            terminalreporter.write_line(f"{folder}: {names}")


@pytest.fixture(scope="session")
def write_eyes(disc) -> Callable[..., dict[str, dict[str, np.ndarray]]]:
    """Writes photographs of small eyes as paired folders; returns their masks by name and class, bool `[H, W]`.

    `lesions` has for each class the diameters, pixels, of its lesions in each photograph; they do not touch.
    """

    def write(
        folder: Path,
        *,
        lesions: dict[str, list[list[int]]],
        side: int = 240,
        diameter: float = 200,
        first: int = 0,
    ) -> dict[str, dict[str, np.ndarray]]:
        masks: dict[str, dict[str, np.ndarray]] = {}
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for number in range(len(next(iter(lesions.values())))):
            name = f"eye{first + number}"
            photograph = disc(side, side, diameter=diameter, seed=first + number)
            masks[name] = {}
            for row, (class_name, diameters) in enumerate(lesions.items()):
                mask = np.zeros((side, side), np.uint8)
                for column, wide in enumerate(diameters[number]):
                    center = round(side * (0.3 + 0.13 * column)), round(side * (0.35 + 0.25 * row))
                    cv2.circle(mask, center, wide // 2, 255, -1)
                photograph[mask > 0] = photograph[mask > 0] // 2  # half as bright
                masks[name][class_name] = mask > 0
                (folder / "masks" / class_name).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / "masks" / class_name / f"{name}.png"), mask)
            cv2.imwrite(str(folder / "images" / f"{name}.png"), photograph[..., ::-1])
        return masks

    return write
