"""Several files that are replaced together: after a kill at any moment, all of them are old or all are new.

New files are written into a hidden folder first. A journal there, written last, says where each belongs; from then on
they count as saved, and whoever opens the folder next finishes what the journal says.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from configs import InputError
from records.files import write_text

STAGING, JOURNAL = ".saving", "journal.json"


class Replacement:
    """The files of one replacement, until its block ends."""

    def __init__(self, folder: Path):
        self._folder, self._staging = folder, folder / STAGING
        self._moves: dict[str, str | None] = {}  # by target: the staged file; None: the target is removed

    def new(self, path: Path) -> Path:
        """Returns where to write a new file, whole and flushed, that takes the place of a path in the folder."""
        staged = f"{len(self._moves)}{path.suffix}"
        self._moves[str(path.relative_to(self._folder))] = staged
        return self._staging / staged

    def remove(self, path: Path) -> None:
        """Removes a file of the folder with the others, if it is there."""
        self._moves[str(path.relative_to(self._folder))] = None

    def commit(self) -> None:
        """Writes the journal."""
        write_text(self._staging / JOURNAL, json.dumps(self._moves, indent=2) + "\n")


@contextlib.contextmanager
def replaced_together(folder: Path) -> Iterator[Replacement]:
    """Replaces files of a folder together when the block ends; if it raises, all of them stay as they were.

    One process and thread at a time may do so.

    Raises:
      OSError: a file could not be written. If it was one of the moves at the end, the next call, or
        `finish_replacement`, goes on with them.
    """
    finish_replacement(folder)
    staging, replacement = folder / STAGING, Replacement(folder)
    staging.mkdir()
    try:
        yield replacement
        replacement.commit()
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    finish_replacement(folder)


def finish_replacement(folder: Path) -> None:
    """Finishes what was interrupted, and removes what was written for a replacement that never counted.

    Raises:
      InputError: the journal is damaged.
      OSError: a file could not be moved.
    """
    staging = folder / STAGING
    try:
        moves = json.loads((staging / JOURNAL).read_text(encoding="utf-8"))
        pairs = [(folder / target, None if staged is None else staging / staged) for target, staged in moves.items()]
    except FileNotFoundError:
        shutil.rmtree(staging, ignore_errors=True)
        return
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{staging / JOURNAL}: damaged ({error}); move {staging} away.") from error
    for target, staged in pairs:
        if staged is None:
            target.unlink(missing_ok=True)
        elif staged.exists():  # else it was moved before the interruption
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, target)
    (staging / JOURNAL).unlink()  # before the folder, so that no half of it is left with a journal
    shutil.rmtree(staging)


def is_unfinished(folder: Path) -> bool:
    """Returns whether files of a folder are being replaced, or were when a process was killed."""
    return (folder / STAGING / JOURNAL).exists()
