"""Salted digests: the same for the same name and salt, of a form that is recognised, and nothing of what they hide."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from records import PhotographIdentity, anonymous, anonymous_identity, new_salt, salt_of, salts_in

NAMES = st.text(st.characters(exclude_characters="\0/"), min_size=1, max_size=40)
SALT, OTHER = "0123456789abcdef", "fedcba9876543210"


@given(one=NAMES, other=NAMES)
@settings(derandomize=True, max_examples=50, deadline=None)
def test_a_digest_tells_names_apart_keeps_its_salt_and_is_a_file_name(one, other):
    digest = anonymous(one, SALT)
    assert re.fullmatch(r"anonymous-[0-9a-f]{16}-[0-9a-f]{32}", digest)
    assert (digest == anonymous(other, SALT)) == (one == other)
    assert digest != anonymous(one, OTHER)
    assert salts_in([digest, one]) == {SALT}


def test_what_is_anonymous_stays_as_it_is():
    digest = anonymous("EYE7", SALT)
    assert anonymous(digest, OTHER) == digest
    assert anonymous("", SALT) == ""


def test_names_that_are_not_utf8_have_digests_too():
    assert salts_in([anonymous("caf\udce9", SALT)]) == {SALT}


def test_an_anonymous_identity_says_nothing_of_looks():
    known = anonymous_identity(PhotographIdentity("EYE7", "ab" * 32, "cd" * 32), SALT)
    assert known == PhotographIdentity(anonymous("EYE7", SALT), anonymous("ab" * 32, SALT), "")


def test_the_same_files_give_the_same_salt_in_any_order_and_others_another():
    assert salt_of(["a", "b"]) == salt_of(["b", "a"]) != salt_of(["a", "c"])
    assert salts_in([anonymous("x", salt_of(["a"]))]) == {salt_of(["a"])}
    assert new_salt() != new_salt()
