"""Calibration: a model's probabilities brought to the shares of lesion that photographs it has not seen show.

Of each class, the logits z become factor z + shift (Platt 1999, "Probabilistic outputs for support vector machines").
Both are folded into the network's last layer, so that no graph knows of it. The order of pixels stays, and with it
every area under a curve; where the threshold lies does not, and goes along.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from configs import InputError
from models import Network, calibrate_logits
from pipeline.evaluation.counting import pool
from pipeline.evaluation.results import Result
from pipeline.evaluation.scores import best_threshold, calibration_error
from pipeline.inference import SegmenterSpec


class ClassCalibration(NamedTuple):
    """Of one class.

    Attributes:
      factor: of its logits, above 0.
      shift: of its logits.
      threshold: at which pooled Dice is highest, a calibrated probability.
      error_before: expected calibration error (`pipeline.evaluation.scores.calibration_error`) in the frame.
      error_after: the same of calibrated probabilities.
    """

    factor: float
    shift: float
    threshold: float
    error_before: float
    error_after: float


def calibrate(network: Network, spec: SegmenterSpec, result: Result) -> tuple[SegmenterSpec, list[ClassCalibration]]:
    """Calibrates a network's weights on photographs that were scored, and chooses the thresholds on them.

    Args:
      network: of the model; its weights are changed.
      spec: of the model.
      result: of photographs that the networks which made these maps had not seen: this one, or those of a
        cross-validation with the same config.

    Returns:
      The spec with the thresholds, and what was done for each class.

    Raises:
      InputError: results of other classes, a class without a lesion, or maps that say nothing of it.
    """
    if result.classes != spec.classes:
        raise InputError(
            f"--results: scores of the classes {', '.join(result.classes)}, but the model has the classes "
            f"{', '.join(spec.classes)}."
        )
    pooled = pool(result.photographs())["frame"]
    answer = [fit_class(name, pooled[name].lesion, pooled[name].other) for name in spec.classes]
    calibrate_logits(network, [one.factor for one in answer], [one.shift for one in answer])
    thresholds = tuple(one.threshold for one in answer)
    changed = dataclasses.replace(
        spec, thresholds=thresholds, threshold_source="held out", calibrated_on=tuple(sorted(result.cases))
    )
    return changed, answer


def fit_class(name: str, lesion: np.ndarray, other: np.ndarray) -> ClassCalibration:
    """Fits factor and shift to counts, by maximum likelihood over all pixels, each at the middle of its bin.

    The lowest bin holds nearly all pixels of a photograph, at probabilities that its middle is above; it counts all the
    same, or the background would be raised to percents by a factor that suits the pixels in doubt.

    Args:
      name: of the class.
      lesion: int `[bins]`, lesion pixels by their probability, as `pipeline.evaluation.counting.Counts` has them.
      other: int `[bins]`, all other pixels.

    Raises:
      InputError: no lesion pixel or no other one, or lesions at lower probabilities than the rest.
    """
    bins = len(lesion)
    z = logit((np.arange(bins) + 0.5) / bins)
    positive, negative = lesion.astype(np.float64), other.astype(np.float64)
    pixels = positive.sum() + negative.sum()
    if not positive.sum() or not negative.sum():
        raise InputError(f"--results: no pixels to calibrate {name} on; it takes lesions, and maps that show some.")

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scores = parameters[0] * z + parameters[1]
        value = np.sum(positive * np.logaddexp(0, -scores) + negative * np.logaddexp(0, scores))
        slope = (positive + negative) * expit(scores) - positive
        return value / pixels, np.array([np.sum(slope * z), np.sum(slope)]) / pixels

    factor, shift = minimize(loss, x0=(1.0, 0.0), jac=True, method="BFGS").x
    if factor <= 0:
        raise InputError(f"--results: lesions of {name} lie at lower probabilities than other pixels.")
    threshold = best_threshold(lesion, other)
    places = np.minimum((expit(factor * z + shift) * bins).astype(int), bins - 1)
    calibrated = [np.bincount(places, counts, bins) for counts in (lesion, other)]
    return ClassCalibration(
        float(factor),
        float(shift),
        float(expit(factor * logit(threshold) + shift)),
        float(calibration_error(lesion, other)),
        float(calibration_error(*calibrated)),
    )
