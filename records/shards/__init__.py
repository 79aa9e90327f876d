"""Tiles to TFRecord shards and their index.

Only `record` and `sharding` import tensorflow, so that a process that decodes and cuts never loads it.
"""
