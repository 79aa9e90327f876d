"""Image files to arrays, and arrays to images: decoding, the field of view, lesions as regions, drawing."""

from records.images.color_profiles import PhotographWarning, has_other_colors
from records.images.decoding import (
    ORIENTATION_TAG,
    Turn,
    decode,
    is_sixteen_bit_grey,
    naming_damage,
    open_file,
    opened,
    rgb_of,
    sixteen_bit_grey,
)
from records.images.drawing import CLASS_COLORS, contact_sheet, draw_contours, write_jpeg, write_png, write_tiff
from records.images.field_circle import FieldCircle, fit_field_circle
from records.images.field_of_view import MIN_BRIGHTNESS, WORKING_SIDE, field_of_view
from records.images.imaging import (
    encode_jpeg,
    encode_png,
    photograph_degrees,
    photograph_size,
    photograph_turn,
    read_photograph,
    rescale_levels,
    rescale_mask,
    rescale_photograph,
    scaled_cover,
)
from records.images.kinds import image_kind, unread_kind
from records.images.mask_files import (
    MaskFile,
    describe_colors,
    describe_values,
    read_color_mask_file,
    read_color_masks,
    read_mask,
    read_mask_file,
)
from records.images.quality import DISC, DISC_DIAMETER, MEASURES, equivalent_diameter, measure_disc, measure_quality
from records.images.regions import Lesion, Regions, find_regions, lesions, regions_of_places
from records.images.scales import LARGEST as LARGEST_SCALE
from records.images.scales import LEAST_ROWS as LEAST_SCALE_ROWS
from records.images.scales import ROWS as SCALE_ROWS
from records.images.scales import UNKNOWN_CAMERA, Camera, PhotographScale, ScaleRule, describe_scales

__all__ = [
    "CLASS_COLORS",
    "DISC",
    "DISC_DIAMETER",
    "LARGEST_SCALE",
    "LEAST_SCALE_ROWS",
    "MEASURES",
    "MIN_BRIGHTNESS",
    "ORIENTATION_TAG",
    "SCALE_ROWS",
    "UNKNOWN_CAMERA",
    "WORKING_SIDE",
    "Camera",
    "FieldCircle",
    "Lesion",
    "MaskFile",
    "PhotographScale",
    "PhotographWarning",
    "Regions",
    "ScaleRule",
    "Turn",
    "contact_sheet",
    "decode",
    "describe_colors",
    "describe_scales",
    "describe_values",
    "draw_contours",
    "encode_jpeg",
    "encode_png",
    "equivalent_diameter",
    "field_of_view",
    "find_regions",
    "fit_field_circle",
    "has_other_colors",
    "image_kind",
    "is_sixteen_bit_grey",
    "lesions",
    "measure_disc",
    "measure_quality",
    "naming_damage",
    "open_file",
    "opened",
    "photograph_degrees",
    "photograph_size",
    "photograph_turn",
    "read_color_mask_file",
    "read_color_masks",
    "read_mask",
    "read_mask_file",
    "read_photograph",
    "regions_of_places",
    "rescale_levels",
    "rescale_mask",
    "rescale_photograph",
    "rgb_of",
    "scaled_cover",
    "sixteen_bit_grey",
    "unread_kind",
    "write_jpeg",
    "write_png",
    "write_tiff",
]
