"""Files: whole under their final name, or not there at all."""

import os

import pytest

from configs import InputError
from records import complete_file, make_folder, write_bytes, write_text


def test_a_file_appears_under_its_name_only_when_the_block_has_ended(tmp_path):
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
def test_a_block_that_raises_leaves_nothing_behind_and_an_older_file_as_it_was(tmp_path, error):
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


def test_what_the_system_refuses_is_told_with_the_final_name(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/a\.bin'"):
        write_bytes(tmp_path / "a.bin", b"content")
    with pytest.raises(FileNotFoundError, match=rf"'{tmp_path}/none/a\.bin'"):
        write_bytes(tmp_path / "none" / "a.bin", b"content")


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"a much longer content than the new one")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_what_was_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    happened = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (happened.append("flush"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (happened.append("rename"), replace(*names)))
    write_bytes(tmp_path / "a.bin", b"content")
    assert happened == ["flush", "rename"]


def test_text_is_written_as_utf_8_without_changed_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "Glaskörper\n眼底\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "Glaskörper\n眼底\r\n".encode()


def test_a_folder_is_made_with_those_above_it_or_taken_as_it_is(tmp_path):
    folder = make_folder(tmp_path / "a" / "b", flag="--records")
    assert folder == tmp_path / "a" / "b" and folder.is_dir()
    (folder / "file").touch()
    make_folder(folder, flag="--records")
    assert (folder / "file").exists()


@pytest.mark.parametrize("below", [".", "deeper", "deeper/still"])
def test_a_file_in_the_way_of_a_folder_is_named_with_its_flag(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as error:
        make_folder(tmp_path / "file" / below, flag="--workdir")
    assert str(error.value).startswith(f"--workdir={tmp_path / 'file'}") and "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written_to_is_named_with_its_flag(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(InputError, match=r"--output=.*cannot be written to"):
        make_folder(tmp_path, flag="--output")
