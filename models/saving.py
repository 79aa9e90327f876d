"""The name under which Keras registers our classes in saved files."""

PACKAGE = "fundus_tiles"
