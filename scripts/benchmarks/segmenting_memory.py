"""The memory that a segmenter needs, measured in processes of their own."""

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from models import Network
from pipeline.inference import SegmenterSpec, TiledSegmenter
from pipeline.machine import peak_memory
from records import scaled_size
from scripts.benchmarks.measuring import in_own_process
from scripts.benchmarks.segmenting import compiled, scale_of


def peak_maps(make_network: Callable[[], Network], spec: SegmenterSpec, photograph: np.ndarray) -> float:
    """Measures what a segmenter needs beyond one batch of the network and the photographs.

    Args:
      make_network: loads or builds the network; is called in the other processes and must be picklable.
      spec: of the segmenter.
      photograph: uint8 RGB `[H, W, 3]`.

    Returns:
      The memory in units of one float32 map of the photograph's size.
    """
    peaks = [
        in_own_process(_peak_bytes, make_network, spec, photograph, segments=segments) for segments in (False, True)
    ]
    height, width = photograph.shape[:2]
    scale = scale_of(photograph, spec)
    scaled = 0 if scale == 1 else 3 * math.prod(scaled_size(height, width, scale))
    one_map = 4 * height * width * len(spec.classes)
    return float((peaks[1] - peaks[0] - scaled) / one_map)


def more_batch_megabytes(one: Callable[[], Network], other: Callable[[], Network], spec: SegmenterSpec) -> float:
    """Returns how much more memory one network takes for a batch than another, 10^6 bytes, weights included."""
    nothing = np.zeros((1, 1, 3), np.uint8)
    peaks = [in_own_process(_peak_bytes, make_network, spec, nothing, segments=False) for make_network in (one, other)]
    return (peaks[0] - peaks[1]) / 1e6


def _peak_bytes(
    make_network: Callable[[], Network], spec: SegmenterSpec, photograph: np.ndarray, *, segments: bool
) -> int:
    """Runs the network on one batch, or the segmenter, and returns the peak memory of this process."""
    segmenter = TiledSegmenter(make_network(), spec)
    in_memory = tf.constant(photograph)
    segment = segmenter.segment.get_concrete_function()
    if segments:
        segment(in_memory)
    else:
        compiled(segmenter.network)(tf.zeros([spec.tile_batch, spec.tile, spec.tile, 3]))
    return peak_memory()
