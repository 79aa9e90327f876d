"""Shards to batches: reading, sampling, cropping and augmentation."""
