"""Equal and nearly equal photographs, through which a test photograph could leak into training under another name."""

from collections.abc import Mapping

import cv2
import numpy as np

from configs import DataConfig, InputError
from records.cases.case import Case
from records.images import read_photograph

HASH_SIDE = 16  # the hash has HASH_SIDE² bits
# Number of the 256 bits that may differ between two versions of one photograph. Resaving at quality 30, resizing,
# cropping by 8 pixels, blur and changes of brightness or gamma flipped at most 11 bits on IDRiD, where different eyes
# differ in at least 19.
NEAR_BITS = 15
SPREAD = 37  # odd, so that bit i * SPREAD % 256 takes every value, and no part of the hash is all background
SUBSAMPLE = 8  # at least so many rows and columns of each cell are averaged; the others are skipped


def perceptual_hash(photograph: np.ndarray) -> str:
    """Returns a hash of what a photograph looks like.

    Its bits say which cells of a small grey copy are brighter than their left neighbours.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.

    Returns:
      64 hexadecimal digits (256 bits). The difference hash of N. Krawetz, "Kind of like that" (hackerfactor.com, 2013),
      at 16x16.
    """
    step = max(min(photograph.shape[:2]) // (HASH_SIDE * SUBSAMPLE), 1)
    green = np.ascontiguousarray(photograph[::step, ::step, 1])  # the channel with the most contrast
    small = cv2.resize(green, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes().hex()


def hash_case(case: Case, data: DataConfig) -> str:
    """Decodes a case's photograph and returns its perceptual hash.

    Raises:
      InputError: the photograph cannot be read.
    """
    return perceptual_hash(read_photograph(case.photograph, max_pixels=data.max_pixels))


def near_pairs(hashes: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """Finds the pairs of photographs whose hashes differ in at most `NEAR_BITS` bits.

    Two such hashes agree in at least one of `NEAR_BITS + 1` parts, so only photographs that have a part in common are
    compared: one pair in some hundreds. What is held in memory grows with the photographs and the pairs that are found.

    Args:
      hashes: perceptual hash of each photograph, by its name.

    Returns:
      Tuples of two names in alphabetical order and the number of bits that differ.
    """
    names = sorted(hashes)
    spread = np.arange(HASH_SIDE**2) * SPREAD % HASH_SIDE**2
    digits = b"".join(bytes.fromhex(hashes[name]) for name in names)
    bits = np.unpackbits(np.frombuffer(digits, np.uint8).reshape(len(names), HASH_SIDE**2 // 8), axis=1)
    packed = np.ascontiguousarray(np.packbits(bits[:, spread], axis=1))  # in another order, which changes no distance
    words, parts = packed.view(np.uint64), packed.view(np.uint16)  # [photographs, 4], [photographs, NEAR_BITS + 1]
    found: dict[tuple[int, int], int] = {}
    for keys in parts.T:
        order = np.argsort(keys, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            for place, one in enumerate(members[:-1]):
                others = members[place + 1 :]
                distances = np.bitwise_count(words[one] ^ words[others]).sum(axis=1)
                near = np.flatnonzero(distances <= NEAR_BITS)
                found |= {(int(one), int(others[index])): int(distances[index]) for index in near}
    return [(names[one], names[other], distance) for (one, other), distance in sorted(found.items())]


def refuse_equal_files(cases: list[Case], digests: Mapping[str, str]) -> list[tuple[str, str]]:
    """Finds photographs whose files are equal, and refuses them in two splits.

    Args:
      cases: cases with their final splits.
      digests: sha256 of each photograph's file, by its case's name.

    Returns:
      The pairs of cases with equal photographs in one split, which are harmless but count twice.

    Raises:
      InputError: equal photographs are in two splits.
    """
    first: dict[str, Case] = {}
    pairs = []
    for case in cases:
        other = first.setdefault(digests[case.name], case)
        if other is case:
            continue
        if other.split != case.split:
            raise InputError(
                f"{other.photograph} ({other.split}) and {case.photograph} ({case.split}) are the same file; "
                "remove one of them, because it would leak from one split into the other."
            )
        pairs.append((other.name, case.name))
    return pairs


def same_pixels(one: Case, other: Case, *, max_pixels: int) -> bool:
    """Returns whether two photographs have the same pixels, whatever their file formats."""
    return np.array_equal(
        read_photograph(one.photograph, max_pixels=max_pixels), read_photograph(other.photograph, max_pixels=max_pixels)
    )
