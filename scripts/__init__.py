"""Commands: one absl command a file, `python -m scripts.NAME`; flags in, one call, words out."""
