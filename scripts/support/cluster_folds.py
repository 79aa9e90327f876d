"""Folds of a cross-validation that the nodes of a cluster run."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence

from configs import InputError
from pipeline.evaluation import CrossValidation, read_fold, result_folder
from scripts.support import command
from scripts.support.children import Children
from scripts.support.cluster import RayCluster
from scripts.support.folds import run_fold

RETRY_SECONDS = 5.0  # between looks at a fold that another process holds, as of a node that was lost


def run_folds(cluster: RayCluster, run: CrossValidation, folds: Sequence[int]) -> Iterator[tuple[int, int | str]]:
    """Runs folds, each in a process that has a GPU, or all cores of the smallest node.

    Args:
      cluster: the cluster.
      run: the cross-validation, whose folder all nodes must see.
      folds: numbers of the folds.

    Yields:
      The number of each fold as it ends, with the exit code of the command that failed, 0 if none did; or why it could
      not be run.
    """
    outcomes = cluster.map_prepared(
        functools.partial(_prepare, run), folds, folder=run.workdir, need=cluster.training_need()
    )
    for number, outcome in outcomes:
        yield folds[number], str(outcome) if isinstance(outcome, InputError) else outcome


def _prepare(run: CrossValidation) -> Callable[[int], int]:
    children = Children(die_with_this=True)

    def run_to_its_end(fold: int) -> int:
        while True:
            code = run_fold(children, run, fold)
            if code != command.DONE or read_fold(result_folder(run.workdir, fold)) is not None:
                return code
            time.sleep(RETRY_SECONDS)

    return run_to_its_end
