"""Photographs that a model has seen are recognised by file, look and digest, and else by their names."""

from records.cases.anonymity import anonymous, anonymous_identity
from records.cases.identity import PhotographIdentity, SamePhotograph
from records.cases.seen import SeenPhotographs

A, B = (PhotographIdentity(name, f"sha of {name}", digit * 64) for name, digit in (("A", "0"), ("B", "f")))
COPY = PhotographIdentity("copy", "another sha", "0" * 63 + "1")


def test_they_are_found_by_file_and_look_under_other_names():
    seen = SeenPhotographs(("A", "B"), (A, B))
    renamed = PhotographIdentity("C", "sha of B", "")
    assert seen.find([COPY, renamed]) == [SamePhotograph("C", "B", "file"), SamePhotograph("copy", "A", "look", 1)]


def test_another_photograph_of_the_same_name_is_not_found_unless_nothing_but_the_name_is_known():
    other = PhotographIdentity("A", "other", "f0" * 32)
    assert SeenPhotographs(("A",), (A,)).find([other]) == []
    assert SeenPhotographs(("A",)).find([other]) == [SamePhotograph("A", "A", "name")]


def test_anonymous_ones_are_found_by_their_digests():
    salt = "0123456789abcdef"
    seen = SeenPhotographs((anonymous("A", salt), anonymous("Q", salt)), (anonymous_identity(A, salt),))
    renamed = PhotographIdentity("C", A.sha256, "1" * 64)
    assert [(pair.one, pair.by) for pair in seen.find([renamed, COPY])] == [("C", "file")]
    assert seen.find([PhotographIdentity("Q", "", "")]) == [SamePhotograph("Q", "Q", "name")]


def test_united_they_are_there_once():
    both = SeenPhotographs(("A",), (A,)) + SeenPhotographs(("B", "A"), (B, A))
    assert both == SeenPhotographs(("A", "B"), (A, B))
