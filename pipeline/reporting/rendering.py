"""Rendering: fills a template and writes it as a page that needs neither a server nor a network.

`templates/page.html` is the page around every report, `sections.html` has the sections that several of them share, and
`macros.html` what they are drawn with.
"""

import base64
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from records import CLASS_COLORS, write_text

REPORT = "report.html"
HEADLINES = {
    "aupr": "AUPR",
    "dice": "Dice",
    "iou": "IoU",
    "sensitivity": "Sensitivity",
    "ppv": "PPV",
    "specificity": "Specificity",
    "roc_auc": "ROC-AUC",
    "ece": "ECE",
}


def write_page(path: Path, template: str, **content: Any) -> Path:
    """Writes a page, and returns its path.

    Args:
      path: the file.
      template: name of the template.
      **content: what the template uses.
    """
    write_text(path, _environment().get_template(template).render(**content))
    return path


def number(value: float | None, digits: int = 3) -> str:
    """Returns a score as text, "–" if it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # as an included file would else lose its last one
    )
    environment.globals |= {"headlines": HEADLINES, "class_colors": CLASS_COLORS}
    environment.filters |= {
        "number": number,
        "signed": _signed,
        "interval": _interval,
        "signed_interval": _signed_interval,
        "percent": _percent,
        "jpeg": _data_uri,
        "quote": shlex.quote,
    }
    return environment


def _signed(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:+.{digits}f}"


def _interval(pair: Sequence[float] | None, digits: int = 3) -> str:
    return "" if pair is None else f"{pair[0]:.{digits}f} – {pair[1]:.{digits}f}"


def _signed_interval(pair: Sequence[float] | None, digits: int = 3) -> str:
    return "" if pair is None else f"{pair[0]:+.{digits}f} to {pair[1]:+.{digits}f}"


def _percent(value: float | None) -> str:
    """Returns a fraction of the pixels in percent, with three digits because most are small."""
    return "–" if value is None else f"{100 * value:.3g} %" if value else "0"


def _data_uri(content: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")
