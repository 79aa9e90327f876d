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
    sets = _open(records, spec)
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


def _open(folders: Sequence[Path], spec: SegmenterSpec) -> list[RecordSet]:
    """Reads the indexes of records, whose tiles must be of one kind and at the scale of the models."""
    indexes = {folder: read_index(folder) for folder in folders}
    kinds = {folder: (index.data.tile, index.data.codec) for folder, index in indexes.items()}
    for folder, index in indexes.items():
        if (theirs := ScaleRule.of(index.data)) != spec.rule():
            raise InputError(
                f"--records={folder}: tiles at {theirs}, but the models take photographs at {spec.rule()}; name the "
                "records that they were trained on."
            )
        if kinds[folder] != kinds[folders[0]]:
            raise InputError(
                f"--records={folder}: tiles of {kinds[folder]}, but those of {folders[0]} are of {kinds[folders[0]]} "
                "(data.tile, data.codec); name records of one kind."
            )
    classes = tuple(dict.fromkeys(name for index in indexes.values() for name in index.classes))
    return [RecordSet(folder, index, classes) for folder, index in indexes.items()]
