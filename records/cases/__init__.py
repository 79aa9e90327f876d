"""The photographs and masks of a source folder, their surveys, and their splits and folds."""

from records.cases.anonymity import anonymous, anonymous_identity, new_salt, salt_of, salts_in
from records.cases.case import ALL_KNOWN, SPLITS, Case, KnownRules
from records.cases.classes import classes_of_source
from records.cases.duplicates import hash_case, near_pairs, perceptual_hash, refuse_equal_files, same_pixels
from records.cases.folds import FoldPlan, find_training_cases, plan_folds
from records.cases.hard_negatives import HARD_NEGATIVES, HardNegative, read_hard_negatives, write_hard_negatives
from records.cases.healthy import add_healthy, healthy_folders
from records.cases.identity import PhotographIdentity, SamePhotograph, find_same, identify_case
from records.cases.known import labels_of
from records.cases.labelled_by import (
    PSEUDOLABEL_ENTRIES,
    PSEUDOLABELS,
    LabelledBy,
    read_labelled_by,
)
from records.cases.labels import HALF, Labels, read_checked_labels, read_labels, rescale_labels
from records.cases.listing import image_files
from records.cases.mask_checks import MaskWarning, by_kind
from records.cases.names import IMAGE_SUFFIXES, check_name
from records.cases.paired import CORRECTIONS, TRAININGS
from records.cases.photographs import photographs_of
from records.cases.seen import SeenPhotographs
from records.cases.sources import find_cases, is_source
from records.cases.splits import assign_folds, assign_validation
from records.cases.survey import (
    SIZE_BINS,
    Survey,
    case_digests,
    mask_values,
    survey_case,
    survey_cases,
)
from records.cases.tables import match_rows, read_patients, read_splits, split_names

__all__ = [
    "ALL_KNOWN",
    "CORRECTIONS",
    "HALF",
    "HARD_NEGATIVES",
    "IMAGE_SUFFIXES",
    "PSEUDOLABELS",
    "PSEUDOLABEL_ENTRIES",
    "SIZE_BINS",
    "SPLITS",
    "TRAININGS",
    "Case",
    "FoldPlan",
    "HardNegative",
    "KnownRules",
    "LabelledBy",
    "Labels",
    "MaskWarning",
    "PhotographIdentity",
    "SamePhotograph",
    "SeenPhotographs",
    "Survey",
    "add_healthy",
    "anonymous",
    "anonymous_identity",
    "assign_folds",
    "assign_validation",
    "by_kind",
    "case_digests",
    "check_name",
    "classes_of_source",
    "find_cases",
    "find_same",
    "find_training_cases",
    "hash_case",
    "healthy_folders",
    "identify_case",
    "image_files",
    "is_source",
    "labels_of",
    "mask_values",
    "match_rows",
    "near_pairs",
    "new_salt",
    "perceptual_hash",
    "photographs_of",
    "plan_folds",
    "read_checked_labels",
    "read_hard_negatives",
    "read_labelled_by",
    "read_labels",
    "read_patients",
    "read_splits",
    "refuse_equal_files",
    "rescale_labels",
    "salt_of",
    "salts_in",
    "same_pixels",
    "split_names",
    "survey_case",
    "survey_cases",
    "write_hard_negatives",
]
