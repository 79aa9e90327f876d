"""A small synthetic fundus set, so that demo and tests need no patient's photograph."""

from records.synthetic.camera import by_camera
from records.synthetic.paired import write_paired_set
from records.synthetic.photographs import SyntheticPhotograph, synthetic_photograph
from records.synthetic.source import SIZES, write_synthetic_set

__all__ = [
    "SIZES",
    "SyntheticPhotograph",
    "by_camera",
    "synthetic_photograph",
    "write_paired_set",
    "write_synthetic_set",
]
