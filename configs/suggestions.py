"""Suggestions for misspelled names in error messages."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'NAME'?" with the most similar known name, or an empty string if none is similar."""
    similar = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {similar[0]!r}?" if similar else ""
