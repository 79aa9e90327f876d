"""A page in the browser on which people look at photographs, correct what models found, train on, and take it away."""

from pipeline.viewer.corrections import Corrections
from pipeline.viewer.model import ViewedModel
from pipeline.viewer.page import Page, PageSettings, opened_page
from pipeline.viewer.training import StageRunner, TrainOn

__all__ = ["Corrections", "Page", "PageSettings", "StageRunner", "TrainOn", "ViewedModel", "opened_page"]
