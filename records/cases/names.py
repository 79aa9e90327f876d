"""Names of cases: taken from files, cleaned to be compared, and checked to be such that files can be named by them."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from configs import InputError
from configs.suggestions import did_you_mean

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm")
LONGEST = 240  # bytes of a file's name that is written; file systems allow 255, and temporary names are longer


def image_stem(path: Path) -> str:
    """Returns a file's name without the suffix of an image; other suffixes are part of the name, as in 1.2.840.5."""
    return path.name.removesuffix(path.suffix) if has_image_suffix(path) else path.name


def has_image_suffix(path: Path) -> bool:
    """Returns whether a file's suffix, in any case and with spaces after it, is that of an image."""
    return path.suffix.strip().lower() in IMAGE_SUFFIXES


def name_in_tree(file: Path, folders: Sequence[str]) -> str:
    """Returns the name of a case: the file's stem, after the innermost of the folders in which it lies in a tree."""
    return "_".join([*folders[-1:], image_stem(file)])


def clean_text(text: str) -> str:
    """Returns text as it is compared: in Unicode's composed form (NFC), without spaces around it."""
    return unicodedata.normalize("NFC", text).strip()


def clean_key(text: str) -> str:
    """Returns the name of a case as tables are compared: clean text, without the suffix of an image."""
    text = clean_text(text)
    return clean_text(image_stem(Path(text))) if text else ""


def nearest_name(names: Sequence[str], known: Iterable[str]) -> str:
    """Returns " Did you mean …?" with the known name that looks most like any of some names, or nothing."""
    known = list(known)
    for name in names:
        for other in known:
            if clean_text(other) == clean_text(name):
                return f" {other!r} differs in spaces, or in how its accents are stored (NFC or NFD)."
            if clean_text(other).casefold() == clean_text(name).casefold():
                return f" Did you mean {other!r}?"
    return next((hint for name in reversed(names) if (hint := did_you_mean(name, known))), "")


def check_name(name: str, classes: Iterable[str], *, path: Path) -> None:
    """Raises an InputError if a case's name cannot be part of a file's: not UTF-8, control characters, too long.

    Args:
      name: name of the case.
      classes: classes, one of which ends the longest file name.
      path: file of the photograph, for the message.
    """
    try:
        longest = max(len(f"{name}{ending}".encode()) for ending in (".geojson", *(f"_{one}.png" for one in classes)))
    except UnicodeEncodeError as error:
        raise InputError(f"{printable(path)}: its name is not UTF-8; rename it.") from error
    if printable(name) != name:
        raise InputError(f"{printable(path)}: its name has control characters, such as a line break; rename it.")
    if longest > LONGEST:
        raise InputError(
            f"{printable(path)}: the names of files made from it would have {longest} bytes, at most {LONGEST} are "
            "written; give it a shorter name."
        )


def printable(path: Path | str) -> str:
    """Returns a path, or text with one, with escapes for bytes that are not UTF-8 and for control characters."""
    text = str(path).encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(repr(one)[1:-1] if unicodedata.category(one) == "Cc" else one for one in text)
