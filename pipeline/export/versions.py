"""Versions of an export, `OUTPUT/VERSION/`: written completely or not at all, and replaced only on demand."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from configs import InputError
from pipeline.inference import NETWORK_FILE, SEGMENTER_FILE
from records import held, is_held, make_folder, temporary_folder

SAVED_MODEL_FILE = "saved_model.pb"
MODEL_FILES = {SAVED_MODEL_FILE, NETWORK_FILE}  # an export has one of them


@contextlib.contextmanager
def new_version(output: Path, version: int, *, overwrite: bool) -> Iterator[Path]:
    """Yields a temporary folder, which becomes `OUTPUT/VERSION` at the end of the block unless it raises.

    Args:
      output: folder of all versions; a server may be watching it, which ignores names that are not numbers.
      version: number of the version, at least 0.
      overwrite: whether an existing export of this version is replaced, as the last step.

    Raises:
      InputError: the version exists and `overwrite` is off, it is not an export, or the folder cannot be created.
    """
    target = output / str(version)
    _refuse(target, overwrite=overwrite)
    make_folder(output, flag="--output")
    _sweep(output)
    with temporary_folder(output, str(version)) as temporary:
        yield temporary
        _flush(temporary)
        _refuse(target, overwrite=overwrite)  # another export may have been faster
        _put(temporary, target)


def _refuse(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    names = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if SEGMENTER_FILE not in names or not names & MODEL_FILES:
        raise InputError(f"{target}: exists and is not an export of this software; move it away.")
    if not overwrite:
        raise InputError(f"{target}: already exists; choose another --version, or add --overwrite to replace it.")


def _put(new: Path, target: Path) -> None:
    """Moves a complete folder to its final name; an old one is moved aside first and removed last."""
    if not target.exists():
        new.rename(target)
        return
    old = target.with_name(f".old-{secrets.token_hex(4)}-{target.name}")
    with held(target):
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old)


def _sweep(output: Path) -> None:
    """Removes the remains of killed exports; a version that was moved aside and not replaced is moved back."""
    for path in output.glob(".*-*-*"):
        name = re.fullmatch(r"\.(tmp|old)-(\w+)-(\d+)", path.name)
        if name is None or is_held(path):
            continue
        if name[1] == "old" and not (output / name[3]).exists():
            path.rename(output / name[3])
        else:
            shutil.rmtree(path)


def _flush(folder: Path) -> None:
    """Ensures that all files of a folder are on the disk before the folder gets its final name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
