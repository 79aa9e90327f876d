"""Distributes the tests over two processes (pytest-xdist, `-n 2`) and says which ones a marker left out."""

from collections import Counter
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

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
