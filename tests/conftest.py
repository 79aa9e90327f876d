"""Tests run in two processes (pytest-xdist): those that share what is dear to make go to the same one."""

import pytest

# Fixtures that take a minute, by which tests of several files are kept together; they begin first, as they end last.
DEAR = ("way",)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups tests by file, as fixtures of a module are made once a process, or by a dear fixture."""

    def group(item: pytest.Item) -> str:
        return next((name for name in DEAR if name in getattr(item, "fixturenames", ())), str(item.path))

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: group(item) not in DEAR)
