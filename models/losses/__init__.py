"""Losses: functions of masks and probabilities that return one value per sample, and the table of their names."""

from models.losses.losses import LOSSES, build_loss

__all__ = ["LOSSES", "build_loss"]
