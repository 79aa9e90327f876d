"""From photographs to masks, overlays, outlines and tables."""

from pipeline.prediction.folder import PredictionFolder
from pipeline.prediction.memory import photograph_bytes
from pipeline.prediction.overlap import OverlappedWork
from pipeline.prediction.pool import SegmenterPool, all_devices, segment_in_order

__all__ = ["OverlappedWork", "PredictionFolder", "SegmenterPool", "all_devices", "photograph_bytes", "segment_in_order"]
