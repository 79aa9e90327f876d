"""Warnings that a command prints: the first few of a kind, and how many more there are."""

import contextlib
import sys
import warnings
from collections.abc import Iterable, Iterator

from records import PhotographWarning

MOST = 10  # warnings of one kind that are printed


def print_warnings(lines: Iterable[str], *, more: str = "of this kind") -> None:
    """Prints each line as a warning to stderr; `more` says what the ones are that are only counted."""
    lines = list(lines)
    for line in lines[:MOST]:
        print(f"warning: {line}", file=sys.stderr)
    if len(lines) > MOST:
        print(f"warning: and {len(lines) - MOST} more {more}.", file=sys.stderr)


@contextlib.contextmanager
def warnings_of_photographs() -> Iterator[None]:
    """Prints what the readers of photographs warned of, each once, when the block ends, also with an exception."""
    lines: set[str] = set()
    others = warnings.showwarning

    def show(message, category, *where, **further) -> None:
        if issubclass(category, PhotographWarning):
            lines.add(str(message))
        else:
            others(message, category, *where, **further)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = others
        print_warnings(sorted(lines))
