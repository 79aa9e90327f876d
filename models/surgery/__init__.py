"""A trained network made over: folded, in another precision, with another head."""
