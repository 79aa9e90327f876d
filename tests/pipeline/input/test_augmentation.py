"""Augmentation: image and mask move together, permutations keep pixels, transformations are as drawn, without state."""

import collections
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from configs import AugmentConfig
from pipeline.input.augmentation import AUGMENTATIONS, PERMUTATIONS, WARPS, augment
from pipeline.input.cropping import Crop
from pipeline.input.draws import strength, uniform

SIDE = 24
NOTHING = AugmentConfig(**dict.fromkeys(AUGMENTATIONS, 0.0))
EVERYTHING = AugmentConfig(**dict.fromkeys(AUGMENTATIONS, 0.5))
# The widest ranges that a training may use; those of the earlier system where it had one.
EXTREMES = {"rotation_degrees": 180.0, "scale_factor": 1.5, "shear_slope": 0.3, "translation_fraction": 0.25}

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]


def only(**fields: float) -> AugmentConfig:
    """The config with these fields and all other probabilities 0."""
    return dataclasses.replace(NOTHING, **fields)


FLIPS_AND_TURNS = only(horizontal_flip=0.5, vertical_flip=0.5, quarter_turn=0.75)


@pytest.fixture(scope="module")
def image():
    """Float32 `[SIDE, SIDE, 3]` whose pixels all differ."""
    rng = np.random.default_rng(0)
    return rng.permutation(np.arange(SIDE * SIDE * 3) % 256).reshape(SIDE, SIDE, 3).astype(np.float32)


@pytest.fixture(scope="module")
def mask(image):
    """Two classes that the image itself shows: where red, and where blue, is above the middle."""
    return (image[..., [0, 2]] > 127).astype(np.float32)


@pytest.fixture(scope="module")
def lesions():
    """Two classes of round lesions away from the border, float32 0/1 `[160, 160, 2]`."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:160, :160]
    mask = np.zeros((160, 160, 2), np.float32)
    for number in range(8):
        radius, middle = rng.uniform(6, 14), rng.uniform(50, 110, 2)
        mask[np.hypot(y - middle[0], x - middle[1]) <= radius, number % 2] = 1
    return mask


@pytest.fixture(scope="module")
def draw_many(image, mask) -> Draw:
    """Augments the tile, or another, with the seeds [3, 0], [3, 1], … inside tf.data; images and masks, stacked."""

    def draw(config: AugmentConfig, number: int, image=image, mask=mask) -> tuple[np.ndarray, np.ndarray]:
        image, mask = tf.constant(image), tf.constant(mask)
        drawn = tf.data.Dataset.range(number).map(
            lambda k: augment(image, mask, tf.stack([np.int64(3), k]), config=config)
        )
        return next(drawn.batch(number).as_numpy_iterator())

    return draw


@pytest.fixture(scope="module")
def everything(draw_many) -> tuple[np.ndarray, np.ndarray]:
    """60 images and masks with all augmentations."""
    tf.random.set_seed(1)
    return draw_many(EVERYTHING, 60)


@pytest.fixture(scope="module")
def read_places(draw_many) -> Callable[[AugmentConfig, int], np.ndarray]:
    """Augments a tile of 128 whose colours are its pixels' places, which shows where each was read: `[N, T, T, 2]`."""

    def read(config: AugmentConfig, number: int) -> np.ndarray:
        y, x = np.mgrid[:128, :128].astype(np.float32)
        places = np.stack([y, x, 0 * x], axis=-1)
        return draw_many(config, number, image=places, mask=places[..., :1])[0][..., :2]

    return read


def draws(name: str, low: float, high: float, number: int, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Returns what `draw_many` draws under a name."""
    return np.stack([uniform(tf.constant([3, k], tf.int64), name, low, high=high, shape=shape) for k in range(number)])


def symmetries(image: np.ndarray) -> list[np.ndarray]:
    """The image turned by 0, 90, 180 and 270 degrees, and the same of its mirror image."""
    return [np.rot90(side, turns) for side in (image, image[:, ::-1]) for turns in range(4)]


def counts(images: np.ndarray, known: list[np.ndarray]) -> list[int]:
    """How often each of the known images occurs; every image must be a known one."""
    names = [image.tobytes() for image in known]
    found = collections.Counter(names.index(image.tobytes()) for image in images)
    return [found[place] for place in range(len(names))]


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.sum(first & second) / (np.sum(first) + np.sum(second))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*AUGMENTATIONS, pytest.param("everything", marks=pytest.mark.slow)])
def test_eager_calls_functions_and_tf_data_give_the_same(image, mask, draw_many, name):
    config = EVERYTHING if name == "everything" else only(**{name: 1.0})
    images, masks = draw_many(config, 3)
    in_function = tf.function(augment, autograph=False)
    for k in range(3):
        tile, seed = (tf.constant(image), tf.constant(mask)), tf.constant([3, k], tf.int64)
        for drawn, drawn_mask in (augment(*tile, seed, config=config), in_function(*tile, seed, config=config)):
            np.testing.assert_allclose(drawn, images[k], atol=0.02)
            assert np.array_equal(drawn_mask, masks[k])


@pytest.mark.slow
def test_the_same_seed_draws_the_same_whatever_was_drawn_before(draw_many, everything):
    tf.random.set_seed(2)
    tf.random.uniform([7])
    images, masks = draw_many(EVERYTHING, 10)
    assert np.array_equal(images, everything[0][:10])
    assert np.array_equal(masks, everything[1][:10])


def test_different_seeds_give_different_tiles(everything):
    images, _ = everything
    assert len({drawn.tobytes() for drawn in images}) > 50


@pytest.mark.parametrize(("one", "other"), [("rotation", "gamma"), ("barrel", "translation"), ("hue", "elastic")])
def test_an_augmentation_draws_the_same_whether_or_not_another_is_on(image, mask, one, other):
    """The other one is on, with ranges in which it changes nothing."""
    nothing = {"gamma_exponent": 1.0, "translation_fraction": 0.0, "elastic_alpha": 0.0}
    for k in range(5):
        seed = tf.constant([3, k], tf.int64)
        alone, _ = augment(image, mask, seed, config=only(**{one: 0.5}))
        beside, _ = augment(image, mask, seed, config=only(**{one: 0.5, other: 1.0, **nothing}))
        np.testing.assert_allclose(beside, alone, atol=0.02)


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in AUGMENTATIONS for field in vars(NOTHING) if field.startswith(f"{name}_")],
)
def test_every_range_matters(image, mask, name, field):
    usual, number = only(**{name: 1.0}), getattr(NOTHING, field)
    further = dataclasses.replace(usual, **{field: type(number)(1.3 * number)})
    seeds = (tf.constant([3, k], tf.int64) for k in range(5))
    pairs = ([augment(image, mask, seed, config=config)[0] for config in (usual, further)] for seed in seeds)
    assert not all(np.allclose(*pair, atol=0.1) for pair in pairs)


def test_a_tile_keeps_its_shape_and_dtype(image, mask):
    drawn = tf.data.Dataset.from_tensors((image, mask, np.array([1, 2], np.int64)))
    config = only(rotation=0.5, gamma=0.5)
    spec = drawn.map(lambda image, mask, seed: augment(image, mask, seed, config=config)).element_spec
    assert [(part.shape.as_list(), part.dtype) for part in spec] == [
        ([SIDE, SIDE, 3], tf.float32),
        ([SIDE, SIDE, 2], tf.float32),
    ]


def test_with_all_probabilities_0_the_tile_is_unchanged(image, mask):
    same = augment(image, mask, tf.constant([1, 2], tf.int64), config=NOTHING)
    assert np.array_equal(same[0], image)
    assert np.array_equal(same[1], mask)


@pytest.mark.parametrize(
    ("config", "moved"),
    [
        (only(horizontal_flip=1.0), lambda x: x[:, ::-1]),
        (only(vertical_flip=1.0), lambda x: x[::-1]),
        (only(horizontal_flip=1.0, vertical_flip=1.0), lambda x: x[::-1, ::-1]),
    ],
    ids=["horizontal", "vertical", "both"],
)
def test_with_probability_1_every_tile_is_flipped(image, mask, draw_many, config, moved):
    images, masks = draw_many(config, 30)
    assert np.all(images == moved(image))
    assert np.all(masks == moved(mask))


def test_with_probability_1_the_three_quarter_turns_are_equally_frequent(image, draw_many):
    found = counts(draw_many(only(quarter_turn=1.0), 600)[0], symmetries(image)[1:4])
    assert all(150 < number < 250 for number in found)  # 200 expected, spread 11.5


@pytest.mark.parametrize("name", [*PERMUTATIONS, "rotation", "elastic"])
def test_probabilities_are_kept(image, draw_many, name):
    changed = [not np.array_equal(moved, image) for moved in draw_many(only(**{name: 0.3}), 1000)[0]]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.06)  # four times the spread


def test_flips_and_turns_permute_pixels_and_give_every_symmetry_equally_often(image, mask, draw_many):
    # A warp that may fire, and does not, must not blur them either.
    images, masks = draw_many(dataclasses.replace(FLIPS_AND_TURNS, rotation=1e-6), 800)
    found = counts(images, symmetries(image))
    assert all(60 < number < 140 for number in found)  # 100 expected, spread 9.4
    assert np.array_equal(masks, images[..., [0, 2]] > 127)  # image and mask moved together


def test_flips_and_turns_within_a_warp_are_the_same_as_without_one(image, mask, draw_many):
    permuted = draw_many(FLIPS_AND_TURNS, 40)
    warped = draw_many(dataclasses.replace(FLIPS_AND_TURNS, translation=1.0, translation_fraction=0.0), 40)
    np.testing.assert_allclose(warped[0], permuted[0], atol=0.05)
    np.testing.assert_array_equal(warped[1], permuted[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PERMUTATIONS, *WARPS, "all together"])
def test_a_mask_painted_into_the_image_is_where_the_moved_mask_is(draw_many, lesions, name):
    names = [*PERMUTATIONS, *WARPS] if name == "all together" else [name]
    painted = 255 * np.concatenate([lesions, lesions[..., :1]], axis=-1)
    images, masks = draw_many(only(**dict.fromkeys(names, 1.0), **EXTREMES), 24, image=painted, mask=lesions)
    assert set(np.unique(masks)) == {0, 1}
    alignment = [dice(image[..., :2] >= 127.5, mask > 0) for image, mask in zip(images, masks, strict=True)]
    assert min(alignment) >= 0.98
    assert np.mean([np.array_equal(moved, painted) for moved in images]) < 0.1


@pytest.mark.parametrize("name", ["rotation", "shear", "translation", "elastic", "distortion"])
def test_masks_are_not_dilated(draw_many, lesions, name):
    _, masks = draw_many(only(**{name: 1.0}), 40, mask=lesions, image=np.zeros((160, 160, 3), np.float32))
    areas = masks.sum(axis=(1, 2)) / lesions.sum(axis=(0, 1))  # [40, 2]
    assert areas.mean() == pytest.approx(1, abs=0.015)
    assert np.abs(areas - 1).max() < 0.3  # elastic swells here what it shrinks there


def test_masks_of_single_pixels_keep_their_area_on_average(draw_many):
    mask = np.zeros((160, 160, 1), np.float32)
    mask[30:140:10, 30:140:10] = 1
    _, masks = draw_many(only(rotation=1.0, elastic=1.0), 60, image=np.zeros((160, 160, 3), np.float32), mask=mask)
    assert masks.sum(axis=(1, 2)).mean() == pytest.approx(mask.sum(), rel=0.05)


def test_beyond_the_border_image_and_mask_are_mirrored(draw_many, image, mask):
    images, masks = draw_many(only(translation=1.0, translation_fraction=0.5), 12)
    for moved, of, shift in zip(images, masks, draws("translation strength", -12, 12, 12, (2,)).round(), strict=True):
        y, x = (np.pad(np.arange(SIDE), 12, "reflect")[12 + int(s) :][:SIDE] for s in shift)
        np.testing.assert_allclose(moved, image[y][:, x], atol=0.05)
        np.testing.assert_array_equal(of, mask[y][:, x])


def test_affine_transformations_are_as_drawn_and_about_the_centre(read_places):
    from_middle = np.mgrid[:128, :128] - 63.5
    inner = np.s_[48:80, 48:80]  # read within the tile whatever is drawn
    config = {"rotation_degrees": 30.0, "scale_factor": 1.4, "shear_slope": 0.3}
    for name, most in (("rotation", math.radians(30)), ("scale", math.log(1.4)), ("shear", 0.3)):
        places = read_places(only(**{name: 1.0}, **config), 12)
        strengths = draws(f"{name} strength", -most, most, 12)
        along_y = draws("shear axis", 0, 2, 12) < 1
        for read, drawn, rows in zip(places, strengths, along_y, strict=True):
            matrix = {
                "rotation": np.array([[math.cos(drawn), math.sin(drawn)], [-math.sin(drawn), math.cos(drawn)]]),
                "scale": np.eye(2) * math.exp(drawn),
                "shear": np.array([[1, drawn * rows], [drawn * (not rows), 1]]),
            }[name]
            expected = np.einsum("ab,byx->yxa", matrix, from_middle) + 63.5
            np.testing.assert_allclose(read[inner], expected[inner], atol=2e-3)


def test_elastic_displacement_is_the_earlier_systems(read_places):
    """Its noise for 1300 and 8 has a root mean square of 2.3 pixels: here times what was drawn from 0 to 1."""
    places = read_places(only(elastic=1.0), 60)
    moved = (places - np.moveaxis(np.mgrid[:128, :128], 0, -1))[:, 16:-16, 16:-16]
    strengths = draws("elastic strength", 0, 1, 60)
    assert np.sqrt(np.mean((moved / strengths[:, None, None, None]) ** 2)) == pytest.approx(2.29, rel=0.05)
    assert np.abs(np.mean(moved[..., 0] * moved[..., 1])) < 0.1 * np.mean(moved**2)  # two fields of their own
    steps = np.diff(moved, axis=1) / strengths[:, None, None, None]
    assert np.sqrt(np.mean(steps**2)) == pytest.approx(2.29 / (math.sqrt(2) * 8), rel=0.1)  # sigma is 8


def test_distortion_follows_the_gradient_of_one_field_as_far_as_drawn(read_places):
    places = read_places(only(distortion=1.0, distortion_sigma=12.0, distortion_fraction=0.05), 20)
    moved = (places - np.moveaxis(np.mgrid[:128, :128], 0, -1))[:, 8:-8, 8:-8]
    furthest = np.abs(moved).max(axis=(1, 2)) / draws("distortion strength", 0, 0.05 * 128, 20)[:, None]
    assert furthest.max() <= 1.001
    assert np.median(furthest) > 0.7  # the furthest may lie in the rim that is left out here
    for displacement in moved:
        across = np.diff(displacement[..., 0], axis=1)[1:].ravel(), np.diff(displacement[..., 1], axis=0)[:, 1:].ravel()
        assert np.corrcoef(across)[0, 1] > 0.95  # both are the mixed second derivative of one field


@pytest.mark.parametrize(("name", "sign"), [("barrel", 1), ("pincushion", -1)])
def test_lenses_follow_the_earlier_systems_formula(read_places, name, sign):
    places = read_places(only(**{name: 1.0}), 12)
    exponents = draws(f"{name} strength", min(0, 0.3 * sign), max(0, 0.3 * sign), 12)
    centers = np.array([[0, 0], [-1, -1], [-1, 1], [1, -1], [1, 1]])[draws(f"{name} center", 0, 5, 12).astype(int)]
    radius = 0.3 * 128
    for read, exponent, center in zip(places, exponents, 63.5 + 0.2 * 128 * centers, strict=True):
        offset = np.moveaxis(np.mgrid[:128, :128], 0, -1) - center
        distance = np.hypot(*np.moveaxis(offset, -1, 0))[..., None]
        within = np.sin(np.pi / 2 * np.minimum(distance / radius, 1)) ** exponent
        error = np.abs(read - center - offset * within)
        assert error[distance[..., 0] > 8].max() < 0.2
        assert error.max() < 1.0  # at the very centre the formula has a cusp, which the nodes round off
    assert len(np.unique(centers, axis=0)) > 2


def test_flips_and_turns_of_a_crop_permute_the_crops_own_pixels(image, mask):
    part, part_mask = image[5:21, 3:19], mask[5:21, 3:19]
    for number in range(16):
        seed = tf.constant([3, number], tf.int64)
        moved, moved_mask = augment(image, mask, seed, config=FLIPS_AND_TURNS, crop=Crop(tf.constant([5, 3]), 16))
        expected, expected_mask = augment(part, part_mask, seed, config=FLIPS_AND_TURNS)
        np.testing.assert_array_equal(moved, expected)
        np.testing.assert_array_equal(moved_mask, expected_mask)


def test_a_warped_crop_shows_what_lies_beyond_it_in_its_tile():
    """The image says where it was read; enlarging its surroundings reaches past the crop, not mirrored at its edge."""
    places = np.stack([*np.mgrid[:96, :96], np.zeros((96, 96))], axis=-1).astype(np.float32)  # y, x, 0
    mask = (places[..., :1] + places[..., 1:2] > 100).astype(np.float32)
    config, crop = only(scale=1.0, scale_factor=2.0), Crop(tf.constant([30, 24]), 32)
    beyond = 0
    for number in range(12):
        seed = tf.constant([0, number], tf.int64)
        moved, moved_mask = augment(places, mask, seed, config=config, crop=crop)
        factor = math.exp(float(strength(seed, config, "scale", most=math.log(2.0))))
        rows, columns = 45.5 + factor * (np.arange(32) - 15.5), 39.5 + factor * (np.arange(32) - 15.5)
        np.testing.assert_allclose(moved[:, 0, 0], rows, atol=2e-3)
        np.testing.assert_allclose(moved[0, :, 1], columns, atol=2e-3)
        read = np.rint(moved.numpy())
        clear = np.abs(moved[..., 0] + moved[..., 1] - 100.5) > 1.5  # not at the mask's own edge
        np.testing.assert_array_equal(moved_mask[..., 0][clear], (read[..., 0] + read[..., 1] > 100)[clear])
        beyond += rows[0] < 29
    assert beyond >= 3
