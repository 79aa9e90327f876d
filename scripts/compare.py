"""Compares two folders that eval wrote, photograph by photograph.

python -m scripts.compare --output=COMPARED OUT OTHER
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from absl import flags

from configs import InputError
from scripts.support import command

FOLDERS = "two folders that eval wrote"

_OUTPUT = flags.DEFINE_string("output", None, "Folder for compare.json and compare.csv.", required=True)


def main(folders: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    if len(folders) != 2:
        raise InputError(f"expected {FOLDERS} after the flags; received {len(folders)}: {', '.join(folders)}.")
    from scripts.support.comparing import compare

    compare(folders, _OUTPUT.value)
    return command.DONE


if __name__ == "__main__":
    command.run(main, arguments=FOLDERS)
