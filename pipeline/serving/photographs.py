"""Checks of encoded photographs before anything decodes them."""

import io

from PIL import Image

from configs import InputError

FORMATS = ("JPEG", "PNG")  # what the graph decodes


def check_encoded(content: bytes, *, max_pixels: int) -> int:
    """Returns the number of pixels that a file says it has, from its header alone.

    Raises:
      InputError: it is neither a JPEG nor a PNG, or has more pixels.
    """
    Image.MAX_IMAGE_PIXELS = None  # the limit here replaces Pillow's
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
    except Exception as error:
        raise InputError("not a JPEG or PNG that can be read; convert the photograph first.") from error
    if width * height > max_pixels:
        raise InputError(f"a photograph of {width}x{height} pixels; {max_pixels} are allowed.")
    return width * height
