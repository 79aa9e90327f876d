"""The flags that say how a source is read, and what is known of its photographs, which several commands share."""

import dataclasses
from pathlib import Path
from typing import TypedDict

from absl import flags

from configs import InputError
from records import KnownRules


class SourceFlags(TypedDict):
    """Values of the flags, as `records.find_cases` takes them."""

    allow_missing_masks: bool
    unite_masks: bool
    recursive: bool
    known: KnownRules


def define_flags() -> None:
    """Defines --allow_missing_masks, --unite_masks and --recursive, and --labelled, --healthy and --absent."""
    flags.DEFINE_bool("allow_missing_masks", False, "In paired folders, a photograph without a mask shows no lesion.")
    flags.DEFINE_bool(
        "unite_masks", False, "Several masks of one class and photograph (EYE7_1.png, EYE7_2.png) are united."
    )
    flags.DEFINE_bool(
        "recursive",
        False,
        "In paired folders, images/ and masks/ are trees: images/001/left.jpg is the case 001_left.",
    )
    flags.DEFINE_string(
        "labelled",
        None,
        "Classes that were looked for in the source, HE,EX; the others are unknown there and need no masks. Or a CSV "
        "with the columns case,labelled. Default: what SOURCE/labels.csv says; without it, all.",
    )
    define_healthy_flags()


def define_healthy_flags() -> None:
    """Defines --healthy and --absent."""
    flags.DEFINE_string(
        "healthy",
        None,
        "CSV with the columns case,absent: photographs that show none of the named classes and need no masks, those of "
        "the source, or files by their path from the folder of the CSV. Or a folder of such photographs.",
    )
    flags.DEFINE_list(
        "absent", [], "Classes that photographs of --healthy show none of, where its CSV does not say it: MA,HE,EX,SE."
    )


def given() -> SourceFlags:
    """Returns what the flags say."""
    values = flags.FLAGS
    return SourceFlags(
        allow_missing_masks=values.allow_missing_masks,
        unite_masks=values.unite_masks,
        recursive=values.recursive,
        known=dataclasses.replace(healthy(), labelled=values.labelled),
    )


def healthy() -> KnownRules:
    """Returns what --healthy and --absent say."""
    return KnownRules(healthy=flags.FLAGS.healthy, absent=tuple(flags.FLAGS.absent))


def folder(source: str | None) -> Path | None:
    """Returns the folder of --source, or None if there are only the photographs of --healthy.

    Raises:
      InputError: neither of the two flags is given.
    """
    if source is None and flags.FLAGS.healthy is None:
        raise InputError("--source is required, unless --healthy names photographs; see --help.")
    return None if source is None else Path(source)


def title(source: str | None) -> str:
    """Returns what messages call the photographs."""
    healthy = flags.FLAGS.healthy
    return " and ".join(one for one in (source, healthy) if one is not None)
