"""Photographs to shards: sources, imaging, tile geometry, splits, records and their index.

Re-exported here is what other rooms use and what needs no tensorflow. `records.record` and `records.sharding`, which
do, are imported by their own names, so that a process that only decodes and cuts never loads it.
"""

from records.field_of_view import field_of_view
from records.files import complete_file, make_folder, write_bytes, write_text
from records.grid import scaled_size, stride_of_overlap, tile_origins, tile_starts, window
from records.imaging import draw_contours, photograph_size, read_mask, read_photograph, shrink_mask, shrink_photograph
from records.index import Index, check_config, check_shards, read_index, write_index
from records.sources import IMAGE_SUFFIXES, SPLITS, Case, find_cases, image_files
from records.splits import assign_validation
from records.survey import Survey, read_masks, survey_case

__all__ = [
    "IMAGE_SUFFIXES",
    "SPLITS",
    "Case",
    "Index",
    "Survey",
    "assign_validation",
    "check_config",
    "check_shards",
    "complete_file",
    "draw_contours",
    "field_of_view",
    "find_cases",
    "image_files",
    "make_folder",
    "photograph_size",
    "read_index",
    "read_mask",
    "read_masks",
    "read_photograph",
    "scaled_size",
    "shrink_mask",
    "shrink_photograph",
    "stride_of_overlap",
    "survey_case",
    "tile_origins",
    "tile_starts",
    "window",
    "write_bytes",
    "write_index",
    "write_text",
]
