"""Reporting: the report of an evaluation, one HTML file."""

from pipeline.reporting.gallery import Gallery
from pipeline.reporting.report import REPORT, write_report

__all__ = ["REPORT", "Gallery", "write_report"]
