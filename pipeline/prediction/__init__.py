"""From photographs to masks, overlays, outlines and tables."""

from pipeline.prediction.folder import PredictionFolder
from pipeline.prediction.overlap import OverlappedWork
from pipeline.prediction.pool import SegmenterPool, all_devices

__all__ = ["OverlappedWork", "PredictionFolder", "SegmenterPool", "all_devices"]
