"""The mean of probability maps: that of NumPy, over the models that have a class, in however many strips."""

import numpy as np
import pytest

from pipeline.inference import ProbabilityMap
from pipeline.labelling import averaging
from pipeline.labelling.averaging import averaged_strips

SIZE = (90, 70)


@pytest.fixture
def map_of():
    """Draws the map of a model of this many classes at some scale."""

    def draw(scaled: tuple[int, int], classes: int, *, seed: int) -> ProbabilityMap:
        values = np.random.default_rng(seed).random((*scaled, classes), np.float32)
        return ProbabilityMap(values, SIZE, resized=scaled != SIZE)

    return draw


@pytest.mark.parametrize("strip_bytes", [2**29, 1])
def test_each_class_is_averaged_over_the_models_that_have_it(map_of, monkeypatch, strip_bytes):
    monkeypatch.setattr(averaging, "STRIP_BYTES", strip_bytes)
    maps = [map_of((45, 35), 2, seed=0), map_of(SIZE, 3, seed=1), map_of((30, 20), 1, seed=2)]
    places = [[2, 0], [0, 1, 2], [2]]
    whole = [one.whole() for one in maps]
    expected = np.stack(
        [
            (whole[0][..., 1] + whole[1][..., 0]) / 2,
            whole[1][..., 1],
            (whole[0][..., 0] + whole[1][..., 2] + whole[2][..., 0]) / 3,
        ],
        axis=-1,
    )
    strips = list(averaged_strips(maps, places))
    assert (len(strips) == 1) == (strip_bytes > 1)
    assert [row for row, _ in strips] == np.cumsum([0, *(len(strip) for _, strip in strips[:-1])]).tolist()
    np.testing.assert_allclose(np.concatenate([strip for _, strip in strips]), expected, rtol=1e-6)


def test_the_map_of_one_model_is_taken_as_it_is(map_of):
    one = map_of((45, 35), 2, seed=0)
    [(row, strip)] = averaged_strips([one], [[0, 1]])
    assert row == 0
    np.testing.assert_array_equal(strip, one.whole())
