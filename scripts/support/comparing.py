"""The comparison that `compare` prints, and `eval --compare` in the version that still has it."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.evaluation import read_result, write_comparison
from records import make_folder
from scripts.support.score_tables import comparison_lines


def compare(folders: Sequence[str], output: str) -> None:
    """Compares two folders that eval wrote, and prints the differences.

    Args:
      folders: the two folders; differences are the second minus the first.
      output: folder for `compare.json` and `compare.csv`.

    Raises:
      InputError: a result cannot be read, or the two cannot be compared.
    """
    one, other = (read_result(Path(folder)) for folder in folders)
    into = make_folder(Path(output), flag="--output")
    print("\n".join(comparison_lines(write_comparison(into, one, other))))
    print(f"comparison: {into / 'compare.json'}    see: {into / 'compare.csv'}")
