"""Photographs that are dropped onto the page: limited, and stored under names that the browser does not choose."""

import secrets
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from configs import InputError
from records import IMAGE_SUFFIXES, check_name, photograph_size

MOST_BYTES = 256 * 2**20  # of one photograph
MOST_BYTES_TOGETHER = 4 * 2**30
PIECE = 2**20
LONGEST_NAME = 100  # characters


class Uploads:
    """The uploads of a session, in a temporary folder."""

    def __init__(self, folder: Path, *, max_pixels: int, most_bytes: int = MOST_BYTES):
        """Keeps uploads in an existing folder; limits are for one photograph."""
        self._folder, self._max_pixels, self._most_bytes = folder, max_pixels, most_bytes

    def receive(self, stream: IO[bytes], given_name: str, classes: Iterable[str]) -> tuple[str, Path]:
        """Stores a photograph whose header is readable.

        Args:
          stream: its bytes.
          given_name: name of its file, as the browser says it.
          classes: classes, by which files of the case will be called.

        Returns:
          The name of its case, and its file.

        Raises:
          BadRequest: it is no photograph that can be read, or has too many pixels.
          RequestEntityTooLarge: it has too many bytes, or all uploads together have.
        """
        name, suffix = _clean(given_name)
        path = self._folder / f"{secrets.token_hex(8)}{suffix}"
        try:
            self._store(stream, path)
            check_name(name, (f"{one}_ignore" for one in classes), path=Path(name))
            photograph_size(path, max_pixels=self._max_pixels)
        except InputError as error:
            path.unlink(missing_ok=True)
            raise BadRequest(str(error).replace(str(path), given_name)) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return name, path

    def _store(self, stream: IO[bytes], path: Path) -> None:
        before = sum(one.stat().st_size for one in self._folder.iterdir())
        left = min(self._most_bytes, MOST_BYTES_TOGETHER - before)
        with open(path, "wb") as file:
            while piece := stream.read(PIECE):
                left -= len(piece)
                if left < 0:
                    raise RequestEntityTooLarge(
                        f"Larger than {self._most_bytes // 2**20} MiB, or than what is left for uploads together."
                    )
                file.write(piece)


def _clean(given: str) -> tuple[str, str]:
    """Returns the name of a case and a suffix; of a path only what follows its last folder is left."""
    last = unicodedata.normalize("NFC", given.replace("\\", "/")).rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    known = f".{suffix.lower()}" in IMAGE_SUFFIXES and bool(dot)
    letters = (one if one.isalnum() or one in "-_. " else "_" for one in (stem if known else last))
    name = "".join(letters).strip(" .")[:LONGEST_NAME]
    return name or "photograph", f".{suffix.lower()}" if known else ""
