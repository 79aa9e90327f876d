"""The benchmarks of `python -m scripts.benchmark`: one module each, whose `measure` returns a `measuring.Result`."""
