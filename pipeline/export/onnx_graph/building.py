"""How our graphs are built, and what they find in a probability map."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v18 as op
from spox import Var
from spox._exceptions import InferenceWarning
from spox._internal_op import unsafe_reshape

from pipeline.export.onnx_graph.hoisting import hoist_invariants
from pipeline.export.onnx_graph.lesions import COLUMNS, find_lesions
from pipeline.export.onnx_graph.operators import arithmetic, to_int
from pipeline.export.onnx_graph.results import drop_copies
from pipeline.operating_point import OperatingPoint

PHOTOGRAPH = spox.Tensor(np.uint8, ("height", "width", 3))  # RGB


def build(
    inputs: Mapping[str, spox.Tensor],
    outputs: Callable[..., dict[str, Var]],
    defaults: Mapping[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """Builds a graph.

    Args:
      inputs: types by name.
      outputs: gets the inputs by name, and returns the outputs by name.
      defaults: values of inputs that may be left out.
    """
    with arithmetic(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output type for variable", category=InferenceWarning)  # of loops
        arguments = {name: spox.argument(kind) for name, kind in inputs.items()}
        model = spox.build(arguments, outputs(**arguments))
    hoist_invariants(model.graph)
    drop_copies(model.graph)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in (defaults or {}).items()
    )
    return model


def choices_of(operating_point: OperatingPoint) -> tuple[dict[str, spox.Tensor], dict[str, np.ndarray]]:
    """Returns the types and the defaults of `thresholds`, float32 `[C]`, and `find_lesions`, a bool scalar."""
    thresholds = np.array(operating_point.thresholds, np.float32)
    types = {"thresholds": spox.Tensor(np.float32, thresholds.shape), "find_lesions": spox.Tensor(np.bool_, ())}
    return types, {"thresholds": thresholds, "find_lesions": np.array(True)}


def found_in(
    probabilities: Var, choices: Mapping[str, Var], operating_point: OperatingPoint, *, scale: Var
) -> dict[str, Var]:
    """Returns the outputs `probabilities`, which is the map itself, `masks` and `lesions`, as in `whole_graph`.

    Args:
      probabilities: the probability map, float32 `[H, W, C]`, at the photograph's size.
      choices: `thresholds` and `find_lesions`.
      operating_point: its least areas count.
      scale: the photograph's factor, float64 scalar.
    """
    classes = len(operating_point.thresholds)
    masks, table = op.if_(
        choices["find_lesions"],
        then_branch=lambda: find_lesions(probabilities, choices["thresholds"], _least_areas(operating_point, scale)),
        else_branch=lambda: [op.const(np.zeros((0, 0, classes), bool)), op.const(np.zeros((0, len(COLUMNS)), "f"))],
    )
    return {
        "probabilities": unsafe_reshape(probabilities, ("height", "width", classes)),
        "masks": unsafe_reshape(masks, ("mask_height", "mask_width", classes)),
        "lesions": unsafe_reshape(table, ("count", len(COLUMNS))),
    }


def _least_areas(operating_point: OperatingPoint, scale: Var) -> Var:
    """Returns how many pixels a detection in a photograph has at least, as `of_photograph` does, int64 `[C]`."""
    if not operating_point.min_areas:
        return op.const(operating_point.least_areas, np.int64)
    areas = op.const(operating_point.min_areas, np.float64) / (scale * scale)
    return op.max([to_int(op.round(areas)), op.const(1)])
