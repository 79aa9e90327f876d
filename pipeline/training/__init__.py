"""Records and a config to a trained model folder."""
