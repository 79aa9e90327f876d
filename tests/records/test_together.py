"""Files that are replaced together: after a kill at any moment all are old or all are new."""

import subprocess
import sys

import pytest

from configs import InputError
from records import finish_replacement, replaced_together
from records.together import STAGING

# Replaces two files, adds one and removes one, in processes that are killed at the first change of the file system, at
# the second, …, until one gets to its end; prints what the folder holds after each.
KILLED = """
import os, sys
from pathlib import Path
from records import finish_replacement, replaced_together

base = Path(sys.argv[1])

def replace(folder):
    with replaced_together(folder) as files:
        for name in ("a.txt", "new/b.txt", "c.txt"):
            files.new(folder / name).write_text("new")
        files.remove(folder / "d.txt")

def counted(function, left):
    def call(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)
        return function(*arguments, **options)
    return call

for kill in range(1, 100):
    folder = base / str(kill)
    folder.mkdir()
    for name in ("a.txt", "c.txt", "d.txt"):
        (folder / name).write_text("old")
    child = os.fork()
    if child == 0:
        left = [kill]
        for name in ("replace", "unlink", "mkdir", "rmdir", "open"):
            setattr(os, name, counted(getattr(os, name), left))
        replace(folder)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finish_replacement(folder)
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    print(*(f"{one.relative_to(folder)}={one.read_text()}" for one in files))
    if code == 0:
        break
"""


def test_whenever_a_process_is_killed_all_files_are_old_or_all_are_new(command_environment, tmp_path):
    program = [sys.executable, "-c", KILLED, tmp_path]
    done = subprocess.run(program, env=command_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    old, new = "a.txt=old c.txt=old d.txt=old", "a.txt=new c.txt=new new/b.txt=new"
    states = done.stdout.splitlines()
    assert len(states) > 8
    assert states == sorted(states, key=(old, new).index), states


def test_if_anything_fails_all_files_stay(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def fail() -> None:
        with replaced_together(tmp_path) as files:
            files.new(tmp_path / "a.txt").write_text("new")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert not (tmp_path / STAGING).exists()


def test_a_damaged_journal_is_named(tmp_path):
    (tmp_path / STAGING).mkdir()
    (tmp_path / STAGING / "journal.json").write_text("[1")
    with pytest.raises(InputError, match=r"journal\.json: damaged"):
        finish_replacement(tmp_path)
