"""Calibration: fits a model's probabilities to the fraction of lesion pixels in photographs that it has not seen.

For each class the logits z become factor * z + shift (Platt 1999, "Probabilistic outputs for support vector machines").
Both numbers are folded into the network's last layer, so nothing else has to know of them. The order of pixels does not
change, and neither does any area under a curve; the operating threshold changes along with the probabilities.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from configs import InputError
from models import Network, calibrate_logits
from pipeline.evaluation.counting import pool
from pipeline.evaluation.probability_bins import bins_of, middles, place
from pipeline.evaluation.results import Result
from pipeline.evaluation.scores import best_threshold, calibration_error
from pipeline.inference import SegmenterSpec


class ClassCalibration(NamedTuple):
    """The calibration of one class.

    Attributes:
      factor: number that its logits are multiplied by, above 0.
      shift: number that is then added to them.
      threshold: calibrated probability of the operating point that was chosen.
      error_before: expected calibration error (`pipeline.evaluation.scores.calibration_error`) in the whole frame.
      error_after: the same error of the calibrated probabilities.
      min_area: least area of a detection, pixels at the network's scale; 0: every region is a detection.
    """

    factor: float
    shift: float
    threshold: float
    error_before: float
    error_after: float
    min_area: float = 0.0


def calibrate(
    network: Network, spec: SegmenterSpec, result: Result, *, points: Mapping[str, Any]
) -> tuple[SegmenterSpec, list[ClassCalibration]]:
    """Calibrates a network on photographs that were scored, and gives it the operating point that was chosen on them.

    Args:
      network: network of the model; its weights are changed in place.
      spec: spec of the model.
      result: scores of photographs that were not seen in training: by this network, or by the networks of a
        cross-validation with the same config.
      points: what `earned_operating_points` says of the result; a class for which it chooses nothing gets the threshold
        of highest pooled Dice, and every region is a detection.

    Returns:
      The spec with the new thresholds and areas, and the calibration of each class.

    Raises:
      InputError: the result has other classes, a class is unknown in all of its photographs or has no lesion, or its
        lesions do not have higher probabilities than other pixels.
    """
    if result.classes != spec.classes:
        raise InputError(
            f"--results: scores of the classes {', '.join(result.classes)}, but the model has the classes "
            f"{', '.join(spec.classes)}."
        )
    pooled = pool(result.photographs())["frame"]
    unknown = [name for name, counts in pooled.items() if not counts.pixels]
    if unknown:
        raise InputError(
            f"--results: {', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} labelled in none of the "
            f"{len(result.cases)} photographs; expected photographs with lesions of every class of the model, to "
            "calibrate it on."
        )
    chosen = {name: points["classes"].get(name, {}).get("chosen") for name in spec.classes}
    fitted = [fit_class(name, pooled[name].lesion, pooled[name].negatives, point=chosen[name]) for name in spec.classes]
    calibrate_logits(network, [one.factor for one in fitted], [one.shift for one in fitted])
    areas = tuple(one.min_area for one in fitted)
    changed = dataclasses.replace(
        spec,
        thresholds=tuple(one.threshold for one in fitted),
        min_areas=areas if any(areas) else (),
        threshold_source="held out",
        calibrated_on=tuple(sorted(result.cases)),
        photographs={**spec.photographs, "calibrated_on": result.identities},
    )
    return changed.as_anonymous_as(spec), fitted


def fit_class(
    name: str, lesion: np.ndarray, negatives: np.ndarray, *, point: Mapping[str, float] | None = None
) -> ClassCalibration:
    """Fits factor and shift to histograms by maximum likelihood, with every pixel at the middle of its bin.

    The lowest bin holds most pixels of a photograph, and its middle is above their probabilities. It counts all the
    same: a fit to the uncertain pixels alone would raise the background to several percent.

    Args:
      name: the class.
      lesion: int `[bins + FURTHER]`, lesion pixels by probability, as in `pipeline.evaluation.counting.Counts`.
      negatives: int `[bins + FURTHER]`, all other pixels by probability.
      point: its `threshold`, of probabilities before calibration, and `min_area`; None: the threshold of highest Dice.

    Returns:
      The calibration of the class.

    Raises:
      InputError: there is no lesion pixel or no other pixel, or lesions have lower probabilities than the rest.
    """
    bins = bins_of(lesion)
    z = logit(middles(bins))
    positive, negative = lesion.astype(np.float64), negatives.astype(np.float64)
    pixels = positive.sum() + negative.sum()
    if not positive.sum() or not negative.sum():
        raise InputError(
            f"--results: no pixels to calibrate {name} on; expected photographs with lesions of this class and with "
            "other pixels."
        )

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scores = parameters[0] * z + parameters[1]
        value = np.sum(positive * np.logaddexp(0, -scores) + negative * np.logaddexp(0, scores))
        slope = (positive + negative) * expit(scores) - positive
        return value / pixels, np.array([np.sum(slope * z), np.sum(slope)]) / pixels

    factor, shift = minimize(loss, x0=(1.0, 0.0), jac=True, method="BFGS").x
    if factor <= 0:
        raise InputError(
            f"--results: lesions of {name} have lower probabilities than other pixels, which no calibration mends; "
            "train the model further, or check these masks."
        )
    threshold = point["threshold"] if point else best_threshold(lesion, negatives)
    places = place(expit(factor * z + shift).astype(np.float32), bins)
    calibrated = [np.bincount(places, counts, len(z)) for counts in (lesion, negatives)]
    return ClassCalibration(
        float(factor),
        float(shift),
        float(expit(factor * logit(threshold) + shift)),
        float(calibration_error(lesion, negatives)),
        float(calibration_error(*calibrated)),
        point["min_area"] if point else 0.0,
    )
