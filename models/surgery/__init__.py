"""Changes to trained networks: several as one, folded normalisation, precision, other classes, smaller files."""

from models.surgery.ensembles import AVERAGES, Average, ensemble_network, member_maps, number_of_members
from models.surgery.folding import fold_normalization
from models.surgery.half_precision import halve_kernels
from models.surgery.heads import calibrate_logits, of_classes, transfer_weights
from models.surgery.mean_weights import has_statistics, mean_weights, recompute_statistics
from models.surgery.precision import in_precision, precision_of, precision_policy

__all__ = [
    "AVERAGES",
    "Average",
    "calibrate_logits",
    "ensemble_network",
    "fold_normalization",
    "halve_kernels",
    "has_statistics",
    "in_precision",
    "mean_weights",
    "member_maps",
    "number_of_members",
    "of_classes",
    "precision_of",
    "precision_policy",
    "recompute_statistics",
    "transfer_weights",
]
