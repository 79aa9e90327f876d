"""From a model folder to a SavedModel for TF Serving, or to a folder that Keras alone can load."""

from pipeline.export.client_check import check_client
from pipeline.export.keras_folder import export_keras
from pipeline.export.saved_model import export_model
from pipeline.export.versions import SAVED_MODEL_FILE

__all__ = ["SAVED_MODEL_FILE", "check_client", "export_keras", "export_model"]
