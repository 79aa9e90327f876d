"""Commands that read from an S3 server and write to it: the same files as on this machine, and errors in one line."""

import json
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.scripts.conftest import TINY

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store(s3_server, monkeypatch) -> "fsspec.AbstractFileSystem":
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    filesystem = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    if not filesystem.exists("commands"):
        filesystem.mkdir("commands")
    return filesystem


# Runs a command with further variables of the environment.
COMMAND = """
import json, os, runpy, sys

os.environ.update(json.loads(sys.argv[1]))
sys.argv = sys.argv[2:]
runpy.run_module(f"scripts.{sys.argv[0]}", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def ran(s3_server, forked, tmp_path) -> "Callable[..., subprocess.CompletedProcess[str]]":
    """Runs a command that knows the server."""

    def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        cache = f"--cache_dir={tmp_path / 'cache'}"
        return forked(code=COMMAND, arguments=[json.dumps(s3_server), name, *arguments, cache])

    return run


@pytest.mark.slow
def test_shards_and_masks_in_a_store_are_those_of_this_machine(ran, way, store, tmp_path):
    store.put(f"{way.source}/", "commands/source", recursive=True)
    store.put(f"{way.workdir / 'model'}/", "commands/model", recursive=True)
    sharded = ran("shard", *TINY, "--source=s3://commands/source", "--records=s3://commands/records")
    assert sharded.returncode == 0, sharded.stderr
    assert "s3://commands/source: " in sharded.stderr and "published: s3://commands/records" in sharded.stderr
    shards = sorted(path.name for path in way.records.glob("fundus*"))
    assert shards and shards == sorted(path.rpartition("/")[2] for path in store.glob("commands/records/fundus*"))
    for name in shards:
        assert store.cat(f"commands/records/{name}") == (way.records / name).read_bytes()
    assert store.exists("commands/records/index.json")
    assert not [path for path in store.find("commands/records") if "/." in path]

    part = "A. Segmentation/1. Original Images/b. Testing Set"
    remote = ("--model=s3://commands/model", "--output=s3://commands/out", f"s3://commands/source/{part}")
    predicted = ran("predict", *remote, "--probabilities")
    assert predicted.returncode == 0, predicted.stderr
    masks = {path.relative_to(way.predictions).as_posix(): path for path in way.predictions.rglob("*.png")}
    assert masks and masks.keys() == {
        path.partition("/out/")[2] for path in store.find("commands/out") if path.endswith(".png")
    }
    for name, path in masks.items():
        assert store.cat(f"commands/out/{name}") == path.read_bytes()
    shutil.rmtree(tmp_path / "cache")  # as on another machine
    again = ran("predict", *remote, "--probabilities")
    assert again.returncode == 0 and "2 of them already finished" in again.stdout


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (
            "inspect",
            ["--records=s3://no-such-bucket/records", "--output=O", "--config=configs/demo.py"],
            "s3://no-such-bucket/records: is not there",
        ),
        (
            "inspect",
            ["--records=s3://commands/nothing", "--output=O", "--config=configs/demo.py"],
            "s3://commands/nothing: nothing is there; check",
        ),
        (
            "plan",
            ["--source=S", "--output=s3://commands/plan.py"],
            "--output=s3://commands/plan.py: expected a path here, and no address of a store.",
        ),
        (
            "train",
            ["--cluster=local", "--config=configs/demo.py", "--records=s3://commands/records", "--workdir=W"],
            "--records=s3://commands/records: expected a path here",
        ),
        ("predict", ["--model=M", "--output=nosuch://x/out", "p.png"], "nosuch://x/out: Protocol not known: nosuch"),
    ],
)
def test_wrong_addresses_are_refused_in_one_line(ran, store, command, arguments, message):
    done = ran(command, *arguments)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}"), done.stderr
    assert len(done.stderr.splitlines()) == 1
