"""The flag --cluster: addresses, nodes that do not fit to the command, and what is said of them."""

import contextlib
import dataclasses
import re
import socket
import sys
import threading
from pathlib import Path

import pytest

from configs import InputError
from scripts.support import cluster
from scripts.support.cluster_node import Home, NodeProcess, Token, home_of


@pytest.mark.parametrize("address", ["10.0.0.5", "here", ":6379", "10.0.0.5:port", "10.0.0.5:99999", "ray://a:1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="expected auto, local, or the address of a cluster, HOST:PORT"):
        cluster._connect(address)


def test_an_address_where_nothing_answers_is_refused_at_once():
    with pytest.raises(InputError, match=r"--cluster=127.0.0.1:1: no cluster answers there \(Connection refused\)"):
        cluster._connect("127.0.0.1:1")


@pytest.mark.parametrize(("says", "reason"), [(None, "timed out"), (b"HTTP/1.1 400 Bad Request", "something else")])
def test_an_address_where_something_else_answers_is_refused(says, reason, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as connection, contextlib.suppress(OSError):
                while connection.recv(99):
                    connection.sendall(says or b"")

        threading.Thread(target=answer).start()
        with pytest.raises(InputError, match=reason):
            cluster._connect(f"127.0.0.1:{server.getsockname()[1]}")


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install -e .\[cluster\]"):
        cluster._connect("auto")


@pytest.fixture
def root(tmp_path) -> Path:
    """A workspace of one module."""
    (tmp_path / "workspace" / "records").mkdir(parents=True)
    (tmp_path / "workspace" / "records" / "grid.py").write_text("TILE = 512\n")
    return tmp_path / "workspace"


def problem_of(home: Home) -> str | None:
    return cluster.cluster_node._problem(home)


def test_a_node_that_fits_has_no_problem(root):
    assert problem_of(home_of(root, (str(root), "."))) is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"python": "2.7.18"}, r"has Python 3\.\d+\.\d+, but the command runs on 2\.7\.18"),
        ({"root": "/nowhere"}, "has no folder /nowhere"),
        ({"workspace": "0"}, "has another version of the workspace in"),
        ({"packages": {"numpy": "1.0"}}, r"has numpy [\d.]+, but the command runs with 1\.0"),
        ({"packages": {"no-such-package": "1.0"}}, "has no-such-package none, but"),
        ({"current": "/nowhere"}, "does not see /nowhere"),
        ({"paths": ("/nowhere/source",)}, "does not see /nowhere/source"),
    ],
)
def test_what_differs_on_a_node_is_named(root, changed, problem):
    home = dataclasses.replace(home_of(root, ()), **changed)
    assert re.search(problem, problem_of(home))


def test_a_changed_line_is_another_version_of_the_workspace(root):
    home = home_of(root, ())
    (root / "records" / "grid.py").write_text("TILE = 256\n")
    assert "another version of the workspace" in problem_of(home)


def test_another_folder_of_the_same_path_is_refused(root, tmp_path):
    process = NodeProcess(dataclasses.replace(home_of(root, ()), root="/nowhere"), cores=1)
    with cluster._token(tmp_path) as token:
        assert process.prepare(lambda: None, token).error is None
        other = process.prepare(lambda: None, Token(token.path, "of another file system"))
    assert "another folder there" in str(other.error)
    assert process.prepare(lambda: None, token).error is not None
    assert not list(tmp_path.glob(".tmp*"))
