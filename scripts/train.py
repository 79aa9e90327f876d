"""Trains a model on records and writes a model folder. Started again, it continues where it stopped.

python -m scripts.train --config=configs/idrid_haemorrhages.py --records=RECORDS --workdir=WORKDIR

Several hosts train one model where TF_CONFIG or Slurm's `srun` says which they are, or on the nodes of --cluster; see
docs/clusters.md.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import contextlib
import os
from pathlib import Path

from absl import flags

from pipeline.hosts import WAIT_SECONDS, joined_hosts, place_in
from records import claimed_output
from scripts.support import cluster, command
from scripts.support.cluster_hosts import train_on_nodes
from scripts.support.warnings import print_warnings

_RECORDS = flags.DEFINE_multi_string(
    "records", None, "Folder that python -m scripts.shard wrote; repeat the flag to mix several sets.", required=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the run: model, history, curves, previews.", required=True)
_SOURCE = flags.DEFINE_multi_string(
    "source", [], "Folder with the records' validation photographs, to score them whole; can be repeated."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Train from scratch in a workdir that already holds a run.")
_ANONYMOUS = flags.DEFINE_bool(
    "anonymous", False, "Write salted digests instead of names of photographs, no paths, and no previews."
)
_WAIT = flags.DEFINE_float(
    "wait_for_hosts",
    WAIT_SECONDS,
    "How long to wait for the other hosts of TF_CONFIG or Slurm, seconds.",
    lower_bound=0,
)
cluster.define_flags()
command.define_config()


def main(_: list[str]) -> int:
    """Runs the command."""
    config = command.config()
    with cluster.connected(reads=[*_RECORDS.value, *_SOURCE.value]) as nodes:
        if nodes is not None:
            return train_on_nodes(nodes, cluster.without_cluster(sys.argv[1:]), Path(_WORKDIR.value))
    with joined_hosts(place_in(os.environ), wait=_WAIT.value) as hosts:
        from pipeline.interruption import StoppedError
        from pipeline.training import fit, prepare

        workdir = Path(_WORKDIR.value)
        writes = hosts is None or hosts.first
        # One host claims the folder, and the others are refused with it.
        claim = claimed_output(workdir, flag="--workdir") if writes else contextlib.nullcontext(lambda: workdir)
        with claim as make_workdir:
            run = prepare(
                config,
                [Path(folder) for folder in _RECORDS.value],
                workdir,
                sources=[Path(folder) for folder in _SOURCE.value],
                overwrite=_OVERWRITE.value,
                anonymous=_ANONYMOUS.value,
                hosts=hosts,
            )
            if run.plan.finished:
                done = f"this training is already finished; model: {run.plan.model_folder}."
                print(f"{done} Add --overwrite to train again.")
                return command.DONE
            make_workdir()
            if hosts is not None:
                print(f"this is {hosts.name(hosts.index)} of {hosts.count}; host 0 writes and reports.", flush=True)
            if writes:
                print("\n".join(run.plan.lines()), flush=True)
                print_warnings(run.plan.warnings)
            try:
                model = fit(run, verbose=1 if writes and sys.stdout.isatty() else 0)
            except StoppedError as stopped:
                print(f"stopped by {stopped}; everything is saved. Run the same command again to continue.", flush=True)
                return stopped.code
        if writes:
            previews = f"{workdir / 'previews'}, " if run.plan.previewed else ""
            print(f"model: {model}    see: {workdir / 'curves.png'}, {previews}{workdir / 'history.csv'}")
        return command.DONE


def _folders_that_all_hosts_see() -> tuple[str, ...]:
    """Returns the flags that must be folders, and no addresses of stores, where several hosts train."""
    several = cluster.is_used() or place_in(os.environ) is not None
    return ("records", "workdir", "source") if several else ()


if __name__ == "__main__":
    command.run(main, here=_folders_that_all_hosts_see)
