"""Photographs as the page shows them: thumbnails, and JPEG files of a size that browsers draw."""

import threading
from pathlib import Path

import cv2
import numpy as np

from pipeline.viewer.library import Viewed
from records import encode_jpeg, read_photograph, rescale_photograph, write_bytes

THUMBNAIL_SIDE = 224  # pixels of the longer side
MOST_SHOWN = 40_000_000  # pixels; larger photographs are shown shrunk, as canvases of browsers end at some size
QUALITY = 92


class Pictures:
    """Makes pictures of photographs one at a time, so that a long list of thumbnails takes no more memory than one."""

    def __init__(self, folder: Path, *, max_pixels: int):
        """Keeps thumbnails in an existing folder."""
        self._folder, self._max_pixels = folder, max_pixels
        self._decoding = threading.Lock()

    def thumbnail(self, case: Viewed) -> Path:
        """Returns the file of a photograph's thumbnail, and makes it if need be.

        Raises:
          InputError: the photograph cannot be read.
        """
        path = self._folder / f"{case.number}.jpg"
        if not path.exists():
            with self._decoding:
                photograph = read_photograph(case.path, max_pixels=self._max_pixels)
                scale = min(THUMBNAIL_SIDE / max(photograph.shape[:2]), 1.0)
                size = tuple(max(round(length * scale), 1) for length in photograph.shape[1::-1])
                small = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
                write_bytes(path, encode_jpeg(np.ascontiguousarray(small), quality=QUALITY))
        return path

    def shown(self, case: Viewed) -> bytes:
        """Returns a photograph as a JPEG file, upright and in sRGB.

        Raises:
          InputError: the photograph cannot be read.
        """
        with self._decoding:
            photograph = read_photograph(case.path, max_pixels=self._max_pixels)
            scale = min((MOST_SHOWN / (photograph.shape[0] * photograph.shape[1])) ** 0.5, 1.0)
            return encode_jpeg(rescale_photograph(photograph, scale), quality=QUALITY)

    def remove(self, number: int) -> None:
        """Removes a thumbnail, if it is there."""
        (self._folder / f"{number}.jpg").unlink(missing_ok=True)
