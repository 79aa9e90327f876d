"""The flags that say how a source is read, which shard, eval and crossval share."""

from typing import TypedDict

from absl import flags


class SourceFlags(TypedDict):
    """Values of the flags, as `records.find_cases` takes them."""

    allow_missing_masks: bool
    unite_masks: bool
    recursive: bool


def define_flags() -> None:
    """Defines --allow_missing_masks, --unite_masks and --recursive."""
    flags.DEFINE_bool("allow_missing_masks", False, "In paired folders, a photograph without a mask shows no lesion.")
    flags.DEFINE_bool(
        "unite_masks", False, "Several masks of one class and photograph (EYE7_1.png, EYE7_2.png) are united."
    )
    flags.DEFINE_bool(
        "recursive",
        False,
        "In paired folders, images/ and masks/ are trees: images/001/left.jpg is the case 001_left.",
    )


def given() -> SourceFlags:
    """Returns what the flags say."""
    values = flags.FLAGS
    return SourceFlags(
        allow_missing_masks=values.allow_missing_masks, unite_masks=values.unite_masks, recursive=values.recursive
    )
