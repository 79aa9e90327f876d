"""Writes a small synthetic set of photographs and masks, to try out the other commands.

    python -m scripts.synthesize --output=OUT
    python -m scripts.synthesize --output=OUT --paired --unlabelled=4 --ignored=4 --healthy=4
    python -m scripts.synthesize --output=OUT --paired --width=640 --field_degrees=30

The first has IDRiD's layout and masks of haemorrhages. The second has paired folders and masks of exudates, too, and
not everything is known of it. The third is of another camera.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path

from absl import flags

from configs import InputError
from records import LABELS, make_folder
from records.synthetic import write_paired_set, write_synthetic_set
from scripts.support import command

_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)
_TRAINING = flags.DEFINE_integer("training", 16, "Number of training photographs.", lower_bound=1)
_TEST = flags.DEFINE_integer("test", 6, "Number of test photographs.", lower_bound=0)
_FIRST = flags.DEFINE_integer("first", 1, "Number of the first photograph, for a second set.", lower_bound=1)
_PAIRED = flags.DEFINE_bool("paired", False, "Paired folders, with masks of the classes HE and EX.")
_UNLABELLED = flags.DEFINE_integer(
    "unlabelled", 0, "With --paired: number of training photographs in which nobody looked for HE.", lower_bound=0
)
_IGNORED = flags.DEFINE_integer(
    "ignored", 0, "With --paired: number of training photographs in which regions are left out.", lower_bound=0
)
_HEALTHY = flags.DEFINE_integer(
    "healthy", 0, "With --paired: number of further photographs without lesions and without masks.", lower_bound=0
)
_WIDTH = flags.DEFINE_integer("width", None, "With --paired: width of the photographs, pixels.")
_DEGREES = flags.DEFINE_float(
    "field_degrees", None, "With --paired: field of view, degrees; below 50, its middle is seen."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed; the same seed writes the same bytes.", lower_bound=0)


def main(_: list[str]) -> int:
    """Runs the command and returns its exit code."""
    output = Path(_OUTPUT.value)
    unknown = {"unlabelled": _UNLABELLED.value, "ignored": _IGNORED.value, "healthy": _HEALTHY.value}
    camera = {
        name: flag.value for name, flag in {"width": _WIDTH, "degrees": _DEGREES}.items() if flag.value is not None
    }
    if any(unknown.values()) and not _PAIRED.value:
        raise InputError("--unlabelled, --ignored and --healthy: IDRiD's layout cannot say it; add --paired.")
    if camera and not _PAIRED.value:
        raise InputError("--width and --field_degrees: IDRiD's camera has its own; add --paired.")
    if any((output / name).exists() for name in ("A. Segmentation", "train", LABELS)):
        raise InputError(f"--output={output}: holds a set already; name another folder.")
    numbers = {"training": _TRAINING.value, "test": _TEST.value, "seed": _SEED.value, "first": _FIRST.value}
    make_folder(output, flag="--output")
    print(f"{_TRAINING.value} training and {_TEST.value} test photographs → {output}", flush=True)
    if _PAIRED.value:
        names, look = write_paired_set(output, **numbers, **unknown, **camera), output / "train" / "images"
    else:
        names, look = write_synthetic_set(output, **numbers), output / "A. Segmentation" / "1. Original Images"
    print(f"wrote {len(names)} photographs    see: {look}")
    return command.DONE


if __name__ == "__main__":
    command.run(main)
