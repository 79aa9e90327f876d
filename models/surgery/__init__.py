"""Changes to trained networks: folded normalisation, another precision, other classes, smaller files."""

from models.surgery.folding import fold_normalization
from models.surgery.half_precision import halve_kernels
from models.surgery.heads import calibrate_logits, of_classes, transfer_weights
from models.surgery.precision import in_precision, precision_of, precision_policy

__all__ = [
    "calibrate_logits",
    "fold_normalization",
    "halve_kernels",
    "in_precision",
    "of_classes",
    "precision_of",
    "precision_policy",
    "transfer_weights",
]
