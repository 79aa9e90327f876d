"""Shards to batches to fit; model folders to maps, scores and SavedModels. Imports TensorFlow, which takes seconds."""

import configs  # noqa: F401 (before Keras, whose settings it sets aside)
