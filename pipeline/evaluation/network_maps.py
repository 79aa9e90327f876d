"""The probability maps of a network, as evaluation takes them."""

import numpy as np

from configs import InputError
from pipeline.evaluation.photographs import CaseMap, LoadedCase, MapOf
from pipeline.inference import NAN_MESSAGE, TiledSegmenter, photograph_warnings, refuse_unsuitable


def by_segmenter(
    segmenter: TiledSegmenter, *, strict: bool = False, warnings: dict[str, list[str]] | None = None
) -> MapOf:
    """Returns a function that computes the probability map of a loaded case.

    Args:
      segmenter: makes the maps.
      strict: whether a photograph that does not suit the model raises an `InputError`.
      warnings: gets what is unusual about a case, by its name.
    """

    def segment(loaded: LoadedCase) -> CaseMap:
        measured = loaded.measured or segmenter.measure(loaded.photograph)
        segmented = segmenter.segment_measured(measured)
        lines = photograph_warnings(measured, segmented.scale, segmenter.spec)
        if strict:
            refuse_unsuitable(f"case {loaded.case}", lines)
        if lines and warnings is not None:
            warnings[loaded.case] = lines
        return CaseMap(segmented.probabilities, segmented.scale.factor)

    return segment


def segmented_by(segment: MapOf) -> MapOf:
    """Returns a function that segments a loaded case and raises `InputError` if the map has NaN.

    Args:
      segment: makes the probability map of a loaded case.
    """

    def map_of(loaded: LoadedCase) -> CaseMap:
        found = segment(loaded)
        if np.isnan(found.probabilities).any():
            raise InputError(f"case {loaded.case}: {NAN_MESSAGE}")
        return found

    return map_of
