"""Files that appear under their final names only when they are complete, and folders for output."""

import contextlib
import csv
import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from configs import InputError
from records.locks import claimed_folder, held, is_held


@contextlib.contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; the file written there is flushed and renamed when the block ends.

    The temporary name keeps the suffix, by which writers choose a format. If the block raises, the temporary file is
    removed and an earlier file stays as it was; an OSError of the operating system names `path`.
    """
    temporary = path.with_name(_temporary_name(path.name))
    try:
        temporary.touch(exist_ok=False)
        with held(temporary):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):  # with a full disk it is None
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(parent: Path, name: str = "folder") -> Iterator[Path]:
    """Makes a temporary folder in `parent` while the block runs; the block may rename it to keep it."""
    folder = parent / _temporary_name(name)
    folder.mkdir()
    try:
        with held(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_temporaries(folder: Path) -> None:
    """Removes temporary files and folders, `.tmp-…`, of processes that have died, also of other containers.

    Call this for a folder that is claimed (`records.locks`): where the file system has no locks, nothing else tells
    what is being written.
    """
    for path in folder.glob(".tmp-*-*"):
        if not is_held(path):
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file's content as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    with complete_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Writes a UTF-8 file, whole or not at all; bytes of file names that are not UTF-8 become escapes, as in JSON."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def write_table(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Writes rows, the names of the columns first, as a CSV file, whole or not at all."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def make_folder(path: Path, *, flag: str) -> Path:
    """Makes a folder for output unless it exists, and returns it.

    Args:
      path: the folder.
      flag: flag that names the folder, such as "--records", for messages.

    Raises:
      InputError: a file is in the way, or the folder cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"{flag}={path}: a file is in the way; name another folder or move it away.") from error
    except OSError as error:
        raise InputError(f"{flag}={path}: the folder cannot be made ({error.strerror}).") from error
    if not os.access(path, os.W_OK):
        raise InputError(f"{flag}={path}: the folder cannot be written to; change its permissions or name another.")
    return path


@contextlib.contextmanager
def claimed_output(folder: Path, *, flag: str) -> Iterator[Callable[[], Path]]:
    """Claims a folder for output at once if it exists, and otherwise when it is made.

    So a second run is refused before it loads anything, and one that ends by a mistake makes no folder.

    Args:
      folder: the folder.
      flag: flag that names it, for messages.

    Yields:
      A function that makes the folder if it does not exist, and returns it.

    Raises:
      InputError: another command is working there, or the folder cannot be made.
    """
    with contextlib.ExitStack() as stack:
        existed = folder.is_dir()
        if existed:
            stack.enter_context(claimed_folder(folder, flag=flag))

        def make() -> Path:
            make_folder(folder, flag=flag)
            if not existed:
                stack.enter_context(claimed_folder(folder, flag=flag))
            return folder

        yield make


def _temporary_name(name: str) -> str:
    """Returns a random name that ends like `name`; by process numbers, containers would take each other's names."""
    return f".tmp-{secrets.token_hex(4)}-{name}"
