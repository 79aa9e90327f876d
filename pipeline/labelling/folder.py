"""The source that pseudolabel writes: paired folders of photographs and masks, and what they were made from.

Everything of a photograph is written whole, its entry `pseudolabels/CASE.json` last, so that the next start labels what
a kill left unfinished, and never touches a finished photograph, whose masks a person may have corrected since.
`pseudolabels.json` says whether all are finished; until then no command reads the source.
"""

import dataclasses
import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from pipeline.inference import refuse_unsuitable
from pipeline.labelling.ensemble import Ensemble, MeasuredByAll, SegmentedByAll
from pipeline.labelling.entries import Entry, read_entry, write_entry
from pipeline.labelling.labels import PhotographLabels, label_photograph, summarize_class
from pipeline.labelling.labels_table import forget_rows, write_labels_table
from pipeline.labelling.pictures import draw_labels
from pipeline.labelling.review import write_review
from pipeline.labelling.state import LabelSettings, refuse_others, write_state
from pipeline.prediction import photograph_bytes
from records import (
    CORRECTIONS,
    HARD_NEGATIVES,
    IMAGE_SUFFIXES,
    PSEUDOLABEL_ENTRIES,
    PSEUDOLABELS,
    check_name,
    complete_file,
    image_files,
    make_folder,
    perceptual_hash,
    photograph_degrees,
    read_photograph,
    sha256_of,
    sweep_temporaries,
    temporary_folder,
    write_hard_negatives,
    write_jpeg,
    write_png,
)


@dataclasses.dataclass(frozen=True)
class _Read:
    """What is known of a photograph when it was read, for its entry."""

    sha256: str
    perceptual_hash: str


class PseudolabelFolder:
    """The output of pseudolabel: writes the files of each photograph and finds out which are finished."""

    def __init__(
        self, output: Path, ensemble: Ensemble, settings: LabelSettings, *, absent: Mapping[str, frozenset[str]]
    ):
        """Creates the folder's state; `begin` writes.

        Args:
          output: the folder, which exists.
          ensemble: the models.
          settings: what photographs are labelled by.
          absent: classes that photographs are known to be free of, by name.

        Raises:
          InputError: the folder holds anything that pseudolabel did not write.
        """
        self.output, self.ensemble, self.settings, self.absent = output, ensemble, settings, absent
        self.folders = ["images", *(f"masks/{name}" for name in ensemble.classes), "overlays", PSEUDOLABEL_ENTRIES]
        if not (output / PSEUDOLABELS).exists() and (others := _of_others(output)):
            raise InputError(
                f"--output={output}: holds {others}, which pseudolabel did not write; name an empty or a new folder."
            )
        self._stale: dict[str, tuple[str, ...]] = {}  # files of photographs that are labelled again
        self._reads: dict[str, _Read] = {}  # of photographs that are read but not yet written

    def __getstate__(self) -> dict[str, Any]:
        """Returns what another process needs, which sets `ensemble` to one of its own."""
        return {**self.__dict__, "ensemble": None}

    def sweep(self) -> None:
        """Removes temporary files of processes that have ended."""
        for folder in [self.output, *self.output.glob("*/"), *self.output.glob("masks/*/")]:
            sweep_temporaries(folder)

    def begin(self, photographs: Mapping[str, Path], *, overwrite: bool) -> dict[str, Path]:
        """Selects the photographs to label, and notes that the folder is not finished if there are any.

        Args:
          photographs: files by case name.
          overwrite: whether finished photographs are labelled again, also those whose masks were corrected.

        Returns:
          The photographs that are not finished, or all with `overwrite`.

        Raises:
          InputError: the folder contains labels of other models or settings, of another photograph of the same name, or
            by another table of healthy photographs.
        """
        entries = self._entries()
        kept = {case for case, entry in entries.items() if entry.finished and not (overwrite and case in photographs)}
        refuse_others(self.output, self.ensemble, self.settings, kept=kept, overwrite=overwrite)
        todo = {
            case: path
            for case, path in photographs.items()
            if case not in kept or not self._is_finished(case, path, entries[case])
        }
        self._refuse_taken(todo, entries)
        if todo:
            # First: by it, the next start knows the folder.
            write_state(self.output, self.ensemble, self.settings, finished=False)
        for name in self.folders:
            make_folder(self.output / name, flag="--output")
        self.sweep()
        for case in todo.keys() & entries.keys():
            # A correction of the earlier labels says nothing of the new ones.
            corrected = (f"{CORRECTIONS}/{case}.json", f"{CORRECTIONS}/{case}_model.npz")
            self._stale[case] = (*entries[case].files, *corrected)
            write_entry(self._entry(case), Entry(entries[case].files))  # until it is written, it is not finished
        if overwrite:
            forget_rows(self.output, todo)
        return todo

    def read(self, case: str, path: Path) -> MeasuredByAll:
        """Reads and measures a photograph.

        Raises:
          InputError: no file can be called by the photograph's name, or it cannot be read, or, if strict, does not
            suit the models.
        """
        check_name(case, (f"{name}_ignore" for name in self.ensemble.classes), path=path)
        try:
            sha256 = sha256_of(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
        photograph = read_photograph(path, max_pixels=self.ensemble.max_pixels)
        measured = self.ensemble.measure(photograph, photograph_degrees(path))
        if self.settings.strict:
            refuse_unsuitable(str(path), self.ensemble.warnings(measured))
        self._reads[case] = _Read(sha256, perceptual_hash(photograph))
        return measured

    def bytes_of(self, path: Path) -> int:
        """Returns how much memory a photograph takes from `read` to the end of `write`."""
        models = self.ensemble.models
        return photograph_bytes(
            path,
            len(self.ensemble.classes) * (2 + len(models)),  # masks, what is unknown, levels
            max_pixels=self.ensemble.max_pixels,
            unscaled=any(model.spec.scale == 1 for model in models),
        )

    def write(self, case: str, path: Path, measured: MeasuredByAll, *, segmented: SegmentedByAll) -> None:
        """Labels a photograph and writes its files, its entry last.

        Args:
          case: name of the photograph.
          path: its file.
          measured: the photograph, as returned by `read`.
          segmented: its probability maps.

        Raises:
          InputError: a probability map contains NaN, the photograph cannot be linked, or, if strict, does not suit the
            models.
          OSError: a file, which the error names, could not be written.
        """
        known, photograph, classes = self._reads.pop(case), measured.pixels, self.ensemble.classes
        height, width = photograph.shape[:2]
        absent = self.absent.get(case, frozenset())
        warnings = self.ensemble.warnings(measured, segmented)
        if self.settings.strict:
            refuse_unsuitable(str(path), warnings)
        labels = label_photograph(
            self.ensemble.strips(segmented), (height, width), self.settings.confidence, classes=classes, absent=absent
        )
        image = Path("images", case + (path.suffix if path.suffix.strip().lower() in IMAGE_SUFFIXES else ""))
        files = dict.fromkeys([*self._files(case), str(image), *self._stale.get(case, ())], "")
        entry = self._entry(case)
        write_entry(entry, Entry(files))
        for name in self._stale.pop(case, ()):
            (self.output / name).unlink(missing_ok=True)
        files = dict.fromkeys([*self._files(case), str(image)], "") | self._write_labels(case, labels)
        summaries = {name: summarize_class(labels, index, name) for index, name in enumerate(classes)}
        overlay = draw_labels(
            photograph, labels, summaries, confidence=self.settings.confidence, absent=absent, notes=warnings
        )
        write_jpeg(self.output / "overlays" / f"{case}.jpg", overlay)
        self._place(path, self.output / image)
        done = Entry(
            files,
            finished=True,
            photograph=str(path.absolute()),
            sha256=known.sha256,
            perceptual_hash=known.perceptual_hash,
            height=height,
            width=width,
            absent=tuple(sorted(absent)),
            classes=summaries,
            scales=tuple(round(one.scale.factor, 6) for one in segmented.by_model),
            warnings=tuple(warnings),
        )
        write_entry(entry, done)

    def finish(self) -> dict[str, Entry]:
        """Removes what is left of photographs that failed, writes the tables, and notes that the folder is finished.

        Returns:
          The entries of all photographs, those most worth correcting first.
        """
        entries = self._entries()
        for case, entry in entries.items():
            if not entry.finished:
                for name in entry.files:
                    (self.output / name).unlink(missing_ok=True)
                self._entry(case).unlink()
        finished = {case: entry for case, entry in entries.items() if entry.finished}
        if not finished:
            return {}
        write_labels_table(self.output, finished)
        write_state(self.output, self.ensemble, self.settings, finished=True)
        return {case: finished[case] for case in write_review(self.output, finished)}

    def _write_labels(self, case: str, labels: PhotographLabels) -> dict[str, str]:
        """Writes masks, what is ignored, and hard negatives; returns the digests of the masks, by file."""
        written: dict[str, str] = {}

        def write_mask(folder: str, mask: np.ndarray) -> None:
            name = f"masks/{folder}/{case}.png"
            (self.output / name).parent.mkdir(exist_ok=True)  # those of what is ignored are made if they are needed
            write_png(self.output / name, mask)
            written[name] = sha256_of(self.output / name)

        for index, name in enumerate(self.ensemble.classes):
            if self.settings.soft:
                write_mask(name, _soft(labels.levels[..., index]))
                continue
            write_mask(name, labels.lesion[..., index] * np.uint8(255))
            if labels.unknown[..., index].any():
                write_mask(f"{name}_ignore", labels.unknown[..., index] * np.uint8(255))
        if labels.mistakes:
            (self.output / HARD_NEGATIVES).mkdir(exist_ok=True)
            write_hard_negatives(self.output / HARD_NEGATIVES / f"{case}.csv", labels.mistakes)
        return written

    def _files(self, case: str) -> list[str]:
        """Returns the files that a photograph may have, but itself and its entry, relative to the folder."""
        masks = [f"masks/{name}{end}/{case}.png" for name in self.ensemble.classes for end in ("", "_ignore")]
        return [*masks, f"overlays/{case}.jpg", f"{HARD_NEGATIVES}/{case}.csv"]

    def _place(self, path: Path, target: Path) -> None:
        """Copies or links a photograph, whole or not at all."""
        if not self.settings.link:
            with complete_file(target) as temporary:
                shutil.copyfile(path, temporary)
            return
        try:
            with temporary_folder(target.parent) as folder:
                os.link(path.resolve(), folder / target.name)
                os.replace(folder / target.name, target)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            raise InputError(
                f"--link: {path} cannot be linked into {target.parent} ({error.strerror}); leave --link out, so that "
                "photographs are copied."
            ) from error

    def _entries(self) -> dict[str, Entry]:
        return {
            path.name.removesuffix(".json"): read_entry(path)
            for path in sorted((self.output / PSEUDOLABEL_ENTRIES).glob("[!.]*.json"))
        }

    def _entry(self, case: str) -> Path:
        return self.output / PSEUDOLABEL_ENTRIES / f"{case}.json"

    def _is_finished(self, case: str, path: Path, entry: Entry) -> bool:
        """Returns True for a photograph that is labelled already; raises InputError if its labels are of another."""
        try:
            sha256 = sha256_of(path)
        except OSError:
            return True  # its labels stay
        if sha256 != entry.sha256:
            raise InputError(
                f"{path}: {self.output} contains labels of another photograph of this name, {entry.photograph}, or of "
                "an earlier state of it; rename it, name another --output, or add --overwrite."
            )
        absent = self.absent.get(case, frozenset())
        if absent != set(entry.absent):
            raise InputError(
                f"{case}: free of {', '.join(sorted(absent)) or 'nothing'} by --healthy, but labelled as free of "
                f"{', '.join(entry.absent) or 'nothing'}; give the table of then, name another --output, or add "
                "--overwrite."
            )
        return True

    def _refuse_taken(self, todo: Mapping[str, Path], entries: Mapping[str, Entry]) -> None:
        """Refuses to replace photographs that somebody else has put into the folder."""
        images = self.output / "images"
        there = image_files(images) if images.is_dir() else {}
        for case in todo.keys() - entries.keys() & there.keys():
            raise InputError(
                f"{todo[case]}: {there[case]}, which pseudolabel did not write, has the same name; rename one of them."
            )


def _soft(levels: np.ndarray) -> np.ndarray:
    """Returns soft labels as they are written: a mask of 0 and 1 alone would be read as one of two values."""
    return levels if levels.max() > 1 else np.zeros_like(levels)


def _of_others(folder: Path) -> str | None:
    """Returns the name of a file or folder in a folder, without hidden ones; None if it is empty."""
    return min((path.name for path in folder.iterdir() if not path.name.startswith(".")), default=None)
