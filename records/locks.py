"""Locks: one command at a time works in a folder, and files that are being written are told from leftovers.

The operating system frees a lock (flock) when its process dies, and knows the processes of all containers on its host.
Hosts that share a file system may not see each other's, so whoever claims a folder also holds a lease: a file that it
touches every few seconds, and that others may take when it was left alone for long enough.
"""

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock

from configs import InputError

LOCK = ".lock"
LEASE_SECONDS = 30.0  # all hosts must agree on it; a new version must not change it
BEAT_SECONDS = 5.0


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[int | None]:
    """Locks a file while the block runs, against processes of this host and of others that share the file system.

    If a process on another host, or in a container that has ended, was killed while it held the lock, this waits up to
    half a minute to see that it does not live, and says so.

    Args:
      path: the lock file; the lease is beside it.

    Yields:
      The lock's file descriptor, or None if someone else holds the lock. A child process that inherits the descriptor
      (`pass_fds`) keeps the lock as long as it lives, even if this process is killed.
    """
    lock = filelock.FileLock(path, blocking=False)
    lease = _lease(path)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield None
        return
    try:
        if not _acquire(lease):
            yield None
            return
        try:
            yield lock._context.lock_file_fd  # filelock does not make it public
        finally:
            lease.release()
    finally:
        lock.release()


@contextlib.contextmanager
def claimed_folder(folder: Path, *, flag: str) -> Iterator[None]:
    """Claims an existing folder for this command while the block runs.

    Args:
      folder: the folder.
      flag: flag that names it, such as "--output", for messages.

    Raises:
      InputError: another command is working there, or the folder cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(claimed(folder / LOCK))
        except OSError as error:
            raise InputError(
                f"{flag}={folder}: cannot be written to ({error.strerror}); name another folder, or have its owner "
                "change the permissions."
            ) from error
        if lock is None:
            who = holder(folder / LOCK)
            raise InputError(
                f"{flag}={folder}: another run is writing there{who}; wait for it or stop it, or name another folder."
            )
        yield


def holder(path: Path) -> str:
    """Returns who holds the lock of a path, in brackets, as far as it is known."""
    owner = _lease(path).owner
    return "" if owner is None else f" (process {owner.pid} on {owner.hostname.partition('?')[0]})"


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Marks a file or folder as being written while the block runs, for `is_held`; a rename does not change that."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not all file systems have locks
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Returns whether a process that lives marks a file or folder by `held`, on this host or in a container on it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False  # it has just gone
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EAGAIN)
    finally:
        os.close(descriptor)
    return False


def _lease(path: Path) -> filelock.SoftFileLease:
    return filelock.SoftFileLease(
        path.with_name(f"{path.name}.lease"), lease_duration=LEASE_SECONDS, heartbeat_interval=BEAT_SECONDS
    )


def _acquire(lease: filelock.SoftFileLease) -> bool:
    """Takes a lease, also one that was left behind by a process that has died."""
    try:
        lease.acquire(blocking=False)
        return True
    except filelock.Timeout:
        where = Path(lease.lock_file).parent
        print(f"{where}: another run may be writing there; watching it for {LEASE_SECONDS:.0f} s.", file=sys.stderr)
    try:
        lease.acquire(timeout=LEASE_SECONDS + BEAT_SECONDS, poll_interval=1)
    except filelock.Timeout:
        return False
    return True
