"""Embedded ICC profiles: the colours of a photograph as sRGB, in which networks see all photographs.

A profile says what the numbers of a file mean. In Display P3 or Adobe RGB, the same numbers are other colours than in
sRGB, and a network that was trained on sRGB finds fewer lesions in them. LittleCMS, which comes with Pillow, converts.
"""

import functools
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from records.images.decoding import inks_of, legible, rgb_of

SAME = 2  # levels by which a profile may differ from sRGB and still count as sRGB: its numbers are rounded
STEPS = 17  # levels of each channel at which a profile is compared with sRGB
# What a profile is for, and the mode of the images to which it is applied.
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
PROFILE = "icc_profile"  # Pillow's name for it; None if the file has one that is incomplete


class PhotographWarning(UserWarning):
    """A warning about one photograph, on one line that begins with its path."""


def srgb_of(image: Image.Image, path: Path) -> Image.Image:
    """Returns a decoded image of any mode except 16-bit grey as 8-bit sRGB without transparency.

    An embedded profile is applied unless its colours are those of sRGB. One that is damaged, or is meant for images of
    another kind, is not, and a PhotographWarning says so.

    Args:
      image: the image; its `info` holds the profile.
      path: its file, for the warning.
    """
    if PROFILE not in image.info:
        return rgb_of(image)
    try:
        kind, transform = _conversion(image.info[PROFILE] or b"")
        if not _fits(kind, image.mode):
            raise ValueError(f"it is for {kind} images, this one is {image.mode}")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        reason = legible(str(error))
        warnings.warn(
            PhotographWarning(f"{path}: its colour profile cannot be used ({reason}); read as if it were sRGB"),
            stacklevel=2,
        )
        return rgb_of(image)
    if transform is None:
        return rgb_of(image)
    converted = ImageCms.applyTransform(_in_mode(image, kind), transform)
    assert converted is not None  # only a transform in place returns None
    return converted


def has_other_colors(image: Image.Image) -> bool:
    """Returns whether an image has a profile whose colours are not those of sRGB."""
    try:
        return bool(image.info.get(PROFILE)) and _conversion(image.info[PROFILE])[1] is not None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False


def _fits(kind: str, mode: str) -> bool:
    """Returns whether a profile of a kind can be applied to images of a mode."""
    if "CMYK" in (kind, mode):
        return kind == mode
    return kind == "RGB" or mode in ("1", "L", "LA")  # grey can be seen as RGB, but not the other way round


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "CMYK":
        return inks_of(image)
    return rgb_of(image) if mode == "RGB" else image.convert(mode)


@functools.lru_cache(maxsize=64)  # the photographs of one camera have one profile
def _conversion(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Returns the mode that a profile is for, and the transform to sRGB; None if it would change nothing.

    Raises:
      ValueError, OSError, ImageCms.PyCMSError: the profile is damaged, or of another kind.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    if space not in MODES:
        raise ValueError(f"its colour space is {space}")
    mode = MODES[space]
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,  # colours as they are
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,  # but the blackest ink is black
    )
    if mode == "CMYK":
        return mode, transform
    levels = np.linspace(0, 255, STEPS).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(*[levels] * 3, indexing="ij"), axis=-1).reshape(1, -1, 3)
    grey = np.arange(256, dtype=np.uint8)[None]
    given = Image.fromarray(lattice if mode == "RGB" else grey)
    converted = ImageCms.applyTransform(given, transform)
    assert converted is not None
    moved = np.abs(np.asarray(converted).astype(int) - np.asarray(given.convert("RGB")))
    return mode, transform if moved.max() > SAME else None
