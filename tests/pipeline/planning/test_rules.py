"""Each rule against numbers that are worked out by hand, and what must hold of a plan whatever the photographs."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import InputError
from pipeline.planning.choice import Choice
from pipeline.planning.clock_rules import (
    choose_steps,
    fastest,
    is_worth_twice_the_batch,
    refuse_too_short,
    with_enough_steps,
)
from pipeline.planning.fingerprint import ClassFacts
from pipeline.planning.network_rules import NARROW, WIDE, Start, choose_network, choose_start
from pipeline.planning.scale_rules import (
    CROPS,
    LEAST_DIAMETER,
    choose_crop,
    choose_degrees,
    choose_diameter,
    choose_tiles,
    count_tiles,
    keep_diameter,
    shorten_for_time,
)
from pipeline.planning.step_trial import StepTrial
from pipeline.planning.training_rules import (
    choose_class_sampling,
    choose_held_out,
    choose_loss,
    choose_shown,
    count_healthy,
)


def lesions(name="HE", diameters=(0.01,) * 20, *, extents=None, fraction=0.01, showing=10, known=10, absent=0):
    """Returns a class of lesions; diameters and extents are fractions of the field of view."""
    wide = np.array(diameters, float)
    long = wide if extents is None else np.array(extents, float)
    return ClassFacts(name, wide, long, np.zeros(len(wide)), showing, known=known, absent=absent, fraction=fraction)


def trial(crops_per_second, *, batch=4, precision="float32", xla=False):
    return StepTrial(256, batch, precision, xla=xla, crops_per_second=crops_per_second, peak_bytes=10**9)


def with_ruler(eyes, diameter, *, side=None):
    """Returns a fingerprint of photographs with other fields of view, pixels, and sides."""
    side = side or round(1.2 * diameter)
    facts = {
        name: dataclasses.replace(one, field_diameter=diameter, height=side, width=side)
        for name, one in eyes.facts.items()
    }
    return dataclasses.replace(eyes, facts=facts)


def test_small_lesions_keep_three_pixels_and_classes_of_larger_ones_do_not_count(eyes):
    tenths = np.linspace(0.002, 0.012, 101)  # a tenth are below 0.003
    choice = choose_diameter(with_ruler(eyes, 3400), [lesions("MA", tenths), lesions("OD", [0.15] * 54)])
    assert choice.value == 1000 and "A tenth of all MA are smaller than 0.30%" in choice.reason


def test_no_photograph_is_enlarged_for_small_lesions_and_none_becomes_a_stamp_for_large_ones(eyes):
    assert choose_diameter(with_ruler(eyes, 480), [lesions(diameters=[0.001] * 20)]).value == 480
    assert choose_diameter(with_ruler(eyes, 3400), [lesions(diameters=[0.2] * 20)]).value == LEAST_DIAMETER
    assert choose_diameter(with_ruler(eyes, 480), [lesions(diameters=[0.2] * 20)]).value == 480


@given(pixels=st.floats(1e4, 1e8), minutes=st.floats(1, 1000), photographs=st.integers(4, 1000))
@settings(max_examples=50, deadline=None)
def test_a_short_time_makes_the_field_smaller_but_lesions_keep_two_pixels(pixels, minutes, photographs):
    classes, before = [lesions(diameters=[0.003] * 20)], Choice(1000.0, "")
    shorter = shorten_for_time(
        before, classes, photographs=photographs, pixels_per_second=pixels, minutes=minutes
    ).value
    passes = pixels * 60 * minutes / photographs / (math.pi / 4 * shorter**2)
    assert 2 / 0.003 - 8 <= shorter <= 1000
    assert passes > 9.5 or shorter <= 2 / 0.003 + 8  # as often as wanted, or as small as allowed
    assert shorter == 1000 or pixels * 60 * minutes / photographs / (math.pi / 4 * 1000**2) < 10


@pytest.mark.parametrize(("extent", "crop"), [(100, 256), (204, 256), (206, 384), (306, 384), (308, 512), (2000, 512)])
def test_the_crop_is_the_smallest_in_which_large_lesions_fit(extent, crop):
    assert choose_crop([lesions(), lesions("OD", extents=[extent / 1000] * 20)], 1000).value == crop


@given(
    ruler=st.integers(300, 4000), diameter=st.integers(320, 1500), crop=st.sampled_from(CROPS), wide=st.floats(1.0, 2.0)
)
@settings(max_examples=60, deadline=None)
def test_tiles_hold_crops_and_crops_reach_every_place(eyes, ruler, diameter, crop, wide):
    fingerprint = with_ruler(eyes, ruler, side=round(wide * ruler))
    choices = choose_tiles(fingerprint, diameter=diameter, crop=crop)
    tile, stride, piece = (choices[name].value for name in ("data.tile", "data.stride", "segment.tile"))
    longest = math.ceil(round(wide * ruler) * diameter / ruler)
    assert tile % 32 == 0 and piece % 32 == 0 and crop <= tile and crop <= piece
    assert crop <= tile - stride or tile >= longest  # see train.crop
    number = count_tiles(fingerprint, diameter=diameter, tile=tile, stride=stride)
    assert number == 12 if tile >= longest else number > 12


def test_the_cameras_angle_is_what_the_user_says_or_the_files(eyes):
    said = dataclasses.replace(eyes, facts={"a": dataclasses.replace(eyes.facts["eye0"], degrees=35.0)})
    assert [choose_degrees(one, None).value for one in (eyes, said)] == [50.0, 35.0]
    assert choose_degrees(said, 45.0).value == 45.0


def test_rare_classes_are_sampled_twice_as_often():
    classes = [lesions("MA", fraction=0.002), lesions("HE", fraction=0.005), lesions("OD", fraction=0.02)]
    assert choose_class_sampling(classes).value == (2.0, 1.0, 1.0)
    assert choose_class_sampling(classes[1:2]).value == ()
    assert choose_class_sampling(classes[:2]).value == ()


def test_the_loss_averages_over_what_a_batch_shows_if_a_class_or_a_photograph_may_show_none():
    assert choose_loss([lesions(showing=10)], photographs=10, healthy=0).value == "bce_batch_dice"
    assert choose_loss([lesions(showing=2), lesions()], photographs=10, healthy=0).value == "bce_present_dice"
    assert choose_loss([lesions(showing=10)], photographs=10, healthy=1).value == "bce_present_dice"


def test_healthy_photographs_get_a_fifth_of_the_crops_if_some_are_left_whichever_are_held_out(eyes):
    assert "train.healthy_fraction" not in choose_shown(eyes, ("HE",))
    names = [case.name for case in eyes.cases[:3]]
    free = {name: dataclasses.replace(eyes.facts[name], lesions={}, absent=["HE"]) for name in names}
    healthy = dataclasses.replace(eyes, facts=dict(eyes.facts) | free)
    assert choose_shown(healthy, ("HE",))["train.healthy_fraction"].value == 0.2
    same = [dataclasses.replace(case, patient="P") if case.name in names[:2] else case for case in eyes.cases]
    held = [dataclasses.replace(case, split="validation") if case.name in names[:1] else case for case in eyes.cases]
    for cases in (same, held):
        few = dataclasses.replace(healthy, cases=cases)
        assert "train.healthy_fraction" not in choose_shown(few, ("HE",))
        assert count_healthy(few, ("HE",)) == 3


def test_as_many_are_held_out_as_choose_an_epoch_and_patients_count_once(eyes):
    assert choose_held_out(eyes, folds=1).value == pytest.approx(2 / 12, abs=1e-4)
    pairs = [dataclasses.replace(case, patient=str(number // 2)) for number, case in enumerate(eyes.cases)]
    assert choose_held_out(dataclasses.replace(eyes, cases=pairs), folds=1).value == pytest.approx(2 / 6, abs=1e-4)
    own = [dataclasses.replace(eyes.cases[0], split="validation"), *eyes.cases[1:]]
    assert choose_held_out(dataclasses.replace(eyes, cases=own), folds=1).value == 0


def test_folds_hold_out_some_of_their_own_where_the_source_has_validation_photographs(eyes):
    own = dataclasses.replace(eyes, cases=[dataclasses.replace(eyes.cases[0], split="validation"), *eyes.cases[1:]])
    held_out = choose_held_out(own, folds=5)
    assert held_out.value == pytest.approx(2 / 12, abs=1e-4) and "crossval" not in held_out.reason


def test_the_pretrained_model_is_taken_where_classes_overlap_and_photographs_do_not(eyes):
    large = with_ruler(eyes, 1000)
    start = choose_start(large, ("HE", "XX"), network="auto", degrees=50.0)
    assert start.folder.endswith("pretrained/idrid_lesions") and "for XX begins at random" in start.reason
    assert "at random" not in choose_start(large, ("HE",), network="auto", degrees=50.0).reason
    assert choose_start(large, ("XX",), network="auto", degrees=50.0).folder is None
    assert choose_start(large, ("HE",), network="unet", degrees=50.0).folder is None
    assert "enlarged 3.2 times" in choose_start(with_ruler(eyes, 350), ("HE",), network="auto", degrees=50.0).reason
    seen = start.spec.photographs["train"][0]
    facts = dataclasses.replace(large.facts["eye0"], perceptual_hash=seen.perceptual_hash)
    known = dataclasses.replace(large, facts=dict(large.facts) | {"eye0": facts})
    assert (
        "trained on 1 of these photographs, such as eye0"
        in choose_start(known, ("HE",), network="auto", degrees=50.0).reason
    )


def test_photographs_keep_the_scale_of_a_model_as_far_as_they_can_be_enlarged(eyes):
    assert keep_diameter(with_ruler(eyes, 600), 1136).value == 1136
    small = keep_diameter(with_ruler(eyes, 400), 1136)
    assert small.value == 800 and "1.42 times smaller" in small.reason
    # One photograph of a large field among small ones does not make the others too small.
    one_large = dict(with_ruler(eyes, 400).facts) | {"eye0": with_ruler(eyes, 1000).facts["eye0"]}
    assert keep_diameter(dataclasses.replace(eyes, facts=one_large), 1136).value == 800


def test_few_pixels_get_a_narrow_network_and_rare_lesions_a_prior():
    def chosen(**changes):
        facts = [lesions(fraction=changes.pop("fraction", 0.02))]
        given = {"network": "auto", "photographs": 40, "diameter": 1000.0} | changes
        return choose_network(facts, Start(None, None, ""), **given)

    assert chosen()["model.fast.widths"].value == WIDE and chosen()["model.fast.prior"].value == 0.5
    assert chosen(photographs=10)["model.fast.widths"].value == NARROW
    assert chosen(fraction=0.001)["model.fast.prior"].value == 0.01
    assert {name: one.value for name, one in chosen(network="unet").items()} == {"model.network": "unet"}


def test_another_precision_must_be_a_twentieth_faster_and_twice_the_batch_a_quarter():
    one, close, fast = trial(10), trial(10.4, precision="mixed_bfloat16"), trial(10.6, precision="mixed_bfloat16")
    assert fastest([one, close]) is one and fastest([one, fast]) is fast
    assert is_worth_twice_the_batch(one, trial(12.6, batch=8))
    assert not is_worth_twice_the_batch(one, trial(12.4, batch=8))


def test_a_larger_batch_must_leave_enough_steps():
    trials = [trial(10, precision="mixed_bfloat16"), trial(9), trial(14, batch=8), trial(20, batch=16)]
    # 20 crops a second in batches of 16 are 75 steps a minute, 14 in batches of 8 are 105, 9 in batches of 4 are 135.
    for minutes, batch in {41: 16, 39: 8, 29: 8, 28: 4, 1: 4}.items():
        assert with_enough_steps(trials[3], trials, minutes=minutes).batch == batch
    assert with_enough_steps(trials[0], trials, minutes=1) is trials[0]


@given(rate=st.floats(0.1, 1000), minutes=st.floats(0.5, 2000), batch=st.sampled_from([4, 8, 64]))
@settings(max_examples=50, deadline=None)
def test_the_clock_ends_training_and_whole_photographs_are_scored_on_the_way(rate, minutes, batch):
    chosen = trial(rate, batch=batch)
    values = {name: one.value for name, one in choose_steps(chosen, [chosen], minutes=minutes).items()}
    possible = 60 * minutes * rate / batch
    assert values["train.epochs"] * values["train.steps_per_epoch"] >= possible
    assert values["train.photographs_every"] * 5 <= max(possible / values["train.steps_per_epoch"] + 3, 5)
    assert 0 < values["train.ema_momentum"] < 1 and values["train.max_minutes"] == minutes


def test_xla_is_left_to_training_unless_it_was_tried():
    assert choose_steps(trial(9), [trial(9)], minutes=9)["train.xla"].value == "auto"
    both = [trial(9), trial(12, xla=True)]
    assert [choose_steps(one, both, minutes=9)["train.xla"].value for one in both] == ["off", "on"]


def test_less_time_than_an_epoch_is_refused_with_the_time_that_it_takes():
    refuse_too_short(2.0, trial(10), tiles=1200)
    with pytest.raises(InputError, match="--minutes=1.9: one epoch, .* takes 2.0 minutes .* at least --minutes=2,"):
        refuse_too_short(1.9, trial(10), tiles=1200)
    with pytest.raises(InputError, match="--minutes=9.5: .* 2.0 minutes in each of 5 folds at .* --minutes=10, and"):
        refuse_too_short(1.9, trial(10), tiles=1200, folds=5)
