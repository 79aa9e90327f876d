"""Files that appear under their final names only when they are complete, and lock files."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from configs import InputError


@contextlib.contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; the file written there is flushed and renamed when the block ends.

    The temporary name keeps the suffix, by which writers choose a format. If the block raises, the temporary file is
    removed and an earlier file stays as it was; an OSError of the operating system names `path`.
    """
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
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
def claimed(path: Path) -> Iterator[int | None]:
    """Locks a file while the block runs.

    Yields:
      The lock's file descriptor, or None if someone else holds the lock. A child process that inherits the descriptor
      (`pass_fds`) keeps the lock as long as it lives, even if this process is killed.
    """
    lock = filelock.FileLock(path, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield None
        return
    try:
        yield lock._context.lock_file_fd  # filelock does not make it public
    finally:
        lock.release()


def sweep_temporaries(folder: Path) -> None:
    """Removes temporary files and folders, `.tmp-PROCESS-NAME`, of processes that no longer run."""
    for path in folder.glob(".tmp-*-*"):
        process = path.name.split("-")[1]
        if not process.isdigit() or not is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Returns whether a process runs, on Linux; always False on other systems."""
    return Path(f"/proc/{process}").exists()


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
