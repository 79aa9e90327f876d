"""Properties of the compatibility functions: identities, whole pixels as in NumPy, borders, use in tf.data."""

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from pipeline.addons_compat import dense_image_warp, interpolate_bilinear, rotate, transform

# NumPy's names of the fill modes.
PADDINGS = {"reflect": "symmetric", "constant": "constant", "wrap": "wrap", "nearest": "edge"}


@pytest.fixture(scope="module")
def images():
    """Float32 `[2, 7, 9, 3]`, all values different."""
    return np.random.default_rng(0).permutation(2 * 7 * 9 * 3).reshape(2, 7, 9, 3).astype(np.float32)


@pytest.fixture(scope="module")
def flow():
    """Float32 `[2, 7, 9, 2]`, some of it beyond the border."""
    return np.random.default_rng(1).uniform(-4, 4, (2, 7, 9, 2)).astype(np.float32)


def in_tf_data(function, *arrays: np.ndarray) -> np.ndarray:
    """Returns the result of the function in a map over `arrays` whose shapes are unknown."""
    unknown = tuple(tf.TensorSpec([None] * array.ndim, array.dtype) for array in arrays)

    def once() -> Iterator[tuple[np.ndarray, ...]]:
        yield arrays

    source = tf.data.Dataset.from_generator(once, output_signature=unknown)
    return next(source.map(function).as_numpy_iterator())


def test_zero_displacement_returns_the_image(images):
    np.testing.assert_array_equal(dense_image_warp(images, np.zeros((2, 7, 9, 2), np.float32)), images)


def test_a_displacement_of_whole_pixels_shifts_and_repeats_the_border(images):
    flow = np.broadcast_to(np.float32([2, -3]), (2, 7, 9, 2))
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), "edge")
    np.testing.assert_array_equal(dense_image_warp(images, flow), padded[:, 1:8, 6:15])


def test_between_pixels_the_value_is_the_weighted_mean_of_four_neighbours():
    grid = np.float32([[0, 10], [20, 40]])[None, ..., None]
    points = np.float32([[[0.25, 0.5], [0.5, 1], [1, 0], [-3, 0.5], [5, 5]]])
    values = interpolate_bilinear(grid, points)
    np.testing.assert_allclose(values[0, :, 0], [0.75 * 5 + 0.25 * 30, 25, 20, 5, 40])
    np.testing.assert_array_equal(interpolate_bilinear(grid, points[..., ::-1], indexing="xy"), values)


@pytest.mark.parametrize("shape", [(1, 1, 5, 1), (1, 5, 1, 1)])
def test_a_grid_of_one_row_or_column_is_refused(shape):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 2 rows and 2 columns"):
        interpolate_bilinear(np.zeros(shape, np.float32), np.zeros((1, 1, 2), np.float32))


def test_a_warp_has_gradients_for_image_and_displacement(images, flow):
    image, moved_by = tf.constant(images / 100), tf.constant(flow)
    with tf.GradientTape() as tape:
        tape.watch([image, moved_by])
        total = tf.reduce_sum(dense_image_warp(image, moved_by) ** 2)
    assert all(np.abs(gradient).max() > 0.1 for gradient in tape.gradient(total, [image, moved_by]))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill_mode", PADDINGS)
def test_a_shift_of_whole_pixels_fills_as_numpy_pads(images, fill_mode, interpolation):
    shift = [1, 0, -4, 0, 1, 3, 0, 0]  # reads 4 columns to the left and 3 rows below
    moved = transform(images, shift, interpolation=interpolation, fill_mode=fill_mode, fill_value=5.0)
    values = {"constant_values": 5} if fill_mode == "constant" else {}
    padded = np.pad(images, ((0, 0), (0, 3), (4, 0), (0, 0)), PADDINGS[fill_mode], **values)
    np.testing.assert_allclose(moved, padded[:, 3:, :9], rtol=1e-6)


def test_each_image_has_its_own_transform_and_the_output_another_size(images):
    shifts = np.float32([[1, 0, 1, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, 2, 0, 0]])
    moved = transform(images, shifts, output_shape=(4, 5))
    np.testing.assert_array_equal(moved, [images[0, :4, 1:6], images[1, 2:6, :5]])


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 3), (2, 6, 6, 3)], ids=["HW", "HWC", "BHWC"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float64"])
def test_a_quarter_turn_is_that_of_numpy_for_any_rank_and_dtype(shape, dtype):
    images = np.random.default_rng(2).integers(0, 200, shape).astype(dtype)
    turned = rotate(images, np.pi / 2)
    axes = (1, 2) if len(shape) == 4 else (0, 1)
    assert turned.dtype == dtype
    np.testing.assert_array_equal(turned, np.rot90(images, axes=axes))


@pytest.mark.parametrize(
    "function",
    [
        dense_image_warp,
        lambda images, flow: interpolate_bilinear(images, tf.reshape(flow, [2, -1, 2]) + 2),
        lambda images, flow: transform(
            images, tf.constant([0.9, 0.1, 1, -0.2, 1.1, 0, 0.01, 0]), interpolation="bilinear"
        ),
        lambda images, flow: rotate(images, flow[:, 0, 0, 0], interpolation="bilinear", fill_mode="reflect"),
    ],
    ids=["dense_image_warp", "interpolate_bilinear", "transform", "rotate"],
)
def test_in_tf_data_and_with_unknown_sizes_the_result_is_the_same(images, flow, function):
    np.testing.assert_allclose(in_tf_data(function, images, flow), function(images, flow), rtol=1e-6, atol=1e-5)
