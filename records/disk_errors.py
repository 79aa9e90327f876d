"""Full, exhausted and read-only disks, as the operating system, h5py and TensorFlow report them."""

import errno
import os
from typing import NamedTuple

LONGEST = 200  # characters of an error's own text in a message


class DiskError(NamedTuple):
    """A failed write: what is wrong with the disk, in one line, and what the user can do about it."""

    reason: str
    remedy: str


_KNOWN = {
    errno.ENOSPC: DiskError("the disk is full", "make room and start again"),
    errno.EDQUOT: DiskError("the disk quota is exceeded", "make room and start again"),
    errno.EFBIG: DiskError("a file exceeds the size limit of disk or process", "raise the limit and start again"),
    errno.EROFS: DiskError("the disk is read-only", "name a folder elsewhere"),
}


def disk_error(error: BaseException) -> DiskError | None:
    """Returns what is wrong with the disk, or None if the error has another cause.

    h5py and TensorFlow raise errors of their own classes, whose text contains that of the operating system.
    """
    number = _number(error)
    if number is None:
        return None
    return DiskError(f"{_KNOWN[number].reason} ({one_line(error)})", _KNOWN[number].remedy)


def as_os_error(error: Exception) -> OSError:
    """Returns another library's error about a file as an OSError, with the error number if the disk is its cause."""
    number = _number(error)
    return OSError(one_line(error)) if number is None else OSError(number, os.strerror(number))


def one_line(error: BaseException) -> str:
    """Returns an error's text as one line of limited length."""
    return " ".join(str(error).split())[:LONGEST]


def _number(error: BaseException) -> int | None:
    text = str(error)
    matches = (number for number in _KNOWN if getattr(error, "errno", None) == number or os.strerror(number) in text)
    return next(matches, None)
