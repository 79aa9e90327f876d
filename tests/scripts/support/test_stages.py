"""Stages in the background of a process: real child processes, which are stopped as Ctrl-C stops them."""

import threading
import time
from pathlib import Path

import pytest

from pipeline.interruption import StoppedError
from pipeline.planning import Stage
from scripts.support.stages import BackgroundStages

# Commands by the names of real ones, in a folder that is searched before the workspace.
COMMANDS = {
    "shard": "import sys; print('tiles'); open(sys.argv[1], 'w')",
    "train": """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (print("saved", flush=True), sys.exit(130)))
print("training", flush=True)
time.sleep(60)
""",
    "eval": "import sys; sys.exit('error: no photographs.')",
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "scripts").mkdir()
    for name, code in COMMANDS.items():
        (tmp_path / "scripts" / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stage(name: str, folder: Path) -> Stage:
    return Stage(name, [folder / name], folder / name)


def test_a_stage_that_is_stopped_saves_its_work_and_none_begins_after_it(folder):
    background, began, raised = BackgroundStages(), [], []
    stages = [stage(name, folder) for name in ("shard", "train", "eval")]

    def run() -> None:
        with pytest.raises(StoppedError) as stopped:
            background.run(stages, folder / "log.txt", began.append)
        raised.append(stopped.value)

    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + 30
    while "training" not in ((folder / "log.txt").read_text() if (folder / "log.txt").exists() else ""):
        assert time.monotonic() < until
        time.sleep(0.02)
    background.stop()
    thread.join(20)
    assert raised[0].code == 130 and began == [0, 1]
    log = (folder / "log.txt").read_text()
    assert "tiles" in log and log.rstrip().endswith("saved")
    with pytest.raises(StoppedError):
        background.run(stages, folder / "log.txt", began.append)


def test_a_stage_that_fails_is_the_last_and_its_error_is_in_the_log(folder):
    began: list[int] = []
    stages = [stage(name, folder) for name in ("shard", "eval", "train")]
    assert BackgroundStages().run(stages, folder / "log.txt", began.append) == 1
    assert began == [0, 1]
    assert "error: no photographs." in (folder / "log.txt").read_text()
