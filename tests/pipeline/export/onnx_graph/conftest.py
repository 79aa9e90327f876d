"""Runs pieces of the graph by onnxruntime."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import spox
from spox._internal_op import unsafe_reshape

from pipeline.export.onnx_graph.hoisting import hoist_invariants
from pipeline.export.onnx_graph.operators import arithmetic
from tests.pipeline.export.onnx_graph.sessions import session_of


@pytest.fixture(scope="session")
def compiled() -> Callable[..., Callable]:
    """Makes a function of arrays of a function of values.

    `ranks` are those of the results, and the arguments have the types and ranks of `like`.
    """

    def compile_function(function, *like: np.ndarray, ranks: tuple[int, ...]) -> Callable[..., list[np.ndarray]]:
        with arithmetic(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of loops, whose shapes are unknown
            names = [f"x{number}" for number in range(len(like))]
            inputs = {
                name: spox.argument(spox.Tensor(array.dtype, (None,) * array.ndim))
                for name, array in zip(names, like, strict=True)
            }
            results = function(*inputs.values())
            outputs = {
                f"y{number}": unsafe_reshape(result, (None,) * rank)
                for number, (result, rank) in enumerate(zip(results, ranks, strict=True))
            }
            model = spox.build(inputs, outputs)
        hoist_invariants(model.graph)
        session = session_of(model)
        return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))

    return compile_function
