"""From a model folder to a SavedModel for TF Serving."""

from pipeline.export.client_check import check_client
from pipeline.export.saved_model import export_model

__all__ = ["check_client", "export_model"]
