"""Sparsification: how fast the wrong pixels disappear if a person corrects one tile after the other.

The tiles of all photographs are put into the order of `tile_errors.worth`, which does not know what is wrong. How many
of the wrong pixels the first ones contain says what the order is good for (after Ilg et al. 2018, arXiv:1802.07095,
where pixels are removed). It lies between a random order, in which every tile is worth the same on average, and the
order by what is wrong indeed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation import bootstrap
from pipeline.evaluation.tile_errors import TILE_ERRORS, worth

FRACTION = 0.1  # of the tiles, at which the curve is read


def first_to_last(order_by: np.ndarray) -> np.ndarray:
    """Returns the numbers of tiles in the order of correcting, that with the largest value first."""
    return np.argsort(-order_by, kind="stable")


def sparsify(wrong: np.ndarray, times: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns which fraction of the wrong pixels is removed by correcting the first tiles.

    Args:
      wrong: number of wrong pixels of each tile in the order of correcting, `[tiles]`.
      times: how often each of them occurs, `[tiles]`; None: once.

    Returns:
      The fraction of the tiles that are corrected, and that of the wrong pixels in them, each float64 `[tiles + 1]`,
      rising from 0 to 1; the latter is NaN if nothing is wrong.
    """
    weights = np.ones(len(wrong)) if times is None else times.astype(np.float64)
    corrected, removed = (np.append(0, np.cumsum(values)) for values in (weights, weights * wrong))
    return corrected / max(corrected[-1], 1), removed / removed[-1] if removed[-1] else np.full(len(removed), np.nan)


def removed_at(curve: tuple[np.ndarray, np.ndarray], fraction: float = FRACTION) -> float:
    """Returns the fraction of the wrong pixels that a fraction of the tiles removes, interpolated between two tiles."""
    return float(np.interp(fraction, *curve))


def summarize_tiles(tables: Sequence[np.ndarray | None], draws: np.ndarray | None) -> dict[str, Any] | None:
    """Returns the entry `sparsification` of `scores.json`; None without tiles.

    Args:
      tables: tiles of each photograph, `TILE_ERRORS`; None if its counts are of an earlier version.
      draws: how often each photograph occurs in each resample, see `bootstrap.draw_photographs`; None: no intervals.
    """
    known = [table for table in tables if table is not None]
    if len(known) < len(tables) or not known:
        return None
    tiles = np.concatenate([np.zeros(0, TILE_ERRORS), *known])
    owner = np.repeat(np.arange(len(known)), [len(table) for table in known])
    answer: dict[str, Any] = {
        "tiles": len(tiles),
        "wrong_pixels": int(tiles["wrong"].sum()),
        "expected_pixels": float(tiles["expected"].sum()),
        "fraction": FRACTION,
        "random": FRACTION,
    }
    for name, order_by in (("removed", worth(tiles)), ("best", tiles["wrong"])):
        order = first_to_last(order_by)
        wrong, of_photograph = tiles["wrong"][order], owner[order]
        removed = removed_at(sparsify(wrong))
        answer[name] = None if np.isnan(removed) else removed
        drawn = [removed_at(sparsify(wrong, times[of_photograph])) for times in (() if draws is None else draws)]
        answer[f"{name}_interval"] = bootstrap.interval(np.array(drawn))
    return answer
