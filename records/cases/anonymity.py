"""Digests that stand for names and files, so that what is shared names nobody, and leaks are still found.

A digest contains its salt: whoever has a photograph, or guesses its name, can compute the digest and compare. That is
how leaks are found, and the limit of what digests hide.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from records.cases.identity import PhotographIdentity

SALT_DIGITS, DIGITS = 16, 32  # hexadecimal
FORM = re.compile(rf"anonymous-([0-9a-f]{{{SALT_DIGITS}}})-[0-9a-f]{{{DIGITS}}}")  # can name a file on any system


def new_salt() -> str:
    """Returns a random salt."""
    return secrets.token_hex(SALT_DIGITS // 2)


def salt_of(digests: Iterable[str]) -> str:
    """Returns the salt that follows from digests of files.

    The same files give the same salt, so that an interrupted training continues under the same names, and two results
    on the same photographs can be compared. Nobody can guess it without the files.
    """
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:SALT_DIGITS]


def anonymous(text: str, salt: str) -> str:
    """Returns the salted digest of a name or of a file's sha256; empty text and digests are returned as they are."""
    if not text or FORM.fullmatch(text):
        return text
    digest = hmac.new(salt.encode(), text.encode("utf-8", "surrogateescape"), "sha256").hexdigest()
    return f"anonymous-{salt}-{digest[:DIGITS]}"


def anonymous_identity(identity: PhotographIdentity, salt: str) -> PhotographIdentity:
    """Returns an identity by digests alone: what the photograph looks like is left out, as no salt can hide it."""
    return PhotographIdentity(anonymous(identity.case, salt), anonymous(identity.sha256, salt), "")


def salts_in(texts: Iterable[str]) -> set[str]:
    """Returns the salts of those texts that are digests."""
    return {found[1] for text in texts if (found := FORM.fullmatch(text))}
