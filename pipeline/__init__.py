"""Shards to batches to fit; model folders to maps, scores and SavedModels. Imports TensorFlow, which takes seconds."""
