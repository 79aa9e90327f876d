"""A page in the browser on which people look at photographs, correct what models found, and take it away."""

from pipeline.viewer.corrections import Corrections
from pipeline.viewer.page import Page, PageSettings, opened_page

__all__ = ["Corrections", "Page", "PageSettings", "opened_page"]
