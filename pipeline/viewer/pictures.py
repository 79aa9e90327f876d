"""Photographs as the page shows them: thumbnails, and JPEG files of a size that browsers draw."""

import shutil
import threading
from pathlib import Path

import cv2
import numpy as np

from pipeline.viewer.library import Viewed
from records import encode_jpeg, read_photograph, rescale_photograph, temporary_folder, write_bytes

THUMBNAIL_SIDE = 224  # pixels of the longer side
# Pixels; larger photographs are shown shrunk, as canvases of browsers end at some size, with tiles where one zooms in.
MOST_SHOWN = 40_000_000
TILE_SIDE = 1024  # pixels
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

    def tile(self, case: Viewed, row: int, column: int) -> Path | None:
        """Returns the file of a tile of a photograph that is shown shrunk, at full resolution; None if there is none.

        All tiles of the photograph are made with the first one: decoding it takes seconds.

        Raises:
          InputError: the photograph cannot be read.
        """
        folder = self._folder / f"{case.number}_tiles"
        with self._decoding:
            if not folder.exists():
                photograph = read_photograph(case.path, max_pixels=self._max_pixels)
                with temporary_folder(self._folder) as temporary:
                    if photograph.shape[0] * photograph.shape[1] > MOST_SHOWN:
                        _write_tiles(photograph, temporary)
                    temporary.rename(folder)
        path = folder / f"{row}_{column}.jpg"
        return path if path.exists() else None

    def remove(self, number: int) -> None:
        """Removes a thumbnail and tiles, if they are there."""
        (self._folder / f"{number}.jpg").unlink(missing_ok=True)
        shutil.rmtree(self._folder / f"{number}_tiles", ignore_errors=True)


def _write_tiles(photograph: np.ndarray, folder: Path) -> None:
    for top in range(0, photograph.shape[0], TILE_SIDE):
        for left in range(0, photograph.shape[1], TILE_SIDE):
            tile = np.ascontiguousarray(photograph[top : top + TILE_SIDE, left : left + TILE_SIDE])
            name = f"{top // TILE_SIDE}_{left // TILE_SIDE}.jpg"
            (folder / name).write_bytes(encode_jpeg(tile, quality=QUALITY))
