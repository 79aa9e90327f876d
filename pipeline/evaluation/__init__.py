"""Evaluation: probability maps and masks to counts, and counts to scores.

Re-exported here is what other folders use and what needs no TensorFlow, so that a command that only reads results
starts at once. Modules that need it are imported by their own names: `calibration`, `network_maps`, `plan`, `run` and
`tiles`.
"""

from pipeline.evaluation.baseline import baseline_aupr
from pipeline.evaluation.comparison import write_comparison
from pipeline.evaluation.counting import Counts, PhotographCounts, add_counts, count_photograph, pool
from pipeline.evaluation.crossvalidation import POINTS, POOLED, pool_folds, result_folders
from pipeline.evaluation.fold_results import FoldResult, read_fold, read_folds, result_folder, write_fold
from pipeline.evaluation.fold_runs import (
    CrossValidation,
    add_seconds,
    begin_crossvalidation,
    check_same_config,
    fold_result,
    fold_steps,
)
from pipeline.evaluation.leaks import Audit, audit
from pipeline.evaluation.lesion_matching import FALSE_POSITIVES, LESION, froc, sensitivity_at
from pipeline.evaluation.names import AnonymousNames, Names
from pipeline.evaluation.operating_points import earned_operating_points
from pipeline.evaluation.photographs import CaseMap, LoadedCase, MapOf, Measure, evaluate_photographs, load_case
from pipeline.evaluation.results import Result, read_result
from pipeline.evaluation.scores import SCORES, best_threshold, precision_recall, score
from pipeline.evaluation.second_stage import SecondStage
from pipeline.evaluation.seen import Seen
from pipeline.evaluation.sparsification import FRACTION, first_to_last, removed_at, sparsify
from pipeline.evaluation.tile_errors import TILE_ERRORS, worth

__all__ = [
    "FALSE_POSITIVES",
    "FRACTION",
    "LESION",
    "POINTS",
    "POOLED",
    "SCORES",
    "TILE_ERRORS",
    "AnonymousNames",
    "Audit",
    "CaseMap",
    "Counts",
    "CrossValidation",
    "FoldResult",
    "LoadedCase",
    "MapOf",
    "Measure",
    "Names",
    "PhotographCounts",
    "Result",
    "SecondStage",
    "Seen",
    "add_counts",
    "add_seconds",
    "audit",
    "baseline_aupr",
    "begin_crossvalidation",
    "best_threshold",
    "check_same_config",
    "count_photograph",
    "earned_operating_points",
    "evaluate_photographs",
    "first_to_last",
    "fold_result",
    "fold_steps",
    "froc",
    "load_case",
    "pool",
    "pool_folds",
    "precision_recall",
    "read_fold",
    "read_folds",
    "read_result",
    "removed_at",
    "result_folder",
    "result_folders",
    "score",
    "sensitivity_at",
    "sparsify",
    "worth",
    "write_comparison",
    "write_fold",
]
