"""Accounts for the files of a source that are not used: each is named, with the reason."""

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from records.cases.listing import walk
from records.cases.names import printable

MOST_NAMED = 10
ELSEWHERE = "outside the folders that are read"
Warn = Callable[[str], None]


def print_warning(line: str) -> None:
    """Prints a warning to stderr: what happens to it unless a caller takes it."""
    print(f"warning: {line}", file=sys.stderr, flush=True)


def unused_lines(root: Path, used: Collection[Path], reasons: Mapping[Path, str | None] | None = None) -> list[str]:
    """Names all files below a folder that are not used.

    Args:
      root: the folder.
      used: the files that are used.
      reasons: why a file, or all files below a folder, are not used; None for those of which nothing is to be said.

    Returns:
      A line for each reason why files are not used: what they are, if they are no images, or the innermost of
      `reasons`. It names ten of the files, and says how many there are.
    """
    found: dict[str, list[Path]] = {}
    reasons = reasons or {}
    for folder, listing in walk(root):
        above = next((reasons[one] for one in (folder, *folder.parents) if one in reasons), ELSEWHERE)
        for path in sorted([*listing.images, *listing.others]):
            reason = reasons.get(path, above)
            if path not in used and reason is not None:
                found.setdefault(listing.others.get(path, reason), []).append(path)
    return lines_by_reason(root, found)


def lines_by_reason(root: Path, unused: Mapping[str, Sequence[Path]]) -> list[str]:
    """Returns a line for each reason why entries below a folder are not used; it names the first ten of them."""
    return [
        f"{printable(root)}: {len(paths)} not used ({reason}): {listed(str(path.relative_to(root)) for path in paths)}"
        for reason, paths in sorted(unused.items())
    ]


def listed(names: Iterable[str]) -> str:
    """Returns names for a message: the first ten, and how many more there are."""
    names = [printable(name) for name in names]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
