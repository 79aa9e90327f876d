"""Commands print on terminals of any encoding, and names that no encoding has."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
from scripts.support import command
def main(_):
    print("a → b, 0.1–0.2 ± 3, 45°, Glaskörper 眼底", "\\udcff.jpg")
    raise command.InputError("no “x” → y")
command.run(main)
"""


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", r"a -> b, 0.1-0.2 +- 3, 45 degrees, Glask\xf6rper \u773c\u5e95 \udcff.jpg"),
        ("latin-1", r"a -> b, 0.1-0.2 ± 3, 45°, Glaskörper \u773c\u5e95 \udcff.jpg"),
        ("utf-8", "a → b, 0.1–0.2 ± 3, 45°, Glaskörper 眼底 \\udcff.jpg"),
    ],
)
def test_what_a_terminal_lacks_is_printed_in_plain_or_escaped_form(encoding, printed):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode(encoding).splitlines() == [printed]
    expected = "error: no “x” → y" if encoding == "utf-8" else 'error: no "x" -> y'
    assert done.stderr.decode(encoding).splitlines() == [expected]
    assert done.returncode == 2
