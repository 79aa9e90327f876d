"""Sharding that is killed at random moments and restarted ends with the same bytes and keeps finished shards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from records import read_index
from records.shards.verifying import verify_records

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
KILLS = 6


def shards(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*tfrecord*")}


def killing(source: Path, records: Path, kills: int, longest: float, seed: int = 0) -> dict:
    command = [sys.executable, str(Path(__file__).with_name("killing.py")), str(source), str(records)]
    done = subprocess.run(
        [*command, str(kills), str(longest), str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_shards_have_the_same_bytes_however_often_the_run_is_killed(run, tmp_path, capsys):
    source = tmp_path / "source"
    assert run("synthesize", f"--output={source}", "--training=8", "--test=2").returncode == 0
    whole = killing(source, tmp_path / "undisturbed", 0, 0)
    assert whole["exit"] == 0
    undisturbed = shards(tmp_path / "undisturbed" / "0")
    assert len(undisturbed) > 8
    result = killing(source, tmp_path / "killed", KILLS, longest=0.7 * whole["seconds"])
    assert result["exit"] == 0
    assert len(result["seen"]) == KILLS
    for name in result["sets"]:
        folder = tmp_path / "killed" / name
        assert shards(folder) == undisturbed
        assert verify_records(folder, read_index(folder)) == []
        assert not (folder / ".building").exists()
        assert not list(folder.glob(".tmp*"))
    # A shard that was finished before a kill is the same file afterwards: moved, not written again.
    for one in result["seen"]:
        for name, inode in one["finished"].items():
            assert (tmp_path / "killed" / one["set"] / name).stat().st_ino == inode
    counts = [len(one["finished"]) for one in result["seen"]]
    assert sum(count > 0 for count in counts) >= 2, "hardly any kill came between two shards; choose other moments"
    with capsys.disabled():
        print(f"\n{KILLS} kills, {len(result['sets'])} sets of {len(undisturbed)} shards; finished by then: {counts}")


def test_one_worker_and_four_give_the_same_bytes(run, way, tmp_path):
    for workers in (1, 4):
        done = run(
            "shard", "--config=configs/demo.py", "--config.data.photographs_per_shard=3", f"--source={way.source}",
            f"--records={tmp_path / str(workers)}", f"--workers={workers}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert shards(tmp_path / "1") == shards(tmp_path / "4")
    assert (tmp_path / "1" / "index.json").read_bytes() == (tmp_path / "4" / "index.json").read_bytes()
