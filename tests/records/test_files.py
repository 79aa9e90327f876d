"""Files are complete under their final names or not there at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs import InputError
from records import complete_file, make_folder, sweep_temporaries, temporary_folder, write_bytes, write_text

ROOT = Path(__file__).parents[2]


def test_a_file_appears_under_its_final_name_when_the_block_ends(tmp_path):
    path = tmp_path / "table.csv"
    with complete_file(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.parent == tmp_path  # on the same disk, so that renaming moves no bytes
        assert temporary.suffix == ".csv"  # by which writers choose their format
        assert temporary.name.startswith(".")
    assert path.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, InputError, KeyboardInterrupt, SystemExit])
def test_a_block_that_raises_leaves_nothing_behind_and_keeps_an_earlier_file(tmp_path, error):
    path = tmp_path / "index.json"

    def write_half() -> None:
        with complete_file(path) as temporary:
            temporary.write_bytes(b"new, but only ha")
            raise error

    for before in ([], [b"old"]):
        for content in before:
            path.write_bytes(content)
        with pytest.raises(error):
            write_half()
        assert [file.read_bytes() for file in tmp_path.iterdir()] == before


def test_a_block_that_raises_before_it_writes_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), complete_file(tmp_path / "a.txt"):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_operating_system_names_the_final_file(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/a\.bin'"):
        write_bytes(tmp_path / "a.bin", b"content")
    with pytest.raises(FileNotFoundError, match=rf"'{tmp_path}/none/a\.bin'"):
        write_bytes(tmp_path / "none" / "a.bin", b"content")


def test_an_earlier_file_is_replaced(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"a much longer content than the new one")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_file_is_flushed_before_it_is_renamed(tmp_path, monkeypatch):
    happened = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (happened.append("flush"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (happened.append("rename"), replace(*names)))
    write_bytes(tmp_path / "a.bin", b"content")
    assert happened == ["flush", "rename"]


def test_text_is_written_as_utf_8_with_unchanged_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "Glaskörper\n眼底\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "Glaskörper\n眼底\r\n".encode()


def test_a_folder_is_made_with_its_parents_or_used_as_it_is(tmp_path):
    folder = make_folder(tmp_path / "a" / "b", flag="--records")
    assert folder == tmp_path / "a" / "b" and folder.is_dir()
    (folder / "file").touch()
    make_folder(folder, flag="--records")
    assert (folder / "file").exists()


@pytest.mark.parametrize("below", [".", "deeper", "deeper/still"])
def test_a_file_in_the_way_of_a_folder_is_reported_with_the_flag(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as error:
        make_folder(tmp_path / "file" / below, flag="--workdir")
    assert str(error.value).startswith(f"--workdir={tmp_path / 'file'}") and "\n" not in str(error.value)


def test_a_read_only_folder_is_reported_with_the_flag(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(InputError, match=r"--output=.*cannot be written to"):
        make_folder(tmp_path, flag="--output")


def test_temporaries_are_swept_unless_a_process_that_lives_is_writing_them(tmp_path):
    """Whatever its number is: in another container, it is the number of another process here, or of none."""
    (tmp_path / ".tmp-1-left_by_an_earlier_version.npz").touch()
    (tmp_path / ".tmp-0123abcd-folder").mkdir()
    (tmp_path / ".tmp-0123abcd-folder" / "file").touch()
    with complete_file(tmp_path / "a.npz") as file, temporary_folder(tmp_path) as folder:
        file.write_bytes(b"half")
        sweep_temporaries(tmp_path)
        assert set(tmp_path.iterdir()) == {file, folder}
        file.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_temporaries_of_a_killed_process_are_swept(tmp_path):
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom records import complete_file, temporary_folder\n"
        "folder = Path(sys.argv[1])\n"
        "with complete_file(folder / 'a.txt') as file, temporary_folder(folder):\n"
        "    file.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=False)
    assert len(list(tmp_path.iterdir())) == 2
    sweep_temporaries(tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_writers_of_a_file_do_not_share_a_temporary_name(tmp_path):
    with complete_file(tmp_path / "a.txt") as one, complete_file(tmp_path / "a.txt") as other:
        assert one != other


def test_a_new_file_has_the_permissions_that_the_user_wants(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
