"""Warnings that a command prints: the first few of a kind, and how many more there are."""

import sys
from collections.abc import Iterable

MOST = 10  # warnings of one kind that are printed


def print_warnings(lines: Iterable[str], *, more: str = "of this kind") -> None:
    """Prints each line as a warning to stderr; `more` says what the ones are that are only counted."""
    lines = list(lines)
    for line in lines[:MOST]:
        print(f"warning: {line}", file=sys.stderr)
    if len(lines) > MOST:
        print(f"warning: and {len(lines) - MOST} more {more}.", file=sys.stderr)
