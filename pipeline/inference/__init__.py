"""A photograph to its probability map: the tiled graph and the model folder."""
