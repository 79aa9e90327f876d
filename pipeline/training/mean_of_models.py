"""One model of the mean weights of several, whose normalisation statistics are computed anew on records."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from configs import InputError
from models import Network, has_statistics, mean_weights, recompute_statistics
from pipeline.inference import SegmenterSpec, load_members, member_specs, merge_specs
from pipeline.input import RecordSet, spread_batches
from records import ScaleRule, read_index

TILES, BATCH = 256, 4


class MeanModel(NamedTuple):
    """A model of mean weights.

    Attributes:
      network: its network.
      spec: its spec.
      tiles: number of tiles on which its normalisation statistics were computed; 0 if it has none.
    """

    network: Network
    spec: SegmenterSpec
    tiles: int


def average_weights(folders: Sequence[Path], records: Sequence[Path]) -> MeanModel:
    """Makes one model of the mean weights of several states of one training.

    Args:
      folders: the model folders.
      records: folders of the records that they were trained on.

    Raises:
      InputError: the models cannot be joined (`member_specs`, `mean_weights`), records are missing though the network
        has batch normalisations, or records of another scale.
    """
    specs = member_specs(folders, flag="--models")
    networks = load_members(specs, flag="--models")
    spec = dataclasses.replace(merge_specs(specs), members=())  # a network of its own, which can be trained further
    sets = [_open(folder, spec) for folder in records]
    try:
        network = mean_weights(networks)
    except InputError as error:
        raise InputError(f"--models={','.join(map(str, folders))}: {error}") from error
    if not has_statistics(network):
        return MeanModel(network, spec, 0)
    if not sets:
        raise InputError(
            "--average=weights: the statistics of batch normalisations do not fit mean weights and must be computed "
            "anew; name the --records that the models were trained on."
        )
    return MeanModel(
        network, spec, recompute_statistics(network, spread_batches(sets, "train", tiles=TILES, batch=BATCH))
    )


def _open(folder: Path, spec: SegmenterSpec) -> RecordSet:
    one = RecordSet(folder, read_index(folder))
    if (theirs := ScaleRule.of(one.index.data)) != spec.rule():
        raise InputError(
            f"--records={folder}: tiles at {theirs}, but the models take photographs at {spec.rule()}; name the "
            "records that they were trained on."
        )
    return one
