"""Loops only repeat what depends on the repetition."""

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v18 as op

from pipeline.export.onnx_graph.hoisting import hoist_invariants
from pipeline.export.onnx_graph.operators import arithmetic, repeat


def operators(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def body(graph: onnx.GraphProto) -> onnx.GraphProto:
    (loop,) = (node for node in graph.node if node.op_type == "Loop")
    return loop.attribute[0].g


def test_what_does_not_change_is_moved_out_of_loops_and_their_branches():
    with arithmetic():
        x = spox.argument(spox.Tensor(np.float32, (3,)))
        sine, cosine = op.sin(x), op.cos(x)

        def add(number, total):
            (chosen,) = op.if_(
                op.equal(number, op.const(2)),
                then_branch=lambda: [cosine + total],
                else_branch=lambda: [op.exp(sine) + total],
            )
            return [chosen]

        (total,) = repeat(op.const(5), add, x)
        model = spox.build({"x": x}, {"y": total})
    assert not {"Sin", "Cos"} & set(operators(model.graph))
    hoist_invariants(model.graph)
    onnx.checker.check_model(model, full_check=True)
    assert {"Sin", "Cos", "Exp"} <= set(operators(model.graph))
    assert "If" in operators(body(model.graph))
    values = np.array([0.1, 0.2, 0.3], np.float32)
    (computed,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": values})
    np.testing.assert_allclose(computed, values + np.cos(values) + 4 * np.exp(np.sin(values)), rtol=1e-6)


def test_constants_and_what_is_made_of_them_stay_beside_what_reads_them():
    with arithmetic():
        x = spox.argument(spox.Tensor(np.float32, (3,)))
        half = op.cast(op.const(np.float16(2.5)), to=np.float32)
        (total,) = repeat(op.const(5), lambda number, total: [total * half], x)
        model = spox.build({"x": x}, {"y": total})
    hoist_invariants(model.graph)
    assert {"Constant", "Cast"} <= set(operators(body(model.graph)))
