"""From photographs to masks, overlays, outlines and tables."""

from pipeline.prediction.detections import Detections, detect
from pipeline.prediction.folder import PredictionFolder
from pipeline.prediction.landmarks import find_landmarks
from pipeline.prediction.measurements import lesion_features, summarize
from pipeline.prediction.memory import photograph_bytes
from pipeline.prediction.overlap import OverlappedWork
from pipeline.prediction.pictures import legend, write_pictures
from pipeline.prediction.pieces import PhotographFile, predicting, warn, work_through_one
from pipeline.prediction.pool import SegmenterPool, all_devices, segment_in_order
from pipeline.prediction.spread_files import spread_levels
from pipeline.prediction.tables import write_tables

__all__ = [
    "Detections",
    "OverlappedWork",
    "PhotographFile",
    "PredictionFolder",
    "SegmenterPool",
    "all_devices",
    "detect",
    "find_landmarks",
    "legend",
    "lesion_features",
    "photograph_bytes",
    "predicting",
    "segment_in_order",
    "spread_levels",
    "summarize",
    "warn",
    "work_through_one",
    "write_pictures",
    "write_tables",
]
