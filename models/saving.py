"""The name under which Keras registers the classes of this package in saved files."""

PACKAGE = "fundus_tiles"
