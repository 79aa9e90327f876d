"""Standard output and error of commands, on terminals and in files of any encoding."""

import codecs
import sys

HANDLER = "fundus_tiles"
# What commands print beside ASCII, for terminals that lack it.
PLAIN = {"→": "->", "–": "-", "…": "...", "±": "+-", "×": "x", "°": " degrees", "“": '"', "”": '"', "’": "'"}


def accept_every_character() -> None:
    """Lets stdout and stderr print what their encoding lacks in plain or escaped form; else it is a traceback."""
    codecs.register_error(HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # None if it is closed
            stream.reconfigure(errors=HANDLER)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in bad), error.end
