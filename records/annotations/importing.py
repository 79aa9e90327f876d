"""Writes photographs and their annotations as paired folders, images/ and masks/CLASS/, which shard reads."""

import contextlib
import dataclasses
import functools
import itertools
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from configs.suggestions import did_you_mean
from records.annotations.annotated import (
    UNCLASSIFIED,
    AnnotatedPhotograph,
    AnnotatedSet,
    Canvas,
    case_names,
    ignored_class,
)
from records.files import make_folder, sweep_temporaries, temporary_folder, write_table
from records.images import encode_png, find_regions, opened, read_photograph
from records.parallel import Workers, map_cases
from records.tables import LABELS

SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "TIFF": ".tif", "BMP": ".bmp", "WEBP": ".webp"}
DICOM = ".dcm"
LONGEST = 240  # bytes of a name; file systems allow 255, with suffix
OURS = ("images", "masks", "train", "validation", "test", LABELS)  # what a folder that is replaced may hold


@dataclasses.dataclass(frozen=True)
class Imported:
    """What was written.

    Attributes:
      photographs: number of photographs by their split, None if the source has no splits.
      regions: for each class, the number of 8-connected regions of its masks, and of photographs that show any.
      ignored: the same for the regions of each name that are left out.
      looked_for: for each class the number of photographs in which it was looked for.
      failures: photographs that were left out because something is damaged or missing, a line each.
      notes: what else was left out, a line each.
    """

    photographs: Mapping[str | None, int]
    regions: Mapping[str, tuple[int, int]]
    ignored: Mapping[str, tuple[int, int]]
    looked_for: Mapping[str, int]
    failures: Sequence[str]
    notes: Sequence[str]


def choose_classes(annotated: AnnotatedSet, wanted: Sequence[str]) -> dict[str, str]:
    """Returns the names under which classes are written, by the names that they have in the source.

    Labels of regions that are left out, `ignore` and `CLASS_ignore`, are taken along with their classes.

    Args:
      annotated: what was read.
      wanted: classes to write, each as NAME, or as NAME:NEW to rename it; if empty, every class of the source, but not
        regions that have no class.

    Raises:
      InputError: a class does not exist or is wanted twice, or its new name cannot be that of a folder.
    """
    names = [*annotated.lesion_classes, *(name for name in annotated.classes if ignored_class(name) is not None)]
    classes = {name: name for name in annotated.lesion_classes if name != UNCLASSIFIED}
    if wanted:
        pairs = [one.rpartition(":") if one not in names else (one, "", one) for one in wanted]
        classes = {(name or new).strip(): new.strip() for name, _, new in pairs}
        if len(classes) < len(pairs):
            raise InputError(f"--classes={','.join(wanted)}: names a class twice; a class gets one name.")
    for name, new in classes.items():
        if name not in names:
            raise InputError(
                f"--classes={name}: no such class; there are {', '.join(names) or 'none'}.{did_you_mean(name, names)}"
            )
        if not new or new.startswith(".") or "/" in new or not new.isprintable() or len(new.encode()) > LONGEST:
            raise InputError(
                f"--classes: {name!r} cannot be written as {new!r}, which is no name of a folder; give NAME:NEW."
            )
    if not _lesion_names(classes):
        raise InputError("no region of the annotations has a class; give them classes, or see --help for --classes.")
    for label in names:
        of = ignored_class(label)
        if of is not None and label not in classes and (of == "" or of in classes):
            classes[label] = f"{classes[of]}_ignore" if of else "ignore"
    return classes


def _lesion_names(classes: Mapping[str, str]) -> list[str]:
    """Returns the names of those classes that are written that are no regions to be left out."""
    return [name for name in dict.fromkeys(classes.values()) if ignored_class(name) is None]


def _looked_for(photograph: AnnotatedPhotograph, classes: Mapping[str, str]) -> list[str]:
    """Returns the classes, by the names that are written, that were looked for in a photograph."""
    known = photograph.known
    unknown = {new for name, new in classes.items() if known is not None and name not in known}
    return [name for name in _lesion_names(classes) if name not in unknown]


def import_annotations(
    annotated: AnnotatedSet,
    output: Path,
    classes: Mapping[str, str],
    *,
    keep: Sequence[Path],
    max_pixels: int,
    link: bool = False,
    overwrite: bool = False,
    workers: Workers = 1,
    progress: Callable[[Iterable[Any], int, str], Iterable[Any]],
) -> Imported:
    """Writes paired folders; the output appears when it is complete.

    Every photograph gets a mask of each class that was looked for in it, black where it has none; `labels.csv` says
    which these are, if it is not all of them in every photograph. Regions that are left out have masks only where there
    are any. A photograph that is damaged, or whose annotations are, is left out as a whole.

    Args:
      annotated: what was read.
      output: the folder; with `train/`, `validation/` and `test/` if the source has splits.
      classes: the names to write by those of the annotations, see `choose_classes`.
      keep: folders and files that must not be replaced, those that were read.
      max_pixels: largest allowed number of pixels of a photograph.
      link: whether photographs are hard links, where the file system can make them, instead of copies.
      overwrite: whether an earlier import in `output` is replaced.
      workers: number of photographs at once, or a cluster.
      progress: shows how many photographs are done.

    Raises:
      InputError: the output holds something else, the source has splits for some photographs only, or no photograph
        could be written.
    """
    _refuse_output(output, keep, overwrite=overwrite)
    _check_splits(annotated.photographs)
    cases, failures, notes = _cases(annotated.photographs, classes)
    lesions = _lesion_names(classes)
    counts: Counter[str | None] = Counter()
    regions: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    looked_for: dict[str, list[str]] = {}

    write = functools.partial(_write_case, classes=classes, max_pixels=max_pixels, link=link)
    with (
        _complete_folder(output) as temporary,
        contextlib.closing(  # before the folder goes, so that nothing is written into it afterwards
            map_cases(functools.partial(write, folder=temporary), cases, workers=workers, folder=temporary)
        ) as results,
    ):
        for (name, photograph), written in zip(cases, progress(results, len(cases), "masks"), strict=True):
            if isinstance(written, InputError):
                failures.append(f"{name}: {written}")
                continue
            counts[photograph.split] += 1
            regions.update(written.regions)
            shown.update(one for one, number in written.regions.items() if number)
            looked_for[name] = _looked_for(photograph, classes)
            notes += written.notes
        if not counts:
            raise InputError(
                f"none of {len(annotated.photographs) + len(annotated.failures)} photographs could be imported; the "
                f"first: {[*annotated.failures, *failures, *notes][0]}"
            )
        if any(len(names) < len(lesions) for names in looked_for.values()):
            rows = [(name, " ".join(names)) for name, names in looked_for.items()]
            write_table(temporary / LABELS, [("case", "labelled"), *rows])
    number_of = Counter(itertools.chain.from_iterable(looked_for.values()))
    found = {name: (regions[name], shown[name]) for name in dict.fromkeys(classes.values())}
    return Imported(
        counts,
        {name: found[name] for name in lesions},
        {name: numbers for name, numbers in found.items() if name not in lesions and numbers[0]},
        {name: number_of[name] for name in lesions},
        failures,
        notes,
    )


@dataclasses.dataclass(frozen=True)
class _Written:
    regions: Mapping[str, int]
    notes: Sequence[str]


def _write_case(
    case: tuple[str, AnnotatedPhotograph],
    *,
    folder: Path,
    classes: Mapping[str, str],
    max_pixels: int,
    link: bool,
) -> _Written:
    """Writes one photograph and its masks, or raises an InputError and writes nothing."""
    name, photograph = case
    embedded = folder / f".embedded-{secrets.token_hex(4)}-{name}"
    file = photograph.photograph
    if isinstance(file, bytes):
        embedded.write_bytes(file)
        file = embedded
    try:
        size = read_photograph(file, max_pixels=max_pixels).shape[:2]
        if photograph.size is not None and photograph.size != size:
            raise InputError(
                f"{photograph.origin}: annotated at {photograph.size[1]}x{photograph.size[0]} pixels, but {file} has "
                f"{size[1]}x{size[0]}."
            )
        canvas = Canvas(size, classes)
        for annotation in photograph.annotations:
            annotation.paint(canvas)
        part = folder / (photograph.split or "")
        lesions, looked_for = _lesion_names(classes), _looked_for(photograph, classes)
        for class_name, mask in canvas.masks.items():
            if class_name in looked_for or (class_name not in lesions and mask.any()):
                with _whole(part / "masks" / class_name / f"{name}.png", folder) as path:
                    path.write_bytes(encode_png(mask.astype(np.uint8) * 255))
        with _whole(part / "images" / f"{name}{_suffix(file)}", folder) as path:
            _place(file, path, link=link and file is not embedded)
    finally:
        embedded.unlink(missing_ok=True)
    notes = [f"{photograph.origin}: {origin} covers no pixel." for origin in canvas.empty]
    return _Written({name: len(find_regions(mask).area) for name, mask in canvas.masks.items()}, notes)


@contextlib.contextmanager
def _whole(path: Path, folder: Path) -> Iterator[Path]:
    """Yields a temporary path in a folder for a file that is moved to `path`, as two nodes of a cluster may write it.

    Nothing is flushed: no file counts before the whole folder gets its name, in which what is left here stays behind.
    """
    temporary = folder / f".part-{secrets.token_hex(8)}"
    yield temporary
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(temporary, path)


def _place(file: Path, path: Path, *, link: bool) -> None:
    if link:
        with contextlib.suppress(OSError):  # another file system, or one without hard links
            os.link(file.resolve(), path)
            return
    shutil.copyfile(file, path)


def _suffix(file: Path) -> str:
    if file.suffix.lower() == DICOM:
        return DICOM
    with opened(file, max_pixels=2**62) as image:
        return SUFFIXES[str(image.format)]


def _cases(
    photographs: Sequence[AnnotatedPhotograph], classes: Mapping[str, str]
) -> tuple[list[tuple[str, AnnotatedPhotograph]], list[str], list[str]]:
    """Returns the photographs to write with their names, failures and notes."""
    cases: dict[str, AnnotatedPhotograph] = {}
    failures, notes = [], []
    for name, one in zip(case_names([one.path for one in photographs]), photographs, strict=True):
        if not _looked_for(one, classes):
            wanted = ", ".join(name for name in classes if ignored_class(name) is None)
            notes.append(f"{one.origin}/{one.path.name}: nobody looked for {wanted} in it.")
        elif name in cases:
            failures.append(
                f"{name}: {one.origin} annotates {cases[name].path}, which {cases[name].origin} does already."
            )
        elif not _is_writable(name):
            failures.append(f"{name!a}: not a name for a file (UTF-8 of at most {LONGEST} bytes); rename it.")
        else:
            cases[name] = one
    return list(cases.items()), failures, notes


def _is_writable(name: str) -> bool:
    try:
        return 0 < len(name.encode()) <= LONGEST
    except UnicodeEncodeError:
        return False


def _check_splits(photographs: Sequence[AnnotatedPhotograph]) -> None:
    without = [one for one in photographs if one.split is None]
    if without and len(without) < len(photographs):
        raise InputError(
            f"{without[0].origin}: in no split, while others are in train, validation or test; move it to one of them."
        )


def _refuse_output(output: Path, keep: Sequence[Path], *, overwrite: bool) -> None:
    entries = [path.name for path in output.iterdir() if not path.name.startswith(".")] if output.is_dir() else []
    if not entries:
        return
    if any(output.resolve() in (path.resolve(), *path.resolve().parents) for path in keep):
        raise InputError(f"--output={output}: holds the source; name another folder.")
    if not overwrite:
        raise InputError(f"--output={output}: not empty; name another folder, or replace it with --overwrite.")
    if others := sorted(set(entries) - set(OURS)):
        raise InputError(
            f"--output={output}: holds more than an import ({others[0]}), so it is not replaced; name another one."
        )


@contextlib.contextmanager
def _complete_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder in `path`, whose content takes the place of an earlier import when the block ends.

    It is made inside `path`, as files can only be renamed on one disk, and `path` may be a disk of its own, or the only
    folder that the user may write to.
    """
    is_new = not path.exists()
    make_folder(path, flag="--output")
    sweep_temporaries(path)
    earlier = path / f".tmp-{secrets.token_hex(4)}-earlier"
    try:
        with temporary_folder(path, "import") as temporary:
            yield temporary
            earlier.mkdir()
            for name in OURS:
                if (path / name).exists():
                    (path / name).rename(earlier / name)
            for name in OURS[::-1]:  # images last, without which the folder is no source
                if (temporary / name).exists():
                    (temporary / name).rename(path / name)
            shutil.rmtree(earlier, ignore_errors=True)
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty
                path.rmdir()
