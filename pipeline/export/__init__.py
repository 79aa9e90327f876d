"""From a model folder to a SavedModel for TF Serving, or to one ONNX file."""

from pipeline.export.client_check import check_client
from pipeline.export.onnx_file import ONNX_FILE, ONNX_NETWORK_FILE, check_onnx, export_onnx
from pipeline.export.saved_model import export_model

__all__ = ["ONNX_FILE", "ONNX_NETWORK_FILE", "check_client", "check_onnx", "export_model", "export_onnx"]
