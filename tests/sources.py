"""Folders of photographs and masks whose files are empty, for tests in which nothing is decoded."""

from pathlib import Path


def touch(folder: Path, *files: str) -> Path:
    """Makes empty files, and the folders above them."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder
