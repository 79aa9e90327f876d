"""What is said of the classes of photographs, beside their masks: which were looked for, and which are absent."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from configs import InputError
from configs.suggestions import did_you_mean
from records.cases.case import Case, FoundCases, KnownRules
from records.cases.listing import list_folder
from records.cases.names import image_stem
from records.cases.photographs import photographs_of
from records.cases.tables import match_rows, split_names
from records.cases.unused import Warn, listed
from records.tables import LABELS, read_table, title

_WHAT = "list of classes"
NOT_LABELLED = "masks of classes that are not labelled"
NOTHING_KNOWN = "photographs of which nothing is known, as none of the classes is labelled"

Classes = frozenset[str]


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """What tables and flags say of the photographs of a source.

    Attributes:
      rules: what the flags say.
      classes: the classes that are asked for.
      other_classes: further classes that tables may name.
      labels: the `labels.csv` of the source, if it has one.
      recursive: whether the folders below one of healthy photographs are searched, too.
      warn: called with a line about what is not used.
    """

    rules: KnownRules
    classes: tuple[str, ...]
    other_classes: Collection[str]
    labels: Path | None
    recursive: bool
    warn: Warn

    def tell(self, cases: list[Case], classes_of_source: Collection[str]) -> FoundCases:
        """Adds what is known of their classes to cases, and the photographs that --healthy adds to them.

        Cases of which nothing is known are left out. See `records.cases.case.Tell`.

        Raises:
          InputError: a flag lacks another, or a table cannot be read, lacks a photograph, or names a class that does
            not exist.
        """
        told = dataclasses.replace(self, other_classes={*self.other_classes, *classes_of_source})
        healthy, further = told._read_healthy({case.name: case.photograph for case in cases})
        labelled = told._read_labelled([case.name for case in cases if case.name not in healthy])
        kept, reasons = [], told._reasons_of_tables()
        for before in cases:
            looked_for, absent = labelled.get(before.name, (frozenset(self.classes), Classes()))
            if before.name in healthy:  # nobody draws masks of a healthy eye, but one that is there counts
                looked_for = Classes(name for name, mask in before.masks.items() if mask is not None)
                absent = healthy[before.name]
            case = before.with_known(unknown=Classes(self.classes) - looked_for - absent, absent=absent)
            reasons |= dict.fromkeys(set(before.files).difference(case.files), NOT_LABELLED)
            if case.unknown.issuperset(self.classes):
                reasons |= dict.fromkeys(case.files, NOTHING_KNOWN)
            else:
                kept.append(case)
        return FoundCases(kept + told._further_cases(further), reasons)

    def _read_labelled(self, names: list[str]) -> dict[str, tuple[Classes, Classes]]:
        """Returns the classes that were looked for in each case, and those that are absent; {} if all were."""
        given = self.rules.labelled
        if given is None:
            return {} if self.labels is None else self._read_labels(self.labels, names, flag=None)
        if self.rules.names_table:
            return self._read_labels(Path(given), names, flag="--labelled")
        classes = self._class_names(given, where="--labelled")
        if not classes:
            raise InputError(
                f"--labelled={given}: names no class; expected those that were looked for, such as "
                f"--labelled={self.classes[0]}, or a table with the columns case and labelled."
            )
        return dict.fromkeys(names, (classes, Classes()))

    def _read_labels(self, table: Path, names: list[str], *, flag: str | None) -> dict[str, tuple[Classes, Classes]]:
        where = title(table, flag)
        rows = read_table(table, ("case", "labelled"), flag=flag, optional=("absent",))
        matched = match_rows(rows, names, where=where, what=_WHAT)
        matched.say_unmatched(names, where=where, warn=self.warn)
        if without := [name for name in names if name not in matched.values]:
            raise InputError(
                f"{where}: {len(without)} of {len(names)} photographs have no row, the first is {without[0]!r}; add a "
                "row for each of them, with nothing in the column labelled if no class was looked for."
            )
        return {
            name: (self._class_names(labelled, where=where), self._class_names(absent, where=where))
            for name, (labelled, absent) in matched.values.items()
        }

    def _read_healthy(
        self, photographs: Mapping[str, Path]
    ) -> tuple[dict[str, Classes], list[tuple[str, Path, Classes]]]:
        """Returns the absent classes of cases of the source that --healthy names, and those of further photographs.

        Rows of its table name either a case of the source, or a file by its path from the folder of the table. A path
        with folders is never that of a case of the source whose file is another, whatever their names.
        """
        if self.rules.healthy is None:
            if self.rules.absent:
                raise InputError(
                    "--absent: says which classes the photographs of --healthy show none of; add --healthy."
                )
            return {}, []
        healthy, where = Path(self.rules.healthy), f"--healthy={self.rules.healthy}"
        if not healthy.exists():
            raise InputError(
                f"{where}: no such file or folder; expected a table with the columns case and absent, or a folder of "
                "photographs."
            )
        if healthy.is_dir():
            _refuse_paired(healthy)
            absent = self._absent("", where=where)
            found = photographs_of([str(healthy)], recursive=self.recursive, warn=self.warn)
            return {}, [(name, file, absent) for name, file in found.items()]
        rows = read_table(healthy, ("case",), flag="--healthy", optional=("absent",))
        own = {path.resolve(): name for name, path in photographs.items()}
        paths = {case: file for case, _ in rows if "/" in case and (file := healthy.parent / case).is_file()}
        named = [(own.get(paths[case].resolve(), case) if case in paths else case, absent) for case, absent in rows]
        of_source = match_rows([row for row in named if row[0] not in paths], photographs, where=where, what=_WHAT)
        others = [*of_source.unmatched, *(row for row in named if row[0] in paths)]
        files = [case for case, _ in others if (healthy.parent / case).is_file()]
        further = match_rows(others, files, where=where, what=_WHAT)
        values = {**of_source.values, **further.values}
        every = dataclasses.replace(further, values=values, number=len(rows))
        every.say_unmatched(photographs, where=where, warn=self.warn)
        absent_of = {path: self._absent(absent, where=where) for path, (absent,) in further.values.items()}
        return (
            {name: self._absent(absent, where=where) for name, (absent,) in of_source.values.items()},
            [(image_stem(Path(path)), healthy.parent / path, absent) for path, absent in absent_of.items()],
        )

    def _absent(self, text: str, *, where: str) -> Classes:
        """Returns the classes that healthy photographs show none of: those that a table names, or else --absent."""
        if names := self._class_names(text, where=where):
            return names
        if self.rules.absent:
            return self._class_names(",".join(self.rules.absent), where="--absent")
        if len(self.classes) == 1:
            return Classes(self.classes)
        raise InputError(
            f"{where}: does not say which classes its photographs show none of; add --absent={','.join(self.classes)}, "
            "or those of them that were looked for, or a column absent."
        )

    def _class_names(self, text: str, *, where: str) -> Classes:
        names = Classes(split_names(text))
        for name in sorted(names.difference(self.classes, self.other_classes)):
            raise InputError(
                f"{where}: no class {name!r}; expected classes among {', '.join(self.classes)}, or others of the "
                f"source.{did_you_mean(name, self.classes)}"
            )
        return names

    def _further_cases(self, photographs: Iterable[tuple[str, Path, Classes]]) -> list[Case]:
        """Returns the cases of further photographs, by their name, file, and the classes that they show none of."""
        masks = dict.fromkeys(self.classes)
        cases = [
            Case(name, file, masks, "train").with_known(unknown=Classes(self.classes) - absent, absent=absent)
            for name, file, absent in photographs
        ]
        if left_out := [case.name for case in cases if not case.absent]:
            self.warn(f"--healthy={self.rules.healthy}: {len(left_out)} not used ({NOTHING_KNOWN}): {listed(left_out)}")
        return [case for case in cases if case.absent]

    def _reasons_of_tables(self) -> dict[Path, str | None]:
        """Returns the tables, which may be files of the source of which nothing is to be said."""
        if self.labels is not None and self.rules.labelled is not None:
            self.warn(f"{self.labels}: not used, as --labelled says which classes were looked for")
        return {path: None for path in (self.labels, *map(Path, self.rules.paths)) if path is not None}


def labels_of(folders: Iterable[Path]) -> Path | None:
    """Returns the `labels.csv` of the first of some folders that has one."""
    return next((folder / LABELS for folder in folders if (folder / LABELS).is_file()), None)


def _refuse_paired(folder: Path) -> None:
    """Raises an InputError if a folder of healthy photographs has masks, which would be taken for photographs."""
    folders = {one.name.lower() for one in list_folder(folder).folders}
    if folders >= {"images", "masks"}:
        raise InputError(
            f"--healthy={folder}: holds images/ and masks/, but photographs without masks are expected; name it as "
            "--source, and by --healthy a table of those of its photographs that are healthy."
        )
