"""Our operations against golden vectors from the real tensorflow-addons 0.23.0 (made by `tools/addons_parity`)."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import addons_compat as warping

GOLDEN = Path(__file__).parent / "data" / "addons_golden.npz"
FUNCTIONS = {
    "warps": (warping.dense_image_warp, ("image", "flow")),
    "interpolations": (warping.interpolate_bilinear, ("grid", "points")),
    "transforms": (warping.transform, ("images", "transforms")),
    "rotations": (warping.rotate, ("images", "angles")),
}
# Relative to the largest value: rounding of single precision, in which the coordinates are, whatever the image is in;
# half precision rounds more coarsely. A whole number that was interpolated is cut off and may be the next one.
TOLERANCES = {"float16": 2e-3, "float32": 2e-6, "float64": 2e-6}


@pytest.fixture(scope="module")
def golden():
    """The arrays by name, and "options": of each case, by "FUNCTION/NUMBER"."""
    with np.load(GOLDEN) as arrays:
        found = dict(arrays)
    return found | {"options": json.loads(str(found["options"]))}


def cases(golden, function: str) -> Iterator[tuple[str, dict]]:
    return ((case, options) for case, options in golden["options"].items() if case.startswith(f"{function}/"))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_answers_are_those_of_tensorflow_addons(golden, function):
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
