"""Curves of a training's history."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.figure
import matplotlib.ticker

PHOTOGRAPHS = "val_photo_"  # prefix of the columns with scores of whole photographs
PANELS_PER_ROW = 4
MOST_LINES = 4  # scores of whole photographs in one panel; more are split by kind
MARKED = 60  # number of epochs up to which each has a dot on its curve


def draw_curves(rows: Sequence[Mapping[str, float]]) -> matplotlib.figure.Figure:
    """Draws each column of `HistoryFiles.rows` over the epochs that have it, training and validation in one panel.

    The scores of whole photographs, which only validation has, share a panel; if there are many, those of each kind.
    """
    panels = _panels(columns_of(rows))
    across = min(len(panels), PANELS_PER_ROW)
    down = math.ceil(len(panels) / across)
    figure = matplotlib.figure.Figure(figsize=(4.2 * across, 3.2 * down), layout="constrained")
    for place, (title, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        for label, column in lines.items():
            shown = [(row["epoch"], row[column]) for row in rows if column in row]
            axes.plot(*zip(*shown, strict=True), marker="." if len(shown) <= MARKED else "", label=label)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.set_xlim(0.5, rows[-1]["epoch"] + 0.5)
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if title == "learning_rate":
            rates = [row[title] for row in rows if row[title] > 0]
            if rates and max(rates) > 10 * min(rates):
                axes.set_yscale("log")
        else:
            axes.legend(fontsize="small", ncols=1 if len(lines) <= MOST_LINES else 2)
    return figure


def columns_of(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Returns the names of all columns, in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _panels(columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Returns the columns of each panel by the labels of their lines: the loss first, the learning rate last."""
    by_kind = len([name for name in columns if name.startswith(PHOTOGRAPHS)]) > MOST_LINES
    panels: dict[str, dict[str, str]] = {"loss": {}}
    for name in columns:
        if name.startswith(PHOTOGRAPHS):
            label = name.removeprefix(PHOTOGRAPHS)
            title = f"whole photographs: {label.split('_')[0]}" if by_kind else "whole photographs"
        else:
            label = "validation" if name.startswith("val_") else "training"
            title = name.removeprefix("val_")
        panels.setdefault(title, {})[label] = name
    rate = panels.pop("learning_rate")
    del panels["epoch"], panels["seconds"]
    return {**panels, "learning_rate": rate}
