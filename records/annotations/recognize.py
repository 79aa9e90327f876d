"""Which format a folder of annotations has, and reading it."""

import dataclasses
import shlex
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from configs import InputError
from records.annotations.annotated import AnnotatedSet
from records.annotations.coco import coco_files, read_coco
from records.annotations.cvat import is_cvat, read_cvat
from records.annotations.ddr import is_ddr, read_ddr
from records.annotations.e_ophtha import is_e_ophtha, read_e_ophtha
from records.annotations.fgadr import is_fgadr, read_fgadr
from records.annotations.files import PhotographFinder, files_below, folder_of
from records.annotations.geojson import read_geojson
from records.annotations.json_files import GEOJSON, LABEL_STUDIO, LABELME, kind_of_file
from records.annotations.label_studio import BRUSH, read_label_studio
from records.annotations.labelme import read_labelme

# To recognise a format, so many files of a folder are considered, as it could be anything, and so many JSON files read.
MOST_FILES, MOST_READ = 20_000, 20


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of annotations.

    Attributes:
      title: what messages call it.
      is_in: returns whether a source, a folder or a file, has it.
      read: reads a source.
    """

    title: str
    is_in: Callable[[Path], bool]
    read: Callable[[Path, PhotographFinder], AnnotatedSet]


def _has_json_of(kind: str) -> Callable[[Path], bool]:
    def is_in(source: Path) -> bool:
        files = [source] if source.is_file() else files_below(source, most=MOST_FILES)
        suffixes = (".json", ".geojson") if kind == GEOJSON else (".json",)
        candidates = [file for file in files if file.suffix.lower() in suffixes]
        return any(kind_of_file(file) == kind for file in candidates[:MOST_READ])

    return is_in


def _has_brushes(source: Path) -> bool:
    return any(BRUSH.fullmatch(file.name) for file in files_below(source, most=MOST_FILES))


FORMATS = {
    "cvat": Format("CVAT (Segmentation mask 1.1)", is_cvat, read_cvat),
    "fgadr": Format("FGADR", is_fgadr, read_fgadr),
    "e_ophtha": Format("e-ophtha", is_e_ophtha, read_e_ophtha),
    "ddr": Format("DDR", is_ddr, read_ddr),
    "label_studio": Format(
        "Label Studio (brush labels as PNG)",
        lambda source: _has_brushes(source) or _has_json_of(LABEL_STUDIO)(source),
        read_label_studio,
    ),
    "labelme": Format("LabelMe", _has_json_of(LABELME), read_labelme),
    # Before COCO, as GeoJSON of predict says where the photographs are and its COCO file does not.
    "geojson": Format("GeoJSON (QuPath, predict)", _has_json_of(GEOJSON), read_geojson),
    "coco": Format("COCO", lambda source: bool(coco_files(source)), read_coco),
}


def recognized_formats(source: Path) -> list[str]:
    """Returns the names of all formats in FORMATS that a folder or file has."""
    return [name for name, one in FORMATS.items() if one.is_in(source)]


def refuse_annotations(source: Path) -> None:
    """Raises an InputError that says which command to run if a folder holds annotations in one of FORMATS."""
    if found := recognized_formats(source):
        form = f" --format={found[0]}" if len(found) > 1 else ""
        raise InputError(
            f"--source={source}: annotations in the format {FORMATS[found[0]].title}; first run python -m "
            f"scripts.import_masks --source={shlex.quote(str(source))} --output=FOLDER{form}, and then this command "
            "with --source=FOLDER."
        )


def read_annotations(
    source: Path, *, images: Path | None = None, chosen: str | None = None
) -> tuple[Format, AnnotatedSet]:
    """Reads the photographs and annotations of a folder or file.

    Args:
      source: the folder or file.
      images: the folder of the photographs, or None if they lie beside the annotations.
      chosen: name of the format in FORMATS, or None for the one that is recognised.

    Returns:
      The format, and what was read. Files of the folder that do not belong to the annotations are named in its notes.

    Raises:
      InputError: the source does not exist, is of no known format, or of several, or has nothing that can be read.
    """
    if not source.exists():
        raise InputError(f"--source={source}: no such folder or file.")
    if images is not None and not images.is_dir():
        raise InputError(f"--images={images}: no such folder.")
    if source.is_file() and zipfile.is_zipfile(source):
        raise InputError(f"--source={source}: a ZIP archive; unpack it and name the folder.")
    known = f"known are {', '.join(f'{name} ({one.title})' for name, one in FORMATS.items())}"
    if chosen is not None and chosen not in FORMATS:
        raise InputError(f"--format={chosen}: no such format; {known}.")
    found = [chosen] if chosen is not None else recognized_formats(source)
    if not found:
        raise InputError(
            f"--source={source}: no annotations of a known format; {known}. IDRiD and paired folders are read by shard."
        )
    if len(found) > 1:
        raise InputError(
            f"--source={source}: annotations of several formats ({', '.join(found)}); choose one by --format, or name "
            "the folder or file of one."
        )
    one = FORMATS[found[0]]
    annotated = one.read(source, PhotographFinder(images))
    if not annotated.photographs and not annotated.failures:
        raise InputError(f"--source={source}: no photographs with annotations of {one.title}.")
    annotated.notes += _unused(folder_of(source), annotated.used) if source.is_dir() else []
    return one, annotated


def _unused(folder: Path, used: set[Path]) -> list[str]:
    """Returns a line for each file that was not used, or for the topmost folder without any that was."""
    above = {parent for file in used for parent in file.parents}
    unused: Counter[Path] = Counter()
    for file in files_below(folder):
        if file not in used:
            outside = [parent for parent in file.parents if parent not in above and folder in parent.parents]
            unused[outside[-1] if outside else file] += 1
    return [
        f"{path}: {f'{count} files that are' if path.is_dir() else 'is'} no part of the annotations."
        for path, count in unused.items()
    ]
