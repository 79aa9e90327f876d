"""An export that is loaded to answer requests."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from configs import InputError
from pipeline.export import SAVED_MODEL_FILE
from pipeline.inference import SEGMENTER_FILE, SegmenterSpec, read_spec
from pipeline.serving.requests import InputForm


class ExportedModel:
    """The signatures of a SavedModel that `scripts.export` wrote.

    Attributes:
      spec: its `segmenter.json`.
      signatures: what each signature takes, by the names of the inputs.
    """

    def __init__(self, folder: Path):
        """Loads the export in a folder `OUTPUT/VERSION`.

        Raises:
          InputError: the folder is no such export, or cannot be loaded.
        """
        for file in (folder / SAVED_MODEL_FILE, folder / SEGMENTER_FILE):
            if not file.is_file():
                raise InputError(
                    f"--export={folder}: contains no {file.name}; expected OUT/VERSION of python -m scripts.export."
                )
        self.spec: SegmenterSpec = read_spec(folder / SEGMENTER_FILE)
        try:
            self._loaded = tf.saved_model.load(str(folder))  # its signatures do not keep its weights
        except (OSError, ValueError, tf.errors.OpError) as error:
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"--export={folder}: cannot be loaded ({first_line}).") from error
        defaults = _defaults(folder / SAVED_MODEL_FILE)
        self.signatures: Mapping[str, Mapping[str, InputForm]] = {
            name: _forms(function, defaults.get(name, {})) for name, function in self._loaded.signatures.items()
        }

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Computes a signature's outputs, by their names.

        Raises:
          InputError: the graph refuses the values.
        """
        given = {name: tf.constant(value) for name, value in inputs.items()}
        try:
            outputs = self._loaded.signatures[signature](**given)
        except tf.errors.InvalidArgumentError as error:
            raise InputError(_reason(error)) from error
        return {name: value.numpy() for name, value in outputs.items()}


def _forms(
    function: tf.types.experimental.ConcreteFunction, defaults: Mapping[str, np.ndarray]
) -> dict[str, InputForm]:
    return {
        name: InputForm(tuple(spec.shape.as_list()), np.dtype(spec.dtype.as_numpy_dtype), defaults.get(name))
        for name, spec in function.structured_input_signature[1].items()
    }


def _defaults(file: Path) -> dict[str, dict[str, np.ndarray]]:
    """Returns what stands for inputs that a request leaves out, by signature and name."""
    (graph,) = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    return {
        name: {key: tf.make_ndarray(value) for key, value in signature.defaults.items()}
        for name, signature in graph.signature_def.items()
    }


def _reason(error: tf.errors.OpError) -> str:
    """Returns the first line of TensorFlow's message that says something."""
    lines = [line.strip() for line in error.message.splitlines()]
    told = [line for line in lines if line and not line.startswith(("Graph execution", "Detected at node", "<", "["))]
    return f"the model refuses the request ({(told or ['no reason given'])[0][:200]})."
