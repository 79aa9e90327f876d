"""Two hosts, which are processes here: one is killed, both start again, and end as if nothing had happened.

With FUNDUS_TILES_KILLS=N, which takes minutes, N times one of them is killed.
"""

import dataclasses
import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs import Config, ModelConfig, UNetConfig
from tests.pipeline.training.paired_source import DATA, sharded_from
from tests.pipeline.training.trainings import Trainings, assert_same_training, done_epochs

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("FUNDUS_TILES_KILLS", "1"))
EPOCHS = 4 if KILLS == 1 else 2 * KILLS


@pytest.fixture(scope="module")
def run_config(config) -> Config:
    """Short epochs, with what has a state, and photographs that are validated whole."""
    return dataclasses.replace(
        config,
        data=DATA,
        model=ModelConfig(unet=UNetConfig(width=4, levels=2, dropout=0.2)),
        train=dataclasses.replace(
            config.train,
            batch_size=4,
            epochs=EPOCHS,
            steps_per_epoch=3,
            learning_rate=1e-2,
            ema_momentum=0.9,
            photographs_every=1,
            previews=0,
            deterministic=True,
        ),
    )


class Pair:
    """Runs a training on two hosts."""

    def __init__(self, hosts: list[Trainings]):
        self.hosts = hosts

    def start(self, workdir: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two)]
        for index, host in enumerate(self.hosts):
            task = {"type": "worker", "index": index}
            host.start(workdir, TF_CONFIG=json.dumps({"cluster": {"worker": addresses}, "task": task}))

    def finish(self) -> list[int]:
        return [host.finish() for host in self.hosts]

    def logs(self) -> str:
        return "\n".join(host.log.read_text() for host in self.hosts)


@pytest.fixture(scope="module")
def pair(run_config, fundus, shard, tmp_path_factory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("hosts")
    splits = {"A": "train", "B": "train", "V1": "valid", "V2": "valid", "V3": "valid"}
    records = sharded_from(folder, fundus, shard, splits)
    (folder / "config.json").write_text(run_config.to_json())
    hosts = [Trainings(folder / "config.json", records.folder, folder / f"{index}.txt") for index in range(2)]
    for host in hosts:
        host.arguments.append(f"--source={folder / 'source'}")
    yield Pair(hosts)
    for host in hosts:
        host.close()


@pytest.fixture(scope="module")
def undisturbed(pair, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("undisturbed") / "run"
    pair.start(workdir)
    assert pair.finish() == [0, 0], pair.logs()
    return workdir


def test_one_host_writes_and_the_other_says_which_it_is(pair, undisturbed):
    assert "on 2 hosts, each with its CPU, 2 tiles for each device per step" in pair.hosts[0].log.read_text()
    second = pair.hosts[1].log.read_text().splitlines()
    assert [line for line in second if "this is host 1" in line and "of 2; host 0 writes and reports" in line]
    assert len(second) == 1
    assert not list(undisturbed.rglob(".tmp*"))


def test_hosts_of_which_one_is_stopped_and_one_killed_end_as_the_undisturbed_ones(pair, undisturbed, tmp_path):
    workdir = tmp_path / "run"
    pair.start(workdir)
    pair.hosts[0].wait_for_epochs(workdir, 1)
    pair.hosts[1].send(signal.SIGTERM)
    assert pair.finish() == [143, 143], pair.logs()
    assert "stopped by SIGTERM on host 1 (127.0.0.1:" in pair.hosts[0].log.read_text()
    draw, kills = random.Random(0), []
    while len(kills) < KILLS:
        before = done_epochs(workdir)
        pair.start(workdir)
        pair.hosts[0].wait_for_epochs(workdir, min(before + draw.randint(0, 1), EPOCHS - 1))
        time.sleep(draw.uniform(0, 1) if KILLS > 1 else 0.1)
        victim = draw.randrange(2)
        pair.hosts[victim].send(signal.SIGKILL)
        began = time.monotonic()
        codes = pair.finish()
        assert codes[victim] == -signal.SIGKILL
        assert codes[1 - victim] in (1, 2)
        assert time.monotonic() - began < 30
        assert f"error: host {victim} (127.0.0.1:" in pair.hosts[1 - victim].log.read_text()
        kills.append((victim, done_epochs(workdir)))
    print("host killed, and epochs done:", kills)
    pair.start(workdir)
    assert pair.finish() == [0, 0], pair.logs()
    assert_same_training(undisturbed, workdir)


def test_hosts_with_different_configs_are_refused_with_what_differs(pair, run_config, tmp_path):
    config = dataclasses.replace(run_config, train=dataclasses.replace(run_config.train, seed=7))
    (tmp_path / "config.json").write_text(config.to_json())
    other = pair.hosts[1]
    kept, other.arguments = other.arguments, [f"--config={tmp_path / 'config.json'}", *other.arguments[1:]]
    pair.start(tmp_path / "run")
    assert pair.finish() == [2, 2], pair.logs()
    other.arguments = kept
    for host in pair.hosts:
        assert ") differs from host 0 (127.0.0.1:" in host.log.read_text()
        assert "in: the config." in host.log.read_text()
    assert not (tmp_path / "run").exists()
