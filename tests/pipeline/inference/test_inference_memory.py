"""The memory for a large photograph is at most four probability maps, its two copies, and one batch of tiles."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
import numpy as np
import tensorflow as tf
from configs import Config, DataConfig, SegmentConfig
from pipeline.inference import SegmenterSpec, TiledSegmenter

scale, overlap, side = float(sys.argv[1]), float(sys.argv[2]), 4000
segment = SegmentConfig(overlap=overlap, tile_batch=2, skip_background=True)
config = Config(data=DataConfig(scale=scale), segment=segment)
segmenter = TiledSegmenter(lambda images: images[..., :1] / 255, SegmenterSpec.from_config(config, {}))
segmenter.segment(np.full((600, 700, 3), 100, np.uint8))
photograph = tf.constant(np.full((side, side, 3), 100, np.uint8))

def status(name):
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])

open("/proc/self/clear_refs", "w").write("5")  # the peak is that from here on
before = status("VmRSS")
probabilities = segmenter.segment(photograph)
peak = status("VmHWM")
np.testing.assert_allclose(probabilities[::50, ::50], 100 / 255, atol=1e-6)
scaled = 0 if scale == 1 else 3 * round(side * scale) ** 2
batch = 2 * config.data.tile**2 * (3 + 1) * 4
print((peak - before - scaled - batch) / (4 * side**2))
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a part of a program"
)
@pytest.mark.parametrize(("scale", "overlap"), [(1.0, 0.25), (0.99, 0.5)])
def test_peak_memory_at_4000_by_4000(forked, scale, overlap):
    done = forked(code=PROGRAM, arguments=[scale, overlap])
    assert done.returncode == 0, done.stderr
    maps = float(done.stdout)
    assert 1 < maps <= 4
