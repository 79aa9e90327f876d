"""The report of a cross-validation: one self-contained HTML file that needs neither a server nor a network.

Scores come from `crossval.json` and the counts of its folds. The layout and all text are in
`templates/crossvalidation.html`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluation import FoldResult, Result, read_folds, read_result, result_folders
from pipeline.reporting.next_steps import NEXT_TITLE, how_to_choose, next_steps
from pipeline.reporting.operating_points import SCORE_TITLES, WAY_TITLES, false_detection_bars
from pipeline.reporting.photograph_rows import photograph_rows
from pipeline.reporting.rendering import REPORT, write_page
from pipeline.reporting.result_plots import result_plots


def write_crossvalidation_report(workdir: Path, content: Mapping[str, Any]) -> Path:
    """Writes `report.html` for the finished folds of a cross-validation.

    Args:
      workdir: folder of the cross-validation, and of the file.
      content: content of `crossval.json`, see `pipeline.evaluation.crossvalidation`.

    Returns:
      The path of the file.

    Raises:
      InputError: a result cannot be read.
    """
    result = read_result(*result_folders(workdir))
    folds = read_folds(workdir)
    points = content["operating_points"]
    return write_page(
        workdir / REPORT,
        "crossvalidation.html",
        scores=content,
        classes=result.classes,
        workdir=workdir,
        sources=_sources(result),
        reports=_reports(workdir, folds),
        fold_of={case: fold.fold for fold in folds.values() for case in fold.held_out},
        points=points,
        bars=false_detection_bars(points),
        how_to_choose=how_to_choose(points),
        way_titles=WAY_TITLES,
        score_titles=SCORE_TITLES,
        plots=result_plots(result, content),
        photographs=photograph_rows(result),
        numbers={},
        next_title=NEXT_TITLE,
        next_steps=next_steps(workdir),
    )


def _sources(result: Result) -> list[str]:
    """Returns the folders of photographs and masks, as far as the results of the folds name them."""
    named = (read_result(folder).about.get("source") for folder in result.folders)
    return list(dict.fromkeys(name for name in named if name))


def _reports(workdir: Path, folds: Mapping[Path, FoldResult]) -> dict[int, list[str]]:
    """Returns the reports of each fold's own evaluations that are there, relative to the workdir."""
    return {
        fold.fold: [
            report.relative_to(workdir).as_posix()
            for report in (folder / name / REPORT for name in fold.sources)
            if report.is_file()
        ]
        for folder, fold in folds.items()
    }
