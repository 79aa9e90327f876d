"""What tells one photograph from another, whatever their files are called."""

import collections
import dataclasses
from collections.abc import Iterable
from typing import Literal, NamedTuple

from configs import DataConfig
from records.cases.case import Case
from records.cases.duplicates import hash_case, near_pairs
from records.files import sha256_of


@dataclasses.dataclass(frozen=True)
class PhotographIdentity:
    """What a photograph is recognised by.

    Attributes:
      case: name of its case.
      sha256: digest of its file; empty if unknown.
      perceptual_hash: hash of what it looks like, see `records.cases.duplicates`; empty if unknown, as of an anonymous
        photograph (`records.cases.anonymity`).
    """

    case: str
    sha256: str
    perceptual_hash: str


class SamePhotograph(NamedTuple):
    """Two photographs that are the same.

    Attributes:
      one: name of the first.
      other: name of the second.
      by: "file" if their files are equal, "look" if they look the same, "name" if only their names are known.
      bits: number of the 256 bits of their perceptual hashes that differ; None unless by "look".
    """

    one: str
    other: str
    by: Literal["file", "look", "name"]
    bits: int | None = None


def identify_case(case: Case, data: DataConfig) -> PhotographIdentity:
    """Reads a case's photograph.

    Raises:
      InputError: it cannot be read.
    """
    return PhotographIdentity(case.name, perceptual_hash=hash_case(case, data), sha256=sha256_of(case.photograph))


def find_same(ones: Iterable[PhotographIdentity], others: Iterable[PhotographIdentity]) -> list[SamePhotograph]:
    """Finds which of some photographs are among others: the same file, or one that looks the same."""
    first, second = list(ones), list(others)
    by_digest: dict[str, list[str]] = collections.defaultdict(list)
    for other in second:
        by_digest[other.sha256].append(other.case)
    found = [SamePhotograph(one.case, name, "file") for one in first if one.sha256 for name in by_digest[one.sha256]]
    equal = {(same.one, same.other) for same in found}
    hashes = {f"0{number}": one.perceptual_hash for number, one in enumerate(first) if one.perceptual_hash}
    hashes |= {f"1{number}": other.perceptual_hash for number, other in enumerate(second) if other.perceptual_hash}
    for key, other_key, bits in near_pairs(hashes):  # those of `first` come first in the alphabet
        if key[0] != other_key[0]:
            names = first[int(key[1:])].case, second[int(other_key[1:])].case
            if names not in equal:
                found.append(SamePhotograph(*names, "look", bits))
    return found
