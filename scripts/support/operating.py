"""The flags of the operating point, which all commands share that score, count or tell others what a detection is."""

from typing import TypedDict

from absl import flags


class OperatingFlags(TypedDict):
    """Values of the flags, as `pipeline.operating_point.parse_operating_point` reads them."""

    threshold: str | None
    min_area: str | None


def define_flags() -> None:
    """Defines --threshold and --min_area."""
    flags.DEFINE_string(
        "threshold", None, "Operating threshold instead of the model's: a number, or NAME=NUMBER,… for each class."
    )
    flags.DEFINE_string(
        "min_area",
        None,
        "Least size of a detection instead of the model's, pixels of the photograph: a number, or NAME=NUMBER,… for "
        "each class; smaller ones are dropped, 1 drops none.",
    )


def given() -> OperatingFlags:
    """Returns what the flags say."""
    return OperatingFlags(threshold=flags.FLAGS.threshold, min_area=flags.FLAGS.min_area)
