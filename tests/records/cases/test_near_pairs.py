"""Photographs that look the same are found as by comparing every pair."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from records.cases.duplicates import NEAR_BITS, near_pairs


def every_pair(hashes: dict[str, str]) -> list[tuple[str, str, int]]:
    compared = (
        (one, other, (int(hashes[one], 16) ^ int(hashes[other], 16)).bit_count())
        for one, other in itertools.combinations(sorted(hashes), 2)
    )
    return [pair for pair in compared if pair[2] <= NEAR_BITS]


@given(st.integers(0, 2**32), st.lists(st.integers(0, 40), max_size=30))
def test_the_pairs_are_those_of_all_comparisons(seed, flips):
    random = np.random.default_rng(seed)
    first = random.integers(0, 2, 256)
    hashes = {}
    for number, count in enumerate(flips):
        bits = first.copy()
        bits[random.choice(256, count, replace=False)] ^= 1
        hashes[f"eye{number}"] = np.packbits(bits).tobytes().hex()
    assert near_pairs(hashes) == every_pair(hashes)


def test_no_photographs_and_a_single_one_have_no_pair():
    assert near_pairs({}) == [] == near_pairs({"a": "0" * 64})
