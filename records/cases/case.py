"""One photograph with its masks, and what may be said of how a source is read."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

SPLITS = ("train", "validation", "test")
TABLES = (".csv", ".tsv", ".txt")  # suffixes of tables


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

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the case: the photograph, masks, regions that are left out, and hard negatives."""
        masks = [file for name in self.masks for file in self.mask_files(name)]
        regions = [file for files in self.ignored.values() for file in files]
        tables = [] if self.hard_negatives is None else [self.hard_negatives]
        return tuple(dict.fromkeys([self.photograph, *masks, *regions, *tables]))

    def with_known(self, *, unknown: frozenset[str], absent: frozenset[str]) -> "Case":
        """Returns the case with these unknown and absent classes, of those that it has, and without masks of no use.

        A coloured mask is kept as long as any of its classes is known.
        """
        known = [name for name in self.masks if name not in unknown]
        used = {file for name in known for file in self.mask_files(name)}
        return dataclasses.replace(
            self,
            masks={name: mask if mask in used else None for name, mask in self.masks.items()},
            further_masks={name: files for name, files in self.further_masks.items() if used.issuperset(files)},
            unknown=unknown.intersection(self.masks),
            absent=absent.intersection(self.masks),
            ignored={name: files for name, files in self.ignored.items() if name in known},
        )

    @property
    def missing_masks(self) -> tuple[str, ...]:
        """The classes that have no mask file, and are neither unknown nor known to be absent."""
        return tuple(
            name
            for name, mask in self.masks.items()
            if mask is None and name not in self.unknown and name not in self.absent
        )


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
class KnownRules:
    """What is said of the classes of photographs, beside their masks, as `find_cases` takes it.

    Attributes:
      labelled: classes that were looked for in the photographs of the source, with commas between them; or a table that
        says it of each photograph. None: that of the source's `labels.csv`; without it, all.
      healthy: a table of photographs that show none of some classes, or a folder of further ones; None: there are none.
      absent: the classes that these photographs show none of, where their table does not say it.
    """

    labelled: str | None = None
    healthy: str | None = None
    absent: tuple[str, ...] = ()

    @property
    def names_table(self) -> bool:
        """Whether `labelled` is a table, and not a list of classes."""
        if self.labelled is None:
            return False
        return Path(self.labelled).suffix.lower() in TABLES or Path(self.labelled).is_file()

    @property
    def paths(self) -> list[str]:
        """The tables and folders that are named."""
        return [one for one in (self.labelled if self.names_table else None, self.healthy) if one is not None]

    @property
    def flags(self) -> list[str]:
        """The flags that say the same on a command line."""
        values = {"labelled": self.labelled, "healthy": self.healthy, "absent": ",".join(self.absent) or None}
        return [f"--{name}={value}" for name, value in values.items() if value is not None]


ALL_KNOWN = KnownRules()


@dataclasses.dataclass(frozen=True)
class FoundCases:
    """What one layout finds in a source.

    Attributes:
      cases: the cases, in any order; names may occur twice.
      reasons: why files, or all files below a folder, are not used; None for those of which nothing is to be said.
    """

    cases: list[Case]
    reasons: Mapping[Path, str | None]


# Adds to the cases of a source what is said of their classes, and says which files are of no use then. It gets the
# names of all classes that the source may have, also of those that are not asked for.
Tell = Callable[[list[Case], Collection[str]], FoundCases]
