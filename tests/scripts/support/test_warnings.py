"""Warnings that commands print: the first of a kind, then their number."""

import contextlib
import warnings

from records import PhotographWarning
from scripts.support.warnings import MOST, print_warnings, warnings_of_photographs


def test_the_first_of_a_kind_are_printed_and_the_others_counted(capsys):
    print_warnings(f"line {number}" for number in range(MOST + 2))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [*(f"warning: line {number}" for number in range(MOST)), "warning: and 2 more of this kind."]


def test_what_readers_of_photographs_warn_of_is_printed_once_and_at_the_end_whatever_happens(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with contextlib.suppress(KeyError), warnings_of_photographs():
            for name in ("b.png: odd", "a.png: odd", "b.png: odd"):
                warnings.warn(PhotographWarning(name), stacklevel=1)
            assert capsys.readouterr().err == ""
            raise KeyError
    assert capsys.readouterr().err == "warning: a.png: odd\nwarning: b.png: odd\n"
