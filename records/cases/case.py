"""One photograph with its masks, and what may be said of how a source is read."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Case:
    """One photograph with its masks.

    Attributes:
      name: name of the photograph, unique in a set: its file's name without the suffix, after that of its folder if it
        lies in a tree.
      photograph: file of the photograph.
      masks: mask file of every class, or None where the photograph shows none of it.
      split: "train", "validation" or "test".
      patient: name of the patient, or None if unknown.
      further_masks: by class, more files that are united with the one in `masks`; without classes that have none.
      unknown: classes of which nothing is known, as nobody looked for them; they have no masks.
      absent: classes that the photograph is known to show none of, as a healthy eye; a mask of them must be black.
      ignored: by class, files of regions of which is unknown whether they show it; without classes that have none.
      hard_negatives: file of boxes around what a model mistook for lesions, see `records.cases.hard_negatives`.
    """

    name: str
    photograph: Path
    masks: Mapping[str, Path | None]
    split: str
    patient: str | None = None
    further_masks: Mapping[str, tuple[Path, ...]] = dataclasses.field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    ignored: Mapping[str, tuple[Path, ...]] = dataclasses.field(default_factory=dict)
    hard_negatives: Path | None = None

    def mask_files(self, name: str) -> tuple[Path, ...]:
        """Returns all files whose union is the mask of a class; none where the photograph shows none of it."""
        first = self.masks[name]
        return () if first is None else (first, *self.further_masks.get(name, ()))


@dataclasses.dataclass(frozen=True)
class SourceRules:
    """How a source is read, as `find_cases` takes it.

    Attributes:
      colored: one coloured mask per photograph holds all classes.
      allow_missing_masks: in paired folders, a photograph without a mask shows no lesion.
      unite_masks: several masks of one class and photograph are united; otherwise they are refused.
      recursive: the sub-folders of images/ and masks/ are searched, too.
    """

    colored: bool = False
    allow_missing_masks: bool = False
    unite_masks: bool = False
    recursive: bool = False


@dataclasses.dataclass(frozen=True)
class FoundCases:
    """What one layout finds in a source.

    Attributes:
      cases: the cases, in any order; names may occur twice.
      reasons: why files, or all files below a folder, are not used; None for those of which nothing is to be said.
    """

    cases: list[Case]
    reasons: Mapping[Path, str | None]
