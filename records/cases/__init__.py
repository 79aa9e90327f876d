"""The photographs and masks of a source folder, their surveys, and their splits and folds."""

from records.cases.case import SPLITS, Case
from records.cases.duplicates import hash_case, near_pairs, perceptual_hash, refuse_equal_files, same_pixels
from records.cases.folds import FoldPlan, find_training_cases, plan_folds
from records.cases.listing import Listing, image_files, list_folder, walk
from records.cases.names import IMAGE_SUFFIXES, check_name, image_stem, name_in_tree, printable
from records.cases.parallel import Progress, map_cases, no_progress
from records.cases.sources import find_cases
from records.cases.splits import assign_folds, assign_validation
from records.cases.survey import (
    SIZE_BINS,
    Survey,
    case_digests,
    mask_values,
    read_masks,
    rescale_masks,
    survey_case,
    survey_cases,
)
from records.cases.tables import read_patients, read_splits
from records.cases.unused import Warn, lines_by_reason, print_warning

__all__ = [
    "IMAGE_SUFFIXES",
    "SIZE_BINS",
    "SPLITS",
    "Case",
    "FoldPlan",
    "Listing",
    "Progress",
    "Survey",
    "Warn",
    "assign_folds",
    "assign_validation",
    "case_digests",
    "check_name",
    "find_cases",
    "find_training_cases",
    "hash_case",
    "image_files",
    "image_stem",
    "lines_by_reason",
    "list_folder",
    "map_cases",
    "mask_values",
    "name_in_tree",
    "near_pairs",
    "no_progress",
    "perceptual_hash",
    "plan_folds",
    "print_warning",
    "printable",
    "read_masks",
    "read_patients",
    "read_splits",
    "refuse_equal_files",
    "rescale_masks",
    "same_pixels",
    "survey_case",
    "survey_cases",
    "walk",
]
