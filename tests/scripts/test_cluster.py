"""Commands on a real cluster, a head and two nodes of one core each, whose nodes are killed while they work.

With FUNDUS_TILES_KILLS=N, which takes minutes, N processes are killed while files are written, and the command is
killed, too, while it shards.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.training.checkpoints import LIST_FILE
from records import holder, sweep_temporaries
from tests.scripts.conftest import TINY

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SECONDS = 600  # after which what a test waits for does not come
KILLS = int(os.environ.get("FUNDUS_TILES_KILLS", "0"))
in_long_form = pytest.mark.skipif(not KILLS, reason="takes minutes; with FUNDUS_TILES_KILLS=20 it kills 20 processes")

# Maps functions over pieces, and prints what comes back.
MAP = """
import os, sys, warnings
from absl import flags
from configs import InputError
from records import PhotographWarning
from scripts.support import cluster

cluster.define_flags()
flags.FLAGS(["map", "--cluster=" + sys.argv[1]])

def work(piece):
    if piece == "deadly":
        os.kill(os.getpid(), 9)
    if piece == "bad":
        raise InputError("cannot be read")
    if piece == "odd":
        warnings.warn(PhotographWarning("looks odd"))
    return piece.upper(), os.getcwd()

with warnings.catch_warnings(record=True) as caught, cluster.connected(reads=["."]) as nodes:
    warnings.simplefilter("always")
    for outcome in nodes.map(work, sys.argv[2:]):
        print(type(outcome).__name__, outcome)
print([str(one.message) for one in caught if one.category is PhotographWarning])
"""


# Writes files, whose content is a long computation of their names.
WRITE = """
import sys, time
from pathlib import Path
from absl import flags
from records import write_text
from scripts.support import cluster

cluster.define_flags()
flags.FLAGS(["map", "--cluster=" + sys.argv[1]])
folder = Path(sys.argv[2])

def write(piece):
    for part in range(4):
        time.sleep(0.05)
        write_text(folder / f"{piece}-{part}.txt", str(piece) * 100_000)
    return piece

with cluster.connected(reads=["."]) as nodes:
    assert list(nodes.map(write, range(int(sys.argv[3])), folder=folder)) == list(range(int(sys.argv[3])))
"""


class Nodes:
    """The cluster: `address`, and how to kill and add nodes."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        started = process.stdout.readline()
        if not started:
            pytest.skip("Ray could not start its nodes, for each of which it has a minute; the machine is too busy")
        self.address = json.loads(started)["address"]

    def tell(self, line: str) -> int:
        """Sends `kill NUMBER` or `add`; returns how many nodes were started in all."""
        print(line, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())["nodes"]


@contextlib.contextmanager
def started(environment: dict[str, str]) -> Iterator[Nodes]:
    """Starts a cluster with two nodes."""
    program = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("cluster_nodes.py")), "2"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(program, env=environment, **pipes) as process:
        try:
            yield Nodes(process)
        finally:
            process.stdin.close()


@pytest.fixture(scope="module")
def nodes(command_environment) -> Iterator[Nodes]:
    with started(command_environment) as nodes:
        yield nodes


@pytest.fixture
def two_nodes(command_environment) -> Iterator[Nodes]:
    """Two nodes of which no other test has killed any."""
    with started(command_environment) as nodes:
        yield nodes


@contextlib.contextmanager
def running(run, *arguments: object) -> Iterator[list]:
    """Runs a command in a thread; the list that is yielded has its end when the block has ended."""
    ended: list = []
    thread = threading.Thread(target=lambda: ended.append(run(*arguments)))
    thread.start()
    try:
        yield ended
    finally:
        thread.join()


def wait_for(condition, ended: list) -> None:
    began = time.monotonic()
    while not condition() and not ended:
        assert time.monotonic() - began < SECONDS, "nothing came"
        time.sleep(0.02)


def finished(records: Path) -> list[Path]:
    return [note.with_suffix("") for note in (records / ".building").glob("*.json")]


def test_a_piece_is_mapped_warned_of_or_refused(forked, nodes):
    done = forked(code=MAP, arguments=[nodes.address, "a", "bad", "odd", "e"])
    assert done.returncode == 0, done.stderr
    *lines, summary, warned = done.stdout.splitlines()
    tuples = [f"tuple ('{letter}', '{ROOT}')" for letter in ("A", "ODD", "E")]
    assert lines == [tuples[0], "InputError cannot be read", *tuples[1:]]
    assert re.fullmatch(r"(1 node|2 nodes): (\S+ \d pieces in \d+\.\d s of work(; )?)+", summary)
    assert warned == "['looks odd']"


@in_long_form
def test_a_piece_that_kills_its_process_is_named(forked, nodes):
    done = forked(code=MAP, arguments=[nodes.address, "a", "deadly", "e"])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("LostPieceError ended the process that worked on it 4 times")
    assert [lines[0], lines[2]] == [f"tuple ('{letter}', '{ROOT}')" for letter in ("A", "E")]
    assert done.stderr.count("was lost") == 3


def test_shards_have_the_same_bytes_whatever_is_killed(run, nodes, tmp_path):
    source, here, there = tmp_path / "source", tmp_path / "here", tmp_path / "there"
    photographs = 40 if KILLS else 6  # enough that work is left when a node has been added
    assert run("synthesize", f"--output={source}", f"--training={photographs}", "--test=1").returncode == 0
    flags = ("--config=configs/demo.py", "--config.data.photographs_per_shard=1", f"--source={source}")
    assert run("shard", *flags, f"--records={here}").returncode == 0
    command = ("shard", *flags, f"--records={there}", f"--cluster={nodes.address}")

    kept: dict[str, int] = {}
    with running(run, *command) as ended:  # a node is killed while it writes, and in the long form then the command
        wait_for(lambda: finished(there), ended)
        nodes.tell("kill 0")
        if KILLS:
            nodes.tell("add")
            wait_for(lambda: len(finished(there)) >= 4, ended)
            os.kill(int(re.search(r"process (\d+)", holder(there / ".building" / "lock"))[1]), signal.SIGKILL)
    done = ended[0]
    if KILLS:
        assert done.returncode == -signal.SIGKILL, done.stderr
        kept = {path.name: path.stat().st_ino for path in finished(there) if path.exists()}
        assert len(kept) >= 4
        done = run(*command)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d nodes?: ", done.stdout, re.MULTILINE)
    assert {path.name: path.read_bytes() for path in here.glob("fundus*")} == {
        path.name: path.read_bytes() for path in there.glob("fundus*")
    }
    assert (here / "index.json").read_bytes() == (there / "index.json").read_bytes()
    assert sorted(path.name for path in here.iterdir()) == sorted(path.name for path in there.iterdir())  # no leftovers
    for name, inode in kept.items():  # what was finished is passed over
        assert (there / name).stat().st_ino == inode


@in_long_form
def test_masks_are_those_of_a_local_run_though_nodes_are_killed_and_then_the_command(run, nodes, way, tmp_path):
    photographs, here, there = tmp_path / "photographs", tmp_path / "here", tmp_path / "there"
    photographs.mkdir()
    original = sorted((way.source / "A. Segmentation" / "1. Original Images").rglob("*.jpg"))
    for number in range(24):
        (photographs / f"eye{number}.jpg").write_bytes(original[number % len(original)].read_bytes())
    flags = (f"--model={way.workdir / 'model'}", str(photographs))
    assert run("predict", *flags, f"--output={here}").returncode == 0
    command = ("predict", *flags, f"--output={there}", f"--cluster={nodes.address}")

    def written() -> int:
        return len(list((there / "masks").rglob("*.png")))

    with running(run, *command) as ended:
        wait_for(lambda: written() >= 2, ended)
        number = nodes.tell("add")
        nodes.tell(f"kill {number - 2}")
        wait_for(lambda: written() >= 8, ended)
        os.kill(int(re.search(r"process (\d+)", holder(there / ".lock"))[1]), signal.SIGKILL)
    assert ended[0].returncode == -signal.SIGKILL
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert "passed over" in done.stdout or "already" in done.stdout
    names = sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(there) for path in there.rglob("*") if path.is_file())  # no leftovers
    for name in names:
        if name.suffix in (".png", ".csv"):
            assert (there / name).read_bytes() == (here / name).read_bytes(), name


@in_long_form
def test_folds_have_the_scores_of_a_local_run_though_a_node_is_killed_in_one(run, nodes, way, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    small = ("tile=64", "stride=64")
    flags = (
        "--config=tests/scripts/tiny_preset.py",
        *(f"--config.data.{one}" for one in small),
        "--config.model.unet.levels=2",
        "--config.model.unet.width=8",
        "--config.train.batch_size=2",
        "--config.train.steps_per_epoch=10",
        "--config.train.epochs=6",
        "--config.train.previews=0",
        "--config.train.deterministic=True",
        f"--source={way.source}",
        "--folds=2",
    )
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # as a node has it: sums over more threads are rounded otherwise
    local = run("crossval", *flags, f"--workdir={here}", fresh=True)
    os.sched_setaffinity(0, cores)
    assert local.returncode == 0, local.stderr
    with running(run, "crossval", *flags, f"--workdir={there}", f"--cluster={nodes.address}") as ended:
        wait_for(lambda: any(there.glob("fold_*/run/history.csv")), ended)
        number = nodes.tell("add")
        nodes.tell(f"kill {number - 2}")
    done = ended[0]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is done again" in done.stderr
    for fold in range(2):
        assert f"fold {fold} of 2: finished." in done.stdout
        counts = Path(f"fold_{fold}") / "result" / "0" / "counts.npz"
        assert (there / counts).read_bytes() == (here / counts).read_bytes()


@in_long_form
def test_a_training_on_two_nodes_of_which_one_is_killed_goes_on_to_the_end_of_an_undisturbed_one(
    run, two_nodes, way, tmp_path
):
    flags = (
        *TINY,
        "--config.train.steps_per_epoch=10",
        "--config.train.epochs=4",
        "--config.train.previews=0",
        "--config.train.deterministic=True",
        f"--records={way.records}",
        f"--source={way.source}",
        f"--cluster={two_nodes.address}",
    )
    undisturbed = run("train", *flags, f"--workdir={tmp_path / 'undisturbed'}")
    assert undisturbed.returncode == 0, undisturbed.stdout + undisturbed.stderr
    assert "on 2 nodes: " in undisturbed.stdout
    assert "on 2 hosts, each with its CPU, 4 tiles for each device per step" in undisturbed.stdout
    assert undisturbed.stdout.count("epoch ") >= 4
    command = ("train", *flags, f"--workdir={tmp_path / 'killed'}")
    with running(run, *command) as ended:
        wait_for((tmp_path / "killed" / "checkpoints" / LIST_FILE).exists, ended)
        two_nodes.tell("kill 1")
    done = ended[0]
    assert done.returncode != 0
    assert "is gone" in done.stdout + done.stderr or "was lost" in done.stderr
    two_nodes.tell("add")
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continues after epoch" in done.stdout

    def history(name: str) -> list[list[str]]:
        rows = [line.split(",") for line in (tmp_path / name / "history.csv").read_text().splitlines()]
        return [[value for value, key in zip(row, rows[0], strict=True) if key != "seconds"] for row in rows]

    assert history("killed") == history("undisturbed")


@in_long_form
def test_files_are_whole_whatever_is_killed(forked, nodes, tmp_path, capsys):
    pieces, draw, struck = 20 * KILLS, random.Random(0), 0
    with running(lambda *arguments: forked(code=WRITE, arguments=arguments), nodes.address, tmp_path, pieces) as ended:
        wait_for(lambda: any(tmp_path.glob("[!.]*")), ended)
        while not ended and struck < KILLS:
            there = len(list(tmp_path.glob("[!.]*")))
            wait_for(lambda there=there: len(list(tmp_path.glob("[!.]*"))) > there, ended)
            time.sleep(draw.uniform(0, 0.4))
            nodes.tell(f"strike {struck % 2}")
            struck += 1
    assert ended[0].returncode == 0, ended[0].stderr
    assert struck == KILLS
    expected = {f"{piece}-{part}.txt": str(piece) * 100_000 for piece in range(pieces) for part in range(4)}
    assert {path.name: path.read_text() for path in tmp_path.glob("[!.]*")} == expected
    sweep_temporaries(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(expected)
    with capsys.disabled():
        print(f"\n{struck} kills in {pieces} pieces; {ended[0].stderr.count('was lost')} of them in the middle of one")
