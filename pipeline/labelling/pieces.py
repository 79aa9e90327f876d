"""Photographs to label as pieces of work for the processes of a cluster, each of which loads the models once."""

import functools
from collections.abc import Callable, Sequence

from pipeline.labelling.ensemble import Ensemble
from pipeline.labelling.folder import PseudolabelFolder
from pipeline.prediction import PhotographFile, all_devices, work_through_one


def labelling(load: Callable[[Sequence[str]], Ensemble], folder: PseudolabelFolder) -> Callable[[PhotographFile], None]:
    """Loads the models, and returns a function that labels a photograph, to be called in several threads.

    Args:
      load: loads the models on devices, whose names it gets.
      folder: the folder of labels, as it was pickled after `begin`.
    """
    folder.ensemble = load(all_devices())
    return functools.partial(work_through_one, folder, folder.ensemble.segment)
