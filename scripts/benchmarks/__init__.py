"""What `python -m scripts.benchmark` measures, one module a benchmark; each returns rows to print and keys to keep."""
