"""How commands write scores: three digits, and intervals from low to high."""

from collections.abc import Sequence


def plain(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def interval(pair: Sequence[float] | None) -> str:
    return "n/a" if pair is None else f"{pair[0]:.3f}–{pair[1]:.3f}"


def with_interval(value: float | None, pair: Sequence[float] | None) -> str:
    return plain(value) + (f" ({interval(pair)})" if pair else "")
