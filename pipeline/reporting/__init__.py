"""Reporting: the reports of an evaluation and of a cross-validation, one HTML file each, and words they share."""

from pipeline.reporting.crossvalidation import write_crossvalidation_report
from pipeline.reporting.gallery import Gallery
from pipeline.reporting.next_steps import NEXT_TITLE, how_to_choose, next_steps
from pipeline.reporting.operating_points import SCORE_TITLES, WAY_TITLES
from pipeline.reporting.rendering import REPORT
from pipeline.reporting.report import write_report

__all__ = [
    "NEXT_TITLE",
    "REPORT",
    "SCORE_TITLES",
    "WAY_TITLES",
    "Gallery",
    "how_to_choose",
    "next_steps",
    "write_crossvalidation_report",
    "write_report",
]
