"""The report of an evaluation: one self-contained HTML file that needs neither a server nor a network.

Scores come from `scores.json` and `counts.npz`, photographs from the gallery, leaks from the audit. The layout and all
text are in `templates/evaluation.html`.
"""

import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluation import Audit, Result
from pipeline.reporting.gallery import Gallery
from pipeline.reporting.outlined_photographs import OutlinedPhotograph
from pipeline.reporting.photograph_rows import photograph_rows
from pipeline.reporting.record_lookup import record_at
from pipeline.reporting.rendering import REPORT, write_page
from pipeline.reporting.result_plots import result_plots
from records import Index

AUPR_DEFINITIONS = {  # how each is computed, and what it may be compared with
    "aupr": (
        "average precision, exact",
        "scikit-learn's average_precision_score, and papers that compute it over all pixels and thresholds",
    ),
    "aupr_33": (
        "steps at 33 thresholds",
        "the IDRiD challenge (Porwal et al. 2020, doi:10.1016/j.media.2019.101561) and papers that follow its rules",
    ),
    "aupr_33_trapezoid": (
        "trapezoids at the same 33 thresholds",
        "the same; the challenge does not specify steps or trapezoids, and the difference shows how much it matters",
    ),
    "aupr_11_trapezoid": (
        "trapezoids between 11 thresholds",
        "M2MRF (Liu et al. 2023, doi:10.1016/j.compbiomed.2022.106482), HRDecoder (Ding et al. 2024) and others that "
        "use its code; it is not average precision and can be higher",
    ),
}


def write_report(
    folder: Path,
    result: Result,
    scores: Mapping[str, Any],
    *,
    gallery: Gallery | None = None,
    audit: Audit | None = None,
    index: Index | None = None,
    tiles: Mapping[str, float] | None = None,
) -> Path:
    """Writes `report.html`.

    Args:
      folder: folder for the file.
      result: counts of all photographs.
      scores: content of `scores.json`, see `pipeline.evaluation.summary`.
      gallery: gallery that was shown every photograph; without one the report has no photographs, and says so.
      audit: leak audit; without one the report says that none was made.
      index: index of the records that `scores` names; missed lesions are looked up in it.
      tiles: name → value of `evaluation.csv`, if tiles were scored.

    Returns:
      The path of the file.
    """
    groups = _groups(gallery)
    numbers = {shown.case: number for number, shown in enumerate(itertools.chain(*groups.values()), start=1)}
    return write_page(
        folder / REPORT,
        "evaluation.html",
        scores=scores,
        classes=result.classes,
        aupr_definitions=AUPR_DEFINITIONS,
        plots=result_plots(result, scores),
        photographs=photograph_rows(result),
        groups=groups,
        numbers=numbers,
        record_of=functools.partial(record_at, index) if index else None,
        audit=audit,
        tiles=tiles,
    )


def _groups(gallery: Gallery | None) -> dict[str, list[OutlinedPhotograph]]:
    if gallery is None:
        return {}
    groups = {
        "Worst": gallery.worst,
        "Best": gallery.best,
        "False alarms in photographs without lesions": gallery.false_alarms,
    }
    return {title: photographs for title, photographs in groups.items() if photographs}
