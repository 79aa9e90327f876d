"""How the tests run a graph."""

import onnx
import onnxruntime


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Returns what runs a graph, in one thread and without warnings."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
