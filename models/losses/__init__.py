"""Losses: functions of masks and probabilities, one value a sample."""
