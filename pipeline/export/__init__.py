"""From a model folder to a SavedModel for TF Serving, to a folder that Keras alone can load, or to one ONNX file."""

from pipeline.export.client_check import check_client
from pipeline.export.keras_folder import export_keras
from pipeline.export.onnx_file import ONNX_FILE, ONNX_NETWORK_FILE, check_onnx, export_onnx
from pipeline.export.saved_model import export_model
from pipeline.export.versions import SAVED_MODEL_FILE

__all__ = [
    "ONNX_FILE",
    "ONNX_NETWORK_FILE",
    "SAVED_MODEL_FILE",
    "check_client",
    "check_onnx",
    "export_keras",
    "export_model",
    "export_onnx",
]
