"""A look into the training stream and the networks."""
