"""The probability maps of a network, as evaluation takes them."""

from collections.abc import Callable

import numpy as np

from configs import InputError
from pipeline.evaluation.photographs import LoadedCase, MapOf
from pipeline.inference import NAN_MESSAGE, TiledSegmenter


def by_segmenter(segmenter: TiledSegmenter) -> Callable[[LoadedCase], np.ndarray]:
    """Returns a function that computes the probability map of a loaded case, float32 0..1 `[H, W, C]`."""

    def segment(loaded: LoadedCase) -> np.ndarray:
        return segmenter.segment_measured(loaded.measured or segmenter.measure(loaded.photograph)).probabilities

    return segment


def segmented_by(segment: Callable[[LoadedCase], np.ndarray]) -> MapOf:
    """Returns a function that segments a loaded case and raises `InputError` if the map has NaN.

    Args:
      segment: makes the probability map of a loaded case, float32 0..1 `[H, W, C]`.
    """

    def map_of(loaded: LoadedCase) -> np.ndarray:
        probabilities = segment(loaded)
        if np.isnan(probabilities).any():
            raise InputError(f"case {loaded.case}: {NAN_MESSAGE}")
        return probabilities

    return map_of
