"""A small synthetic fundus set, so that demo and tests need no patient's photograph."""

from records.synthetic.photographs import synthetic_photograph
from records.synthetic.source import SIZES, write_synthetic_set

__all__ = ["SIZES", "synthetic_photograph", "write_synthetic_set"]
