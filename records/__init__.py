"""Photographs to shards: sources, imaging, tile geometry, splits, records and their index.

Re-exported here is what other rooms use and what needs no tensorflow. `records.shards.record` and
`records.shards.sharding`, which do, are imported by their own names, so that a process that only decodes and cuts
never loads it.
"""

from records.cases.duplicates import hash_case, near_pairs, perceptual_hash, refuse_equal_files
from records.cases.sources import IMAGE_SUFFIXES, SPLITS, Case, find_cases, image_files, read_patients, read_splits
from records.cases.splits import assign_folds, assign_validation
from records.cases.survey import Survey, case_digests, mask_values, read_masks, survey_case
from records.files import (
    claimed,
    complete_file,
    is_running,
    make_folder,
    sha256_of,
    sweep_temporaries,
    write_bytes,
    write_text,
)
from records.grid import scaled_size, stride_of_overlap, tile_origins, tile_starts, window
from records.images.drawing import CLASS_COLORS, contact_sheet, draw_contours, write_jpeg, write_png
from records.images.field_of_view import field_of_view
from records.images.imaging import photograph_size, read_mask, read_photograph, shrink_mask, shrink_photograph
from records.images.lesions import lesions
from records.shards.cutting import estimate_bytes
from records.shards.index import Index, check_config, locate_records, read_index, write_index

__all__ = [
    "CLASS_COLORS",
    "IMAGE_SUFFIXES",
    "SPLITS",
    "Case",
    "Index",
    "Survey",
    "assign_folds",
    "assign_validation",
    "case_digests",
    "check_config",
    "claimed",
    "complete_file",
    "contact_sheet",
    "draw_contours",
    "estimate_bytes",
    "field_of_view",
    "find_cases",
    "hash_case",
    "image_files",
    "is_running",
    "lesions",
    "locate_records",
    "make_folder",
    "mask_values",
    "near_pairs",
    "perceptual_hash",
    "photograph_size",
    "read_index",
    "read_mask",
    "read_masks",
    "read_patients",
    "read_photograph",
    "read_splits",
    "refuse_equal_files",
    "scaled_size",
    "sha256_of",
    "shrink_mask",
    "shrink_photograph",
    "stride_of_overlap",
    "survey_case",
    "sweep_temporaries",
    "tile_origins",
    "tile_starts",
    "window",
    "write_bytes",
    "write_index",
    "write_jpeg",
    "write_png",
    "write_text",
]
