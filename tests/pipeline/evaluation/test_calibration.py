"""Calibration: the fit equals scikit-learn's, maps are calibrated, and thresholds select the same pixels."""

import json

import keras
import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from configs import InputError
from pipeline.evaluation.calibration import calibrate, fit_class
from pipeline.evaluation.counting import count_photograph
from pipeline.evaluation.probability_bins import FURTHER, middles, place
from pipeline.evaluation.results import SCORES, counts_writer, read_result
from pipeline.evaluation.scores import calibration_error
from pipeline.operating_point import OperatingPoint
from records import PhotographIdentity

BINS = 640
NO_POINTS = {"why_not": "a reason", "classes": {}}


def overconfident(seed: int = 0, pixels: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Draws probabilities whose logits are twice the calibrated ones minus 1, and the mask."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.5, 1.2, pixels)
    return expit(2 * z - 1), rng.random(pixels) < expit(z)


def histograms(probabilities: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    level = place(probabilities.astype(np.float32), BINS)
    return tuple(np.bincount(level[mask == kind], minlength=BINS + FURTHER) for kind in (True, False))


def test_the_fit_is_that_of_scikit_learn_at_the_middles_of_the_bins():
    probabilities, mask = overconfident()
    lesion, negatives = histograms(probabilities, mask)
    fitted = fit_class("HE", lesion, negatives)
    z = np.tile(logit(middles(BINS)), 2)[:, None]
    weights = np.concatenate([lesion, negatives])
    kinds = np.repeat([1, 0], len(lesion))
    reference = LogisticRegression(C=np.inf, tol=1e-8).fit(z, kinds, sample_weight=weights)
    assert fitted.factor == pytest.approx(reference.coef_[0, 0], rel=1e-3)
    assert fitted.shift == pytest.approx(reference.intercept_[0], rel=1e-3)
    assert fitted.factor == pytest.approx(0.5, abs=0.05)  # as they were drawn
    assert fitted.shift == pytest.approx(0.5, abs=0.1)


def test_the_errors_are_those_of_the_histograms_before_and_after():
    probabilities, mask = overconfident()
    fitted = fit_class("HE", *histograms(probabilities, mask))
    assert fitted.error_before == pytest.approx(float(calibration_error(*histograms(probabilities, mask))))
    moved = expit(fitted.factor * logit(probabilities) + fitted.shift)
    assert fitted.error_after == pytest.approx(float(calibration_error(*histograms(moved, mask))), abs=2e-3)
    assert fitted.error_after < 0.2 * fitted.error_before


def test_the_threshold_finds_the_pixels_of_highest_dice():
    probabilities, mask = overconfident()
    fitted = fit_class("HE", *histograms(probabilities, mask))

    def dice(found):
        return 2 * np.sum(found & mask) / (found.sum() + mask.sum())

    best = max(dice(probabilities >= edge / BINS) for edge in range(1, BINS))
    moved = expit(fitted.factor * logit(probabilities) + fitted.shift)
    assert dice(moved >= fitted.threshold) == pytest.approx(best, abs=1e-4)


def test_the_background_stays_where_it_is():
    """A fit to the uncertain pixels alone would raise the background, nearly all of a photograph, to percents."""
    probabilities, mask = overconfident()
    background = np.full(1_000_000, 1e-5)
    lesion, negatives = histograms(
        np.append(probabilities, background), np.append(mask, np.zeros(len(background), bool))
    )
    fitted = fit_class("HE", lesion, negatives)
    assert fitted.error_after < fitted.error_before
    assert expit(fitted.factor * logit(1e-5) + fitted.shift) < 1e-3


def write(folder, classes, counted, case="A"):
    with counts_writer(folder, classes=classes, bins=BINS, thresholds=(0.5,) * len(classes)) as writer:
        writer.add(counted(case, classes), PhotographIdentity(case, "digest", "hash"))
    (folder / SCORES).write_text(json.dumps({"threshold_source": "validation"}))
    return read_result(folder)


@pytest.fixture
def counted():
    def count(case, classes):
        drawn = [overconfident(seed) for seed in range(len(classes))]
        maps, masks = (np.stack([pair[index] for pair in drawn], axis=-1).reshape(200, 200, -1) for index in (0, 1))
        retina = np.ones((200, 200), bool)
        return count_photograph(
            case,
            maps.astype(np.float32),
            masks,
            field_of_view=retina,
            classes=classes,
            operating_point=OperatingPoint((0.5,) * len(classes)),
            bins=BINS,
        )

    return count


def test_a_calibrated_model_has_the_logits_and_thresholds_of_the_fit_and_lists_its_cases(
    network, spec, counted, tmp_path
):
    result = write(tmp_path, ("HE", "MA"), counted, case="IDRiD_01")
    before = spec(classes=("HE", "MA"), thresholds=(0.5, 0.25))
    changed = keras.models.clone_model(network)
    changed.set_weights(network.get_weights())
    after, fitted = calibrate(changed, before, result, points=NO_POINTS)
    assert (after.threshold_source, after.calibrated_on) == ("held out", ("IDRiD_01",))
    assert after.photographs == {"calibrated_on": (PhotographIdentity("IDRiD_01", "digest", "hash"),)}
    assert after.thresholds == tuple(one.threshold for one in fitted)
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    z = logit(network(images, training=False).numpy().astype(np.float64))
    expected = expit(z * [one.factor for one in fitted] + [one.shift for one in fitted])
    np.testing.assert_allclose(changed(images, training=False), expected, atol=1e-5)


def test_a_calibrated_model_has_the_operating_point_that_was_chosen_and_else_that_of_highest_dice(
    network, spec, counted, tmp_path
):
    result = write(tmp_path, ("HE", "MA"), counted)
    before = spec(classes=("HE", "MA"), thresholds=(0.5, 0.25), min_areas=(1.0, 2.0))
    points = {"classes": {"HE": {"chosen": None}, "MA": {"chosen": {"threshold": 0.3, "min_area": 6.0}}}}
    changed = keras.models.clone_model(network)
    after, fitted = calibrate(changed, before, result, points=points)
    assert after.min_areas == (0.0, 6.0)
    assert after.thresholds[1] == pytest.approx(expit(fitted[1].factor * logit(0.3) + fitted[1].shift))
    plain, _ = calibrate(changed, before, result, points=NO_POINTS)
    assert plain.min_areas == ()
    assert plain.thresholds[0] == after.thresholds[0]


def test_results_of_other_classes_are_refused(network, spec, counted, tmp_path):
    result = write(tmp_path, ("EX",), counted)
    with pytest.raises(
        InputError, match=r"--results: scores of the classes EX, but the model has the classes HE, MA\."
    ):
        calibrate(network, spec(classes=("HE", "MA"), thresholds=(0.5, 0.25)), result, points=NO_POINTS)


def test_a_class_without_lesions_and_misleading_maps_are_refused_by_name():
    probabilities, mask = overconfident()
    lesion, negatives = histograms(probabilities, mask)
    with pytest.raises(InputError, match="no pixels to calibrate HE on"):
        fit_class("HE", np.zeros_like(lesion), negatives)
    with pytest.raises(InputError, match="lesions of HE have lower probabilities than other pixels"):
        fit_class("HE", *histograms(1 - probabilities, mask))
