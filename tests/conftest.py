"""Tests run in two processes (pytest-xdist, `-n 2`): those that share what is dear to make go to the same one."""

import pytest
from xdist.scheduler import LoadScopeScheduling

COMMANDS = "tests/scripts/"


class ByFile(LoadScopeScheduling):
    """A file's tests run in one process, as its fixtures are made once; those of the commands all in the same one.

    pytest-xdist's own way to group tests, `--dist loadgroup`, does nothing with pytest 9.2 (seen with 3.8.0).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return COMMANDS if file.startswith(COMMANDS) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> ByFile:
    return ByFile(config, log)
