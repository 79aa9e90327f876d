"""Forecasts from short trainings: they hold what they promise for curves of their kind, and widen with the distance."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.planning.learning_curve import NOISE, ShortTraining, forecast

LENGTHS = (30.0, 100.0, 300.0)


def trainings(*scores: float, minutes=(1.5, 3.0, 6.0)) -> list[ShortTraining]:
    return [ShortTraining(*one) for one in zip(minutes, scores, strict=True)]


def test_nine_of_ten_intervals_hold_the_truth_of_curves_with_the_noise_that_is_assumed():
    rng = np.random.default_rng(0)
    held, drawn = 0, 400
    for _ in range(drawn):
        a, c = rng.uniform(0.3, 1), rng.uniform(0.1, 1.5)
        b = rng.uniform(0, a) * 1.5**c  # so that the first score is between 0 and the limit

        def score(minutes, a=a, b=b, c=c):
            return a - b * minutes**-c

        seen = trainings(*(score(one) + rng.normal(0, NOISE) for one in (1.5, 3.0, 6.0)))
        (found,) = forecast(seen, [100.0])
        held += found.low - 1e-9 <= score(100.0) <= found.high + 1e-9
    assert 0.8 <= held / drawn <= 0.97


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_quantiles_are_in_order_and_scores_and_never_fall_with_more_minutes(scores):
    found = forecast(trainings(*scores), LENGTHS)
    for one in found:
        assert 0 <= one.low <= one.median <= one.high <= 1
    for before, after in itertools.pairwise(found):
        assert after.low >= before.low and after.median >= before.median and after.high >= before.high


def test_scores_that_do_not_rise_any_more_promise_little():
    (found,) = forecast(trainings(0.6, 0.6, 0.6), [300.0])
    assert found.median == pytest.approx(0.6, abs=0.03) and found.high < 0.75


def test_the_further_away_the_wider():
    near, _, far = forecast(trainings(0.2, 0.35, 0.45), LENGTHS)
    assert far.high - far.low > near.high - near.low
