"""A small server of an export, which speaks the REST interface of TensorFlow Serving."""

from pipeline.serving.application import Limits, make_application
from pipeline.serving.exported import ExportedModel

__all__ = ["ExportedModel", "Limits", "make_application"]
