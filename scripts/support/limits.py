"""The flag of commands that read photographs for a model: how large these may be."""

from absl import flags


def define_flags() -> None:
    """Defines --max_pixels."""
    flags.DEFINE_integer(
        "max_pixels",
        None,
        "Refuse photographs with more pixels before they are decoded; default: as the model was trained.",
        lower_bound=1,
    )


def max_pixels() -> int | None:
    """Returns the flag's value; None: as the model folder says."""
    return flags.FLAGS.max_pixels
