"""How commands print scores: three digits, and intervals from low to high."""

from collections.abc import Sequence


def plain(value: float | None) -> str:
    """Returns a score as text, "n/a" if it is undefined."""
    return "n/a" if value is None else f"{value:.3f}"


def interval(pair: Sequence[float] | None) -> str:
    """Returns an interval as text, "n/a" without one."""
    return "n/a" if pair is None else f"{pair[0]:.3f}–{pair[1]:.3f}"


def with_interval(value: float | None, pair: Sequence[float] | None) -> str:
    """Returns a score and, in brackets, its interval, if there is one."""
    return plain(value) + (f" ({interval(pair)})" if pair else "")


def with_deviation(value: float | None, deviation: float | None) -> str:
    """Returns a mean and its standard deviation, if there is one."""
    return plain(value) + (f" ± {deviation:.3f}" if deviation is not None else "")


def percent(part: float, whole: float) -> str:
    """Returns a part of a whole in percent, "n/a" of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "n/a"
