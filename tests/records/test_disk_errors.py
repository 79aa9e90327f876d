"""Disk errors are recognised whichever library reports them, and described in one line."""

import errno
import os

import pytest

from records.disk_errors import as_os_error, disk_error


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.bin"), "the disk is full", "make room"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "the disk quota is exceeded", "make room"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "the disk is read-only", "name a folder elsewhere"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), "a file exceeds the size limit", "raise the limit"),
        # As h5py and TensorFlow say it.
        (
            RuntimeError("Can't write data (\n errno = 28, error message = 'No space left on device')"),
            "the disk is full",
            "make room",
        ),
        (ValueError("/records/.tmp-1-a.tfrecord; No space left on device"), "the disk is full", "make room"),
    ],
)
def test_each_library_s_disk_error_is_recognised(error, reason, remedy):
    found = disk_error(error)
    assert found is not None
    assert found.reason.startswith(reason)
    assert "\n" not in found.reason
    assert found.remedy.startswith(remedy)


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), ValueError("wrong shape")])
def test_other_errors_are_not_taken_for_disk_errors(error):
    assert disk_error(error) is None


def test_another_library_s_error_becomes_an_os_error_with_the_number_of_a_full_disk():
    full = as_os_error(ValueError("/records/.tmp-1-a.tfrecord; No space left on device"))
    assert (full.errno, str(full)) == (errno.ENOSPC, "[Errno 28] No space left on device")
    other = as_os_error(ValueError("/records/a.tfrecord;\nInput/output error"))
    assert (other.errno, str(other)) == (None, "/records/a.tfrecord; Input/output error")
