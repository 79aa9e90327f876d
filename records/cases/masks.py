"""The masks of the photographs of one part of a source, gathered folder by folder."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from configs import InputError
from records.cases.case import Case, SourceRules
from records.cases.names import image_stem, nearest_name
from records.cases.pairing import Owner, is_of_another_class, of_label_studio, owner_of, refuse_unpaired

Folders = tuple[str, ...]  # names of the folders between images/ and a photograph, and between masks/ and its mask
COLORED = ""  # stands for the class of masks that hold all classes
IGNORE = "ignore"  # stands for regions where all classes are unknown


class MasksOfPart:
    """The masks of photographs, by class.

    Attributes:
      other_classes: masks of photographs that are of none of the classes.
      ignore_names: what stands in place of a class in the names of files and folders of regions where one class is
        unknown, and where all are.
    """

    def __init__(self, photographs: Mapping[Folders, Mapping[str, Path]], classes: tuple[str, ...], rules: SourceRules):
        """Starts without masks.

        Args:
          photographs: files by their folders and stems.
          classes: names of the classes.
          rules: whether one coloured mask holds all classes, and whether several masks of one are united.
        """
        self.other_classes: list[Path] = []
        self._photographs, self._classes, self._rules = photographs, classes, rules
        self.ignore_names = (*(f"{name}_{IGNORE}" for name in classes), IGNORE)
        self._masks: dict[tuple[Folders, str, str], list[Path]] = {}  # by folders, stem of the photograph, and class
        self._unpaired: dict[Folders, list[Path]] = {}

    def add_of_class(self, files: Iterable[Path], folders: Folders, name: str) -> None:
        """Adds the masks of one class, called `PHOTOGRAPH` or `PHOTOGRAPH_CLASS`, of photographs in some folders.

        Args:
          files: the masks.
          folders: the folders of their photographs.
          name: name of the class, or one of `ignore_names`.

        Raises:
          InputError: a mask is one of several of a photograph, and they are not united.
        """
        self._add(files, folders, classes=(name,), unnamed=name, mixed=False)

    def add_mixed(self, files: Iterable[Path], folders: Folders) -> None:
        """Adds masks of any class, called `PHOTOGRAPH_CLASS`, or `PHOTOGRAPH` if there is but one class.

        Raises:
          InputError: a mask is one of several of a photograph, and they are not united; or the name of a region that is
            left out differs in capitals.
        """
        if self._rules.colored:
            self._add(files, folders, classes=self.ignore_names, unnamed=COLORED, mixed=True)
        else:
            unnamed = self._classes[0] if len(self._classes) == 1 else None
            self._add(files, folders, classes=(*self._classes, *self.ignore_names), unnamed=unnamed, mixed=True)

    def case(self, stem: str, folders: Folders, *, name: str, split: str) -> Case:
        """Returns the case of a photograph, with all its masks."""
        files = {one: self._files(folders, stem, self._key(one)) for one in self._classes}
        everywhere = self._files(folders, stem, IGNORE)
        ignored = {one: (*self._files(folders, stem, f"{one}_{IGNORE}"), *everywhere) for one in self._classes}
        return Case(
            name,
            self._photographs[folders][stem],
            {one: masks[0] if masks else None for one, masks in files.items()},
            split,
            further_masks={one: masks[1:] for one, masks in files.items() if len(masks) > 1},
            ignored={one: regions for one, regions in ignored.items() if regions},
        )

    def refuse_unpaired(self) -> None:
        """Raises an InputError if a mask belongs to no photograph; without any photograph that is said elsewhere."""
        if not any(self._photographs.values()):
            return
        for folders, files in self._unpaired.items():
            refuse_unpaired(files, self._photographs.get(folders, {}), classes=(*self._classes, *self.ignore_names))

    def nearest_unpaired(self, stem: str, folders: Folders, name: str) -> str:
        """Returns a hint, for a message, at a mask without photograph that looks like that of a photograph."""
        unpaired = [image_stem(file) for file in self._unpaired.get(folders, ())]
        return nearest_name([f"{stem}_{name}", stem], unpaired) or next(
            filter(None, map(of_label_studio, unpaired)), ""
        )

    def _files(self, folders: Folders, stem: str, key: str) -> tuple[Path, ...]:
        return tuple(self._masks.get((folders, stem, key), ()))

    def _key(self, name: str) -> str:
        return COLORED if self._rules.colored else name

    def _add(
        self, files: Iterable[Path], folders: Folders, *, classes: Sequence[str], unnamed: str | None, mixed: bool
    ) -> None:
        photographs = self._photographs.get(folders, {})
        for file in files:
            owner = owner_of(image_stem(file), photographs, classes=classes, unnamed=unnamed)
            if owner is not None:
                masks = self._masks.setdefault((folders, owner.photograph, owner.name), [])
                masks.append(file)
                if not self._rules.unite_masks and (owner.numbered or len(masks) > 1):
                    _refuse_several(masks, photographs[owner.photograph], owner)
            elif mixed and is_of_another_class(image_stem(file), photographs):
                _refuse_other_letters(file, self.ignore_names)
                self.other_classes.append(file)
            else:
                self._unpaired.setdefault(folders, []).append(file)


def _refuse_other_letters(file: Path, names: Sequence[str]) -> None:
    """Raises an InputError if a file's name ends as that of regions to be left out, but for capitals."""
    stem = image_stem(file)
    for name in names:
        if not stem.endswith(name) and stem.lower().endswith(f"_{name.lower()}"):
            raise InputError(f"{file}: names of regions that are left out end in '_{name}'; rename it.")


def _refuse_several(masks: Sequence[Path], photograph: Path, owner: Owner) -> None:
    of_class = f" of class {owner.name}" if owner.name != COLORED else ""
    if len(masks) == 1:
        raise InputError(
            f"{masks[0]}: its number says that it is one of several masks{of_class} of {photograph.name}; add "
            f"--unite_masks to take all of them together, or name it {owner.photograph}{masks[0].suffix}."
        )
    raise InputError(
        f"{masks[0]} and {masks[1].name} are both masks{of_class} of {photograph.name}; add --unite_masks to take all "
        "of them together, or remove one."
    )
