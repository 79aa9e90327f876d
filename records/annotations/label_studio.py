"""Label Studio's "Brush labels to PNG": a PNG per brush region, and the JSON export that says whose it is.

The names of the PNGs, task-3-annotation-5-by-1-tag-HE-0.png, hold the numbers of task and annotation, the annotator,
the tag's name, the label and a number, but not the photograph's name, as its authors say in
https://github.com/HumanSignal/label-studio/issues/8561.
"""

import contextlib
import re
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from configs import InputError
from records.annotations.annotated import AnnotatedPhotograph, AnnotatedSet
from records.annotations.files import PhotographFinder, files_below, folder_of, name_in_annotation
from records.annotations.json_files import LABEL_STUDIO, MALFORMED, json_kind, naming, read_json
from records.annotations.mask_files import MaskFile

BRUSH = re.compile(r"task-(\d+)-annotation-(\d+)-by-([^-]*)-(.*)-(\d+)\.png", re.IGNORECASE)
UPLOADED = re.compile(r"[0-9a-f]{8}-")  # that Label Studio puts in front of the names of uploaded files
ADVICE = "export the project as JSON, too, and put the file beside the PNGs; it says which task is which photograph."


def read_label_studio(source: Path, finder: PhotographFinder) -> AnnotatedSet:
    """Reads the PNGs and the JSON export (JSON or JSON-MIN) of a project."""
    folder = folder_of(source)
    annotated = AnnotatedSet()
    tasks = _tasks(folder, annotated)
    if not tasks:
        raise InputError(f"--source={source}: no photographs' names; {ADVICE}")
    tags = sorted(_tags(tasks.values()), key=len, reverse=True)
    brushes = defaultdict(list)
    for file in files_below(folder):
        if not (named := BRUSH.fullmatch(file.name)):
            continue
        task, annotation, _, name, _ = named.groups()
        label = next(
            (name.removeprefix(f"{tag}-") for tag in tags if name.startswith(f"{tag}-")), name.partition("-")[2]
        )
        brushes[int(task)].append((annotation, MaskFile(label or "no_label", file)))
        annotated.used.add(file)
    annotated.add_classes(sorted({mask.name for found in brushes.values() for _, mask in found}))
    for number, task in tasks.items():
        try:
            with naming(f"{folder}: task {number}"):
                _add_task(annotated, task, brushes.pop(number, []), finder=finder, folder=folder)
        except InputError as error:
            annotated.failures.append(str(error))
    annotated.failures += [
        f"{mask.path}: task {number} is not in the JSON export."
        for number, found in brushes.items()
        for _, mask in found
    ]
    return annotated


def _add_task(
    annotated: AnnotatedSet,
    task: dict[str, Any],
    brushes: list[tuple[str, MaskFile]],
    *,
    finder: PhotographFinder,
    folder: Path,
) -> None:
    numbers = sorted({annotation for annotation, _ in brushes})
    if len(numbers) > 1:
        raise InputError(f"annotations {', '.join(numbers)} of one photograph; keep the PNGs of one of them.")
    path = _photograph_path(task)
    photograph = _found(path, finder, folder=folder)
    annotated.used.add(photograph)
    drawn = _drawn(task)
    if drawn == 0:
        annotated.notes.append(f"{photograph}: not annotated yet.")
        return
    if drawn is not None and drawn > len(brushes):
        raise InputError(f"{path.name}: the JSON export has {drawn} brush regions, but {len(brushes)} PNGs are here.")
    annotated.photographs.append(
        AnnotatedPhotograph(PurePosixPath(photograph.name), photograph, [mask for _, mask in brushes], str(folder))
    )


def _tasks(folder: Path, annotated: AnnotatedSet) -> dict[int, dict[str, Any]]:
    tasks: dict[int, dict[str, Any]] = {}
    for file in files_below(folder):
        if file.suffix.lower() == ".json":
            with naming(file):
                content = read_json(file)
                if json_kind(content) == LABEL_STUDIO:
                    annotated.used.add(file)
                    tasks |= {task["id"]: task for task in content}
    return tasks


def _tags(tasks: Iterable[dict[str, Any]]) -> set[str]:
    """Returns the names of the tags with which regions were drawn; damaged tasks are named when they are read."""
    tags: set[str] = set()
    for task in tasks:
        with contextlib.suppress(*MALFORMED):
            if "annotations" in task:
                tags |= {str(region.get("from_name")) for region in _results(task)}
            else:  # JSON-MIN has a list of regions by the name of each tag
                tags |= {name for name, value in task.items() if isinstance(value, list)}
    return tags


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    annotations = [one for one in task["annotations"] or [] if isinstance(one, dict) and not one.get("was_cancelled")]
    return [region for one in annotations for region in one.get("result") or [] if isinstance(region, dict)]


def _drawn(task: dict[str, Any]) -> int | None:
    """Returns the number of brush regions of a task: None if unknown or none, 0 if nobody has annotated it."""
    if "annotations" not in task:
        return None
    if not [one for one in task["annotations"] or [] if isinstance(one, dict) and not one.get("was_cancelled")]:
        return 0
    return sum(region.get("type") == "brushlabels" for region in _results(task)) or None


def _photograph_path(task: dict[str, Any]) -> PurePosixPath:
    """Returns the photograph's path: of an uploaded file, of a local one (…?d=PATH), or of an address."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    texts = [
        value for name, value in data.items() if isinstance(value, str) and name not in ("created_at", "updated_at")
    ]
    texts = [data["image"]] if isinstance(data.get("image"), str) else [text for text in texts if "." in text]
    if not texts:
        raise InputError("it does not say which photograph it is.")
    address = urllib.parse.urlsplit(texts[0])
    local = urllib.parse.parse_qs(address.query).get("d")
    return name_in_annotation(local[0] if local else urllib.parse.unquote(address.path))


def _found(path: PurePosixPath, finder: PhotographFinder, *, folder: Path) -> Path:
    path = PurePosixPath(path.name)
    beside = [folder, folder / "images"]
    if UPLOADED.match(path.name):
        try:
            return finder.find(path.with_name(UPLOADED.sub("", path.name, count=1)), beside=beside)
        except InputError:  # the photographs may carry the longer names, as those of other exports do
            return finder.find(path, beside=beside)
    return finder.find(path, beside=beside)
