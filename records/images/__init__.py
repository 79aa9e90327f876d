"""Image files to arrays, and arrays to images: decoding, the field of view, lesions as regions, drawing."""

from records.images.decoding import (
    ORIENTATION_TAG,
    decode,
    is_sixteen_bit_grey,
    naming_damage,
    open_file,
    opened,
    rgb_of,
    sixteen_bit_grey,
)
from records.images.drawing import CLASS_COLORS, contact_sheet, draw_contours, write_jpeg, write_png
from records.images.field_of_view import MIN_BRIGHTNESS, WORKING_SIDE, field_of_view
from records.images.imaging import (
    describe_colors,
    describe_values,
    encode_jpeg,
    encode_png,
    photograph_size,
    read_color_masks,
    read_mask,
    read_photograph,
    shrink_mask,
    shrink_photograph,
)
from records.images.regions import Lesion, Regions, find_regions, lesions

__all__ = [
    "CLASS_COLORS",
    "MIN_BRIGHTNESS",
    "ORIENTATION_TAG",
    "WORKING_SIDE",
    "Lesion",
    "Regions",
    "contact_sheet",
    "decode",
    "describe_colors",
    "describe_values",
    "draw_contours",
    "encode_jpeg",
    "encode_png",
    "field_of_view",
    "find_regions",
    "is_sixteen_bit_grey",
    "lesions",
    "naming_damage",
    "open_file",
    "opened",
    "photograph_size",
    "read_color_masks",
    "read_mask",
    "read_photograph",
    "rgb_of",
    "shrink_mask",
    "shrink_photograph",
    "sixteen_bit_grey",
    "write_jpeg",
    "write_png",
]
