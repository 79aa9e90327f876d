"""The flags of commands that scale photographs by their field of view: what the user knows about the camera."""

from absl import flags

from configs import DataConfig, InputError
from records import LARGEST_SCALE, UNKNOWN_CAMERA, Camera, ScaleRule


def define_flags() -> None:
    """Defines --scale and --field_degrees."""
    flags.DEFINE_float(
        "scale",
        None,
        "Factor by which photographs are scaled whose field of view shows too little of its circle; with a model or "
        "config of a fixed scale: all photographs.",
    )
    flags.DEFINE_float(
        "field_degrees",
        None,
        "Angle of view of the photographs, degrees; default: what a DICOM file says, or else that of the model.",
    )


def given() -> Camera:
    """Returns what the flags say.

    Raises:
      InputError: a value is out of range.
    """
    scale, degrees = flags.FLAGS.scale, flags.FLAGS.field_degrees
    if scale is not None and not 0 < scale <= LARGEST_SCALE:
        raise InputError(f"--scale={scale:g}: expected a factor above 0 and at most {LARGEST_SCALE:g}.")
    if degrees is not None and not 0 < degrees <= 180:
        raise InputError(f"--field_degrees={degrees:g}: expected an angle above 0 and at most 180 degrees.")
    return Camera(scale, degrees)


def rule(data: DataConfig) -> ScaleRule:
    """Returns how photographs are scaled, by a data config and the flags.

    Raises:
      InputError: a flag is out of range, or does not fit to a fixed `data.scale`.
    """
    camera = given()
    if data.field_diameter is None and camera != UNKNOWN_CAMERA:
        raise InputError(
            "--scale and --field_degrees are for configs with data.field_diameter; this one has "
            f"data.scale={data.scale:g} for all photographs: change that by --config.data.scale."
        )
    return ScaleRule.of(data, camera)
