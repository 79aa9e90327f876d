"""Packs classes into the bits of a byte, as records store them, and cuts tiles."""

import numpy as np

from records.images import encode_png


class KnownBits:
    """Which classes are known at each pixel of a scaled photograph, and beyond it.

    Beyond the photograph a class is known if it is known anywhere in it.
    """

    def __init__(self, known: np.ndarray | None, classes: int):
        """Packs bool `[H, W, C]`; None: all of the classes are known throughout."""
        self._bits = None if known is None else pack_classes(known)
        self.anywhere = (1 << classes) - 1 if self._bits is None else int(np.bitwise_or.reduce(self._bits, axis=None))

    def of_tile(self, y: int, x: int, *, tile: int) -> np.ndarray | None:
        """Returns the bits of a tile, uint8 `[T, T]`; None if they are `anywhere` at every pixel."""
        if self._bits is None:
            return None
        bits = cut_tile(self._bits, y, x, tile=tile, beyond=self.anywhere)
        return None if (bits == self.anywhere).all() else bits

    def encoded(self, y: int, x: int, *, tile: int) -> bytes:
        """Returns what a record says of a tile, see `Tile`."""
        bits = self.of_tile(y, x, tile=tile)
        if bits is None:
            return bytes([self.anywhere])
        return bytes([bits[0, 0]]) if (bits == bits[0, 0]).all() else encode_png(bits)

    def shows_any(self, y: int, x: int, *, tile: int) -> bool:
        """Returns whether anything is known of a tile."""
        bits = self.of_tile(y, x, tile=tile)
        return bool(self.anywhere if bits is None else bits.any())


def pack_classes(planes: np.ndarray) -> np.ndarray:
    """Packs bool `[H, W, C]` to uint8 `[H, W]` whose bit c is class c."""
    bits = planes[..., 0].view(np.uint8)
    for index in range(1, planes.shape[2]):  # np.packbits is ten times slower along a short axis
        bits = np.bitwise_or(bits, planes[..., index].view(np.uint8) << index, dtype=np.uint8)
    return bits


def cut_tile(image: np.ndarray, y: int, x: int, *, tile: int, beyond: int = 0) -> np.ndarray:
    """Returns the tile `[T, T, …]` of an image `[H, W, …]` that begins at (y, x), filled up beyond the image."""
    part = image[y : y + tile, x : x + tile]
    missing = [(0, tile - part.shape[0]), (0, tile - part.shape[1])] + [(0, 0)] * (image.ndim - 2)
    return np.pad(part, missing, constant_values=beyond)
