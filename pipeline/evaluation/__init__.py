"""Probability maps and masks to counts, and counts to scores."""
