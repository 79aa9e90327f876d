"""The compare command, and its deprecated name."""

from pathlib import Path

import pytest

RESULT = Path(__file__).parents[1] / "pipeline" / "data" / "earlier_crossval" / "fold_0" / "result" / "0"


def test_compare_writes_the_differences_and_eval_compare_the_same_with_a_deprecation_line(run, tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    done = run("compare", f"--output={new}", RESULT, RESULT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(f"2 photographs; differences are {RESULT} minus {RESULT}\n")
    assert done.stdout.endswith(f"comparison: {new / 'compare.json'}    see: {new / 'compare.csv'}\n")
    deprecated = run("eval", "--compare", RESULT, RESULT, f"--output={old}")
    assert deprecated.returncode == 0
    assert deprecated.stdout == done.stdout.replace(str(new), str(old))
    assert deprecated.stderr == "eval --compare is deprecated; use python -m scripts.compare --output=OUT A B.\n"
    for name in ("compare.json", "compare.csv"):
        assert (old / name).read_bytes() == (new / name).read_bytes()


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ((), "error: expected two folders that eval wrote after the flags."),
        (("one",), "error: expected two folders that eval wrote after the flags; received 1: one."),
        ((RESULT, RESULT.parent), f"error: {RESULT.parent}: no scores.json there; expected a folder that"),
    ],
)
def test_compare_refuses_what_are_not_two_results(run, tmp_path, folders, message):
    done = run("compare", f"--output={tmp_path / 'out'}", *folders)
    assert done.returncode == 2
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
