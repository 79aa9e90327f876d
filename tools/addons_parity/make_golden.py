"""Writes golden vectors: inputs, options and the answers of tensorflow-addons 0.23.0.

Runs in an environment of its own (see README.md beside this file), since tensorflow-addons does not import on the
project's TensorFlow. Reading the file needs only NumPy.

    python make_golden.py ../../tests/pipeline/data/addons_golden.npz
"""

import itertools
import json
import sys

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

FILL_MODES = ("reflect", "constant", "wrap", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")
DTYPES = ("uint8", "int32", "int64", "float16", "float32", "float64")
FLOATS = (("float32", "float32"), ("float16", "float32"), ("float64", "float64"), ("float32", "float64"))
GRIDS = (
    *itertools.product(((1, 2, 2, 1), (2, 7, 9, 3), (3, 6, 5, 2)), FLOATS),
    # Long enough that the single precision of coordinates matters.
    ((1, 2, 256, 1), ("float32", "float32")),
    ((1, 256, 2, 1), ("float32", "float32")),
)


def main(path: str) -> None:
    """Writes all cases to one file, each array as FUNCTION/NUMBER/NAME."""
    golden: dict[str, np.ndarray] = {}
    all_options = {}
    rng = np.random.default_rng(23)
    for function in (warps, interpolations, transforms, rotations, focal_losses):
        for number, (inputs, options, answer) in enumerate(function(rng)):
            case = f"{function.__name__}/{number:02d}"
            golden |= {f"{case}/{name}": np.asarray(value) for name, value in inputs.items()}
            golden[f"{case}/answer"] = answer.numpy()
            all_options[case] = options
    golden["options"] = np.array(json.dumps(all_options))
    np.savez_compressed(path, **golden)
    print(f"{path}: tensorflow-addons {tfa.__version__} on TensorFlow {tf.__version__}, {len(golden)} arrays")


def warps(rng):
    """Yields inputs, options and answers of `dense_image_warp`."""
    for (shape, (dtype, flow_dtype)), reach in itertools.product(GRIDS, (0.7, 9.0)):
        image = rng.uniform(-1, 1, shape).astype(dtype)
        flow = rng.uniform(-reach, reach, (*shape[:3], 2)).astype(flow_dtype)  # 9 pixels exceed the small grids
        yield {"image": image, "flow": flow}, {}, tfa.image.dense_image_warp(image, flow)


def interpolations(rng):
    """Yields inputs, options and answers of `interpolate_bilinear`."""
    for (shape, (dtype, points_dtype)), indexing in itertools.product(GRIDS, ("ij", "xy")):
        grid = rng.uniform(-1, 1, shape).astype(dtype)
        sides = np.array(shape[1:3] if indexing == "ij" else shape[2:0:-1])
        points = rng.uniform(-2, sides + 2, (shape[0], 19, 2))
        points[:, :9] = np.round(points[:, :9])  # at pixel centres, including the last ones, and on borders
        points = points.astype(points_dtype)
        yield (
            {"grid": grid, "points": points},
            {"indexing": indexing},
            tfa.image.interpolate_bilinear(grid, points, indexing),
        )


def transforms(rng):
    """Yields inputs, options and answers of `transform`."""
    shapes = itertools.cycle(((2, 5, 6, 2), (6, 5, 3), (5, 9), (1, 7, 4, 1), (3, 4, 4, 1)))
    for dtype, interpolation, fill_mode in itertools.product(DTYPES, INTERPOLATIONS, FILL_MODES):
        images = _image(rng, next(shapes), dtype)
        rows = images.shape[0] if images.ndim == 4 else 1
        affine = np.eye(2, 3) + rng.uniform(-0.4, 0.4, (rows, 2, 3)) * [1, 1, 10]  # pixels in the last column
        projective = np.concatenate([affine.reshape(rows, 6), rng.uniform(-0.02, 0.02, (rows, 2))], 1)
        options = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": float(rng.integers(0, 9))}
        if dtype == "float32":
            options["output_shape"] = [10, 5]
        matrices = projective.astype("float32") if images.ndim == 4 else projective[0].astype("float32")
        yield {"images": images, "transforms": matrices}, options, tfa.image.transform(images, matrices, **options)


def rotations(rng):
    """Yields inputs, options and answers of `rotate`."""
    shapes = itertools.cycle(((2, 5, 6, 2), (6, 6, 3), (5, 9), (3, 4, 4, 1)))
    for dtype, interpolation, fill_mode in itertools.product(DTYPES, INTERPOLATIONS, FILL_MODES):
        images = _image(rng, next(shapes), dtype)
        angles = rng.uniform(-np.pi, np.pi, images.shape[0] if images.ndim == 4 else ()).astype("float32")
        options = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": float(rng.integers(0, 9))}
        yield {"images": images, "angles": angles}, options, tfa.image.rotate(images, angles, **options)


def focal_losses(rng):
    """Yields inputs, options and answers of `SigmoidFocalCrossEntropy`."""
    loss = tfa.losses.SigmoidFocalCrossEntropy(alpha=0.25, gamma=2.0)
    for shape in ((5, 1), (4, 7), (2, 6, 5, 1), (2, 4, 4, 3)):
        mask = (rng.uniform(size=shape) < 0.3).astype("float32")
        prediction = rng.uniform(size=shape).astype("float32")
        prediction.flat[:4] = (0, 1, 0, 1)  # certain and right, certain and wrong
        mask.flat[:4] = (0, 1, 1, 0)
        yield {"truth": mask, "prediction": prediction}, {"alpha": 0.25, "gamma": 2.0}, loss(mask, prediction)


def _image(rng, shape, dtype):
    return rng.integers(0, 256, shape).astype(dtype)


if __name__ == "__main__":
    main(sys.argv[1])
