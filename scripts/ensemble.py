"""Makes one model folder of several: a network that averages theirs, or one of their mean weights.

python -m scripts.ensemble --models=A/model,B/model --output=OUT
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from configs import InputError
from scripts.support import command, members

if TYPE_CHECKING:
    from models import Network
    from pipeline.inference import SegmenterSpec

_MODELS = flags.DEFINE_list(
    "models", None, "Model folders with commas between them, or patterns such as CV/fold_*/run/model.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the new model folder.", required=True)
_RECORDS = flags.DEFINE_multi_string(
    "records",
    [],
    "With --average=weights: records that the models were trained on, for the statistics of batch normalisations; can "
    "be repeated.",
)
_HALF = flags.DEFINE_bool("half", False, "Store kernels as float16: half the size, maps as good.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a model in the output folder.")
members.define_flags("weights")


def main(_: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    output, records = Path(_OUTPUT.value), [Path(folder) for folder in _RECORDS.value]
    folders = members.folders(_MODELS.value, flag="--models")
    of_weights = members.average() == "weights"
    if records and not of_weights:
        raise InputError(f"--records={records[0]}: only --average=weights reads records; leave them out.")
    from pipeline.inference import SEGMENTER_FILE, save_model

    if (output / SEGMENTER_FILE).exists() and not _OVERWRITE.value:
        raise InputError(f"--output={output}: holds a model already; name another folder, or add --overwrite.")
    if output.resolve() in {folder.resolve() for folder in folders}:
        raise InputError(f"--output={output}: is one of --models; name another folder.")
    network, spec = _mean(folders, records) if of_weights else _ensemble(folders)
    save_model(output, network, spec, half=_HALF.value)
    listed = ", ".join(f"{len(names)} {split}" for split, names in spec.splits.items())
    source = "means of the members'" if spec.threshold_source == "members" else "as the members'"
    thresholds = ", ".join(f"{name} {value:.3g}" for name, value in zip(spec.classes, spec.thresholds, strict=True))
    print(f"{network.count_params():,} parameters; photographs: {listed}; thresholds {thresholds} ({source})")
    print(f"model: {output}")
    return command.DONE


def _ensemble(folders: list[Path]) -> "tuple[Network, SegmenterSpec]":
    from models import ensemble_network
    from pipeline.inference import load_members, member_specs, merge_specs

    specs = member_specs(folders, flag="--models")
    network = ensemble_network(load_members(specs, flag="--models"), average=members.average())
    print(f"{len(folders)} members, whose {members.average()} are averaged: {', '.join(map(str, folders))}")
    return network, merge_specs(specs)


def _mean(folders: list[Path], records: list[Path]) -> "tuple[Network, SegmenterSpec]":
    from pipeline.training import average_weights

    network, spec, tiles = average_weights(folders, records)
    statistics = f"; statistics of its normalisations from {tiles} training tiles" if tiles else ""
    print(f"one network of the mean weights of {', '.join(map(str, folders))}{statistics}")
    return network, spec


if __name__ == "__main__":
    command.run(main)
