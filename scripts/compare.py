"""Compares two folders that eval wrote, photograph by photograph.

python -m scripts.compare --output=COMPARED OUT OTHER
"""

from absl import flags

from configs import InputError
from scripts.support import command

FOLDERS = "two folders that eval wrote"

_OUTPUT = flags.DEFINE_string("output", None, "Folder for compare.json and compare.csv.", required=True)


def main(folders: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    if len(folders) != 2:
        raise InputError(f"{FOLDERS} expected after the flags; received {len(folders)}: {', '.join(folders)}.")
    from scripts.support.comparing import compare

    compare(folders, _OUTPUT.value)
    return command.DONE


if __name__ == "__main__":
    command.run(main, arguments=FOLDERS)
