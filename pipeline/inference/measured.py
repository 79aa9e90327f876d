"""A photograph as it is read and measured for a model, before any device sees it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from records import PhotographScale


class MeasuredPhotograph(NamedTuple):
    """A photograph as it is read.

    Attributes:
      pixels: uint8 RGB `[H, W, 3]`.
      scale: how it is to be scaled.
      quality: its measures, see `records.measure_quality`.
    """

    pixels: np.ndarray
    scale: PhotographScale
    quality: Mapping[str, float] = MappingProxyType({})
