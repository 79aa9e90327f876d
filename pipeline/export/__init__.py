"""A model folder to a SavedModel for TF Serving."""
