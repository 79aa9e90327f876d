"""The probability maps of a network, as evaluation takes them."""

from collections.abc import Callable

import numpy as np

from configs import InputError
from pipeline.evaluation.photographs import LoadedCase, MapOf
from pipeline.inference import NAN_MESSAGE, TiledSegmenter, photograph_warnings, refuse_unsuitable


def by_segmenter(
    segmenter: TiledSegmenter, *, strict: bool = False, warnings: dict[str, list[str]] | None = None
) -> Callable[[LoadedCase], np.ndarray]:
    """Returns a function that computes the probability map of a loaded case, float32 0..1 `[H, W, C]`.

    Args:
      segmenter: makes the maps.
      strict: whether a photograph that does not suit the model raises an `InputError`.
      warnings: gets what is unusual about a case, by its name.
    """

    def segment(loaded: LoadedCase) -> np.ndarray:
        measured = loaded.measured or segmenter.measure(loaded.photograph)
        segmented = segmenter.segment_measured(measured)
        lines = photograph_warnings(measured, segmented.scale, segmenter.spec)
        if strict:
            refuse_unsuitable(f"case {loaded.case}", lines)
        if lines and warnings is not None:
            warnings[loaded.case] = lines
        return segmented.probabilities

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
