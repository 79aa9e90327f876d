"""From a photograph to its probability map: the tiled graph and the model folder."""

from pipeline.inference.adapting import adapt_spec, identify_photographs
from pipeline.inference.background import DISC as BACKGROUND_DISC
from pipeline.inference.ensembles import fingerprint_of_all, load_members, load_together, member_specs, merge_specs
from pipeline.inference.measured import MeasuredPhotograph
from pipeline.inference.model_folder import (
    LOAD_FILE,
    NETWORK_FILE,
    SEGMENTER_FILE,
    check_tile,
    copy_network,
    fingerprint_of,
    load_model,
    load_segmenter,
    read_spec,
    save_model,
    save_spec,
    spec_of,
)
from pipeline.inference.probability_map import STRIP_BYTES, ProbabilityMap
from pipeline.inference.segmenter import NAN_MESSAGE, Segmented, TiledSegmenter
from pipeline.inference.spec import SegmenterSpec
from pipeline.inference.spread import LARGEST_SPREAD, Uncertainty
from pipeline.inference.suitability import photograph_warnings, quantiles_of, refuse_unsuitable, united_quantiles
from pipeline.inference.tiling import Tiling

__all__ = [
    "BACKGROUND_DISC",
    "LARGEST_SPREAD",
    "LOAD_FILE",
    "NAN_MESSAGE",
    "NETWORK_FILE",
    "SEGMENTER_FILE",
    "STRIP_BYTES",
    "MeasuredPhotograph",
    "ProbabilityMap",
    "Segmented",
    "SegmenterSpec",
    "TiledSegmenter",
    "Tiling",
    "Uncertainty",
    "adapt_spec",
    "check_tile",
    "copy_network",
    "fingerprint_of",
    "fingerprint_of_all",
    "identify_photographs",
    "load_members",
    "load_model",
    "load_segmenter",
    "load_together",
    "member_specs",
    "merge_specs",
    "photograph_warnings",
    "quantiles_of",
    "read_spec",
    "refuse_unsuitable",
    "save_model",
    "save_spec",
    "spec_of",
    "united_quantiles",
]
