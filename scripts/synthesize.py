"""Writes a small synthetic set of photographs and masks in IDRiD's layout, to try out the other commands.

python -m scripts.synthesize --output=OUT
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path

from absl import flags

from configs import InputError
from records import make_folder
from records.synthetic import write_synthetic_set
from scripts.support import command

_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)
_TRAINING = flags.DEFINE_integer("training", 16, "Number of training photographs.", lower_bound=1)
_TEST = flags.DEFINE_integer("test", 6, "Number of test photographs.", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "Seed; the same seed writes the same bytes.", lower_bound=0)


def main(_: list[str]) -> int:
    """Runs the command and returns its exit code."""
    output = Path(_OUTPUT.value)
    if (output / "A. Segmentation").exists():
        raise InputError(f"--output={output}: holds a set already; name another folder.")
    make_folder(output, flag="--output")
    print(f"{_TRAINING.value} training and {_TEST.value} test photographs → {output}", flush=True)
    cases = write_synthetic_set(output, training=_TRAINING.value, test=_TEST.value, seed=_SEED.value)
    print(f"wrote {len(cases)} photographs    see: {output / 'A. Segmentation' / '1. Original Images'}")
    return command.DONE


if __name__ == "__main__":
    command.run(main)
