"""From a photograph to its probability map: the tiled graph and the model folder."""

from pipeline.inference.model_folder import (
    NETWORK_FILE,
    SEGMENTER_FILE,
    check_tile,
    load_model,
    load_segmenter,
    save_model,
)
from pipeline.inference.segmenter import NAN_MESSAGE, MeasuredPhotograph, Segmented, TiledSegmenter
from pipeline.inference.spec import SegmenterSpec

__all__ = [
    "NAN_MESSAGE",
    "NETWORK_FILE",
    "SEGMENTER_FILE",
    "MeasuredPhotograph",
    "Segmented",
    "SegmenterSpec",
    "TiledSegmenter",
    "check_tile",
    "load_model",
    "load_segmenter",
    "save_model",
]
