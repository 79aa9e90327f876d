"""A lock has one holder at a time, on one host and on several that share a file system."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from configs import InputError
from records import claimed, claimed_output, held, holder, is_held, locks
from records.locks import claimed_folder

ROOT = Path(__file__).parents[2]


def test_a_lock_has_one_holder_and_is_free_afterwards(tmp_path):
    with claimed(tmp_path / "lock") as first:
        assert isinstance(first, int)
        with claimed(tmp_path / "lock") as second:
            assert second is None
        with claimed(tmp_path / "another") as other:
            assert other is not None
        with claimed(tmp_path / "lock") as third:  # the refused one has not freed it
            assert third is None
    with claimed(tmp_path / "lock") as again:
        assert again is not None


def test_a_lock_is_free_after_its_block_raised(tmp_path):
    with pytest.raises(KeyError), claimed(tmp_path / "lock"):
        raise KeyError
    with claimed(tmp_path / "lock") as again:
        assert again is not None


def test_another_process_cannot_claim_a_lock_that_is_held(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom records import claimed\n"
        "with claimed(Path(sys.argv[1])) as lock:\n    print(lock is None)"
    )

    def refused() -> str:
        command = [sys.executable, "-c", program, str(tmp_path / "lock")]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    with claimed(tmp_path / "lock"):
        assert refused() == "True"
    assert refused() == "False"


def test_a_folder_that_is_claimed_is_refused_with_its_flag_and_who_works_there(tmp_path):
    with claimed_folder(tmp_path, flag="--output"):
        with pytest.raises(InputError) as refused, claimed_folder(tmp_path, flag="--output"):
            pass
        assert str(refused.value).startswith(
            f"--output={tmp_path}: another run is writing there (process {os.getpid()}"
        )
        assert "\n" not in str(refused.value)
    with claimed_folder(tmp_path, flag="--output"):
        pass
    assert holder(tmp_path / locks.LOCK) == ""


def test_a_folder_that_cannot_be_written_to_is_refused_in_one_line(tmp_path):
    (tmp_path / locks.LOCK).mkdir()  # fails for root as well, whom permissions do not stop
    refused = pytest.raises(InputError, match=r"--output=.*: cannot be written to \(Is a directory\); name another")
    with refused, claimed_folder(tmp_path, flag="--output"):
        pass
    (tmp_path / "other").mkdir()
    with pytest.raises(OSError, match="No space"), claimed_folder(tmp_path / "other", flag="--output"):
        raise OSError(28, "No space left on device")  # of the command, which knows what it wrote


def test_an_output_folder_that_exists_is_claimed_at_once_and_another_when_it_is_made(tmp_path):
    with claimed_output(tmp_path / "new" / "out", flag="--output") as make:
        assert not (tmp_path / "new").exists()
        folder = make()
        with pytest.raises(InputError, match="another run is writing there"), claimed_output(folder, flag="--output"):
            pass
    with claimed_output(folder, flag="--output") as make:
        with pytest.raises(InputError, match="another run is writing there"), claimed_output(folder, flag="--output"):
            pass
        assert make() == folder
    with pytest.raises(InputError), claimed_output(tmp_path / "none", flag="--output"):
        raise InputError("a mistake")
    assert not (tmp_path / "none").exists()


def test_the_folder_of_a_lock_may_be_removed_while_it_is_held(tmp_path):
    folder = tmp_path / "building"
    folder.mkdir()
    with claimed(folder / "lock") as lock:
        assert lock is not None
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.fixture
def other_host(monkeypatch):
    """Holds the lease of a path as a process on another host does, whose flock is not seen here."""
    monkeypatch.setattr(locks, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.2)

    def hold(path: Path) -> Path:
        with monkeypatch.context() as patched:
            patched.setattr("socket.gethostname", lambda: "elsewhere")
            lease = locks._lease(path)
            lease.acquire()
        marker = Path(lease.lock_file).read_text()
        assert "elsewhere" in marker
        lease.release()
        Path(lease.lock_file).write_text(marker.replace(str(os.getpid()), "999999"))
        return Path(lease.lock_file)

    return hold


def test_a_lease_that_another_host_keeps_is_respected(tmp_path, other_host, capsys):
    lease, done = other_host(tmp_path / "lock"), threading.Event()

    def keep() -> None:
        while not done.wait(0.1):
            os.utime(lease)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        with claimed(tmp_path / "lock") as lock:
            assert lock is None
    finally:
        done.set()
        thread.join()
    assert "another run may be writing there; watching it for 1 s" in capsys.readouterr().err
    assert lease.exists()


def test_a_lease_that_another_host_left_is_taken(tmp_path, other_host):
    other_host(tmp_path / "lock")
    began = time.monotonic()
    with claimed(tmp_path / "lock") as lock:
        assert lock is not None
        assert f"(process {os.getpid()} on " in holder(tmp_path / "lock")
    assert 1 <= time.monotonic() - began < 10


def test_a_lease_that_a_killed_process_of_this_host_left_is_taken_at_once(tmp_path):
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom records import claimed\n"
        "with claimed(Path(sys.argv[1])):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "lock")], cwd=ROOT, check=False)
    assert (tmp_path / "lock.lease").exists()
    began = time.monotonic()
    with claimed(tmp_path / "lock") as lock:
        assert lock is not None
    assert time.monotonic() - began < 5


def test_what_is_held_is_told_from_what_is_not_also_after_a_rename(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    assert not is_held(folder)
    with held(folder):
        assert is_held(folder)
        folder.rename(tmp_path / "renamed")
        assert is_held(tmp_path / "renamed") and not is_held(folder)
    assert not is_held(tmp_path / "renamed")


def test_a_file_system_without_locks_is_no_error(tmp_path, monkeypatch):
    def unsupported(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    (file := tmp_path / "file").touch()
    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    with held(file):
        assert not is_held(file)
