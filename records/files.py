"""Files that appear under their final name only when they are complete."""

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
    """Lends a temporary name beside `path`; what was written there is flushed and renamed when the block ends well.

    The temporary name keeps the suffix, by which writers choose a format. A block that raises leaves nothing behind,
    and a file that was there before as it was; an OSError of the system's names `path`.
    """
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):  # a full disk names no file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[int | None]:
    """Holds a lock file while the block runs.

    Yields:
      The lock's file descriptor, or None where another process holds it. A child process that inherits the descriptor
      (`pass_fds`) keeps the lock for as long as it lives, even if this process is killed.
    """
    lock = filelock.FileLock(path, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield None
        return
    try:
        yield lock._context.lock_file_fd  # filelock has no public way to it
    finally:
        lock.release()


def sweep_temporaries(folder: Path) -> None:
    """Removes temporary files and folders, `.tmp-PROCESS-NAME`, whose process is gone: it was killed meanwhile."""
    for path in folder.glob(".tmp-*-*"):
        process = path.name.split("-")[1]
        if not process.isdigit() or not is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Says whether a process of that number is there, on Linux; elsewhere none is."""
    return Path(f"/proc/{process}").exists()


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file's content, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file, or nothing."""
    with complete_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Writes a whole UTF-8 file, or nothing."""
    write_bytes(path, content.encode())


def make_folder(path: Path, *, flag: str) -> Path:
    """Makes a folder for output, or takes the one that is there.

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
