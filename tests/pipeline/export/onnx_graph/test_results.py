"""Results are not copied to get their names, and what reads them, in branches too, still does."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.export.onnx_graph.results import drop_copies

onnxruntime = pytest.importorskip("onnxruntime")


def graph_with_copies() -> onnx.ModelProto:
    """Builds |x| and, of x or -x, the sum with it: each with copies before its name, which a branch reads as well."""
    vector = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in ("x", "large", "sum")]
    summed = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("plus", "minus")]
    branches = [
        helper.make_graph([helper.make_node(op, ["copy", "x"], [out.name])], out.name, [], [out])
        for op, out in zip(("Add", "Sub"), summed, strict=True)
    ]
    nodes = [
        helper.make_node("Abs", ["x"], ["absolute"]),
        helper.make_node("Identity", ["absolute"], ["copy"]),
        helper.make_node("If", ["add"], ["result"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Identity", ["result"], ["sum"]),
        helper.make_node("Identity", ["copy"], ["large"]),
    ]
    add = helper.make_tensor_value_info("add", TensorProto.BOOL, [])
    graph = helper.make_graph(nodes, "copies", [vector[0], add], vector[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("add", [True, False])
def test_without_copies_the_results_are_the_same(add):
    model = graph_with_copies()
    given = {"x": np.array([1.5, -2], np.float32), "add": np.array(add)}
    before = onnxruntime.InferenceSession(model.SerializeToString()).run(["large", "sum"], given)
    drop_copies(model.graph)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Abs", "If"]
    after = onnxruntime.InferenceSession(model.SerializeToString()).run(["large", "sum"], given)
    for one, other in zip(before, after, strict=True):
        assert one.tolist() == other.tolist()
