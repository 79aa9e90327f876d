"""Which hosts train together: what TF_CONFIG and Slurm say."""

import json
import os

import pytest

from configs import InputError
from pipeline.hosts import Place, place_in

TWO = ["10.0.0.5:1234", "10.0.0.6:1234"]


def tf_config(cluster, kind="worker", index=0) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_tf_config_names_the_hosts_and_this_one():
    assert place_in(tf_config({"worker": TWO}, index=1)) == Place(1, tuple(TWO))


def test_a_chief_comes_before_the_workers():
    cluster = {"chief": TWO[:1], "worker": TWO[1:]}
    assert place_in(tf_config(cluster, "chief")) == Place(0, tuple(TWO))
    assert place_in(tf_config(cluster, "worker")) == Place(1, tuple(TWO))


@pytest.mark.parametrize(
    "environment",
    [{}, {"TF_CONFIG": ""}, tf_config({"worker": TWO[:1]}), {"SLURM_STEP_NUM_TASKS": "1", "SLURM_JOB_ID": "7"}],
    ids=["nothing", "an empty TF_CONFIG", "one host", "one task of Slurm"],
)
def test_a_process_without_others_trains_alone(environment):
    assert place_in(environment) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"TF_CONFIG": "{"},
        {"TF_CONFIG": "[]"},
        {"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}}'},
        tf_config({"worker": TWO}, index=2),
        tf_config({"worker": TWO}, kind="chief"),
        tf_config({"worker": [TWO[0], "10.0.0.6"]}),
        tf_config({"worker": TWO, "ps": ["10.0.0.7:1234"]}),
    ],
    ids=["no JSON", "a list", "no task", "no such index", "no such type", "no port", "a parameter server"],
)
def test_a_wrong_tf_config_is_refused_with_an_example(environment):
    with pytest.raises(InputError, match=r"TF_CONFIG: expected .*\"worker\": \[\"10\.0\.0\.5:23456\""):
        place_in(environment)


def test_two_hosts_with_one_address_are_refused():
    with pytest.raises(InputError, match="TF_CONFIG: two hosts have one address"):
        place_in(tf_config({"worker": [TWO[0], TWO[0]]}))


def slurm(index: int, **changed) -> dict[str, str]:
    return {
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_PROCID": str(index),
        "SLURM_JOB_ID": "40012",
        "SLURM_STEP_NODELIST": "node[9-11]",
        "SLURMD_NODENAME": ["node9", "node10", "node11"][index],
        **changed,
    }


@pytest.fixture
def scontrol(tmp_path, monkeypatch) -> None:
    """A `scontrol show hostnames` that knows one list of nodes."""
    command = tmp_path / "scontrol"
    command.write_text('#!/bin/sh\n[ "$*" = "show hostnames node[9-11]" ] && printf "node9\\nnode10\\nnode11\\n"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("scontrol")
def test_slurm_names_the_first_host_and_this_one():
    assert place_in(slurm(0)) == Place(0, ("node9:20012", "", ""))
    assert place_in(slurm(2)) == Place(2, ("node9:20012", "", "node11:20014"))


@pytest.mark.usefixtures("scontrol")
def test_tasks_on_one_node_of_slurm_have_ports_of_their_own():
    assert place_in(slurm(1, SLURMD_NODENAME="node9")) == Place(1, ("node9:20012", "node9:20013", ""))


@pytest.mark.usefixtures("scontrol")
def test_slurm_variables_that_cannot_be_read_are_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"Slurm started 3 tasks, but where they are cannot be read .*set TF_CONFIG"):
        place_in(slurm(0, SLURM_STEP_NODELIST="elsewhere"))


def test_tf_config_comes_before_slurm():
    assert place_in(slurm(0) | tf_config({"worker": TWO})) == Place(0, tuple(TWO))
