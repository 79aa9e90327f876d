"""Reporting: the report of an evaluation, one HTML file."""

from pipeline.reporting.gallery import Gallery
from pipeline.reporting.rendering import REPORT
from pipeline.reporting.report import write_report

__all__ = ["REPORT", "Gallery", "write_report"]
