"""The compatibility functions give the results of tensorflow-addons 0.23.0: golden vectors of `tools/addons_parity`."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import addons_compat

GOLDEN = Path(__file__).parent / "data" / "addons_golden.npz"
FUNCTIONS = {
    "warps": (addons_compat.dense_image_warp, ("image", "flow")),
    "interpolations": (addons_compat.interpolate_bilinear, ("grid", "points")),
    "transforms": (addons_compat.transform, ("images", "transforms")),
    "rotations": (addons_compat.rotate, ("images", "angles")),
}
# Relative to the largest value. Coordinates are in single precision whatever the dtype of the image; half precision
# rounds more coarsely. An interpolated integer is truncated and may differ by one.
TOLERANCES = {"float16": 2e-3, "float32": 2e-6, "float64": 2e-6}


@pytest.fixture(scope="module")
def golden():
    """The arrays by name, and under "options" those of each case, by "FUNCTION/NUMBER"."""
    with np.load(GOLDEN) as arrays:
        loaded = dict(arrays)
    return loaded | {"options": json.loads(str(loaded["options"]))}


def cases(golden, function: str) -> Iterator[tuple[str, dict]]:
    return ((case, options) for case, options in golden["options"].items() if case.startswith(f"{function}/"))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_results_are_those_of_tensorflow_addons(golden, function):
    ours, inputs = FUNCTIONS[function]
    errors: dict[str, float] = {}
    for case, options in cases(golden, function):
        theirs = golden[f"{case}/answer"]
        answer = ours(*(golden[f"{case}/{name}"] for name in inputs), **options).numpy()
        assert (answer.shape, answer.dtype) == (theirs.shape, theirs.dtype), case
        error = np.abs(answer.astype(np.float64) - theirs.astype(np.float64)).max()
        dtype = str(theirs.dtype)
        if dtype in TOLERANCES:
            error /= np.abs(theirs).max()
            assert error <= TOLERANCES[dtype], case
        else:
            assert error <= (options["interpolation"] == "bilinear"), case
        errors[dtype] = max(errors.get(dtype, 0), error)
    print(f"{function}: largest error by dtype {errors}")
    assert len(errors) >= 3  # dtypes seen


def test_every_border_and_interpolation_is_among_the_vectors(golden):
    for function in ("transforms", "rotations"):
        seen = {(options["interpolation"], options["fill_mode"]) for _, options in cases(golden, function)}
        assert len(seen) == 8
