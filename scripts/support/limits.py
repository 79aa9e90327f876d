"""The flag of commands that read photographs for a model: how large these may be."""

from absl import flags


def define_flags(default: str = "as the model was trained") -> None:
    """Defines --max_pixels; `default` says what it is if it is not given."""
    flags.DEFINE_integer(
        "max_pixels",
        None,
        f"Refuse photographs with more pixels before they are decoded; default: {default}.",
        lower_bound=1,
    )


def max_pixels() -> int | None:
    """Returns the flag's value; None: as the model folder says."""
    return flags.FLAGS.max_pixels
