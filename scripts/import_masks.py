"""Annotations of CVAT, COCO, LabelMe, Label Studio, QuPath, DDR, e-ophtha or FGADR → paired folders for shard.

    python -m scripts.import_masks --source=ANNOTATIONS --output=FOLDER
    python -m scripts.import_masks --source=lesions.json --images=PHOTOGRAPHS --output=FOLDER --classes=bleeding:HE,MA

The format is recognised. FOLDER gets images/ and masks/CLASS/, or train/images/ and so on if the source has splits.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from configs import DataConfig
from pipeline.machine import usable_cores
from records import FORMATS, choose_classes, import_annotations, read_annotations
from scripts.support import cluster, command, limits
from scripts.support.warnings import MOST, print_warnings

_SOURCE = flags.DEFINE_string("source", None, "Folder or file of the annotations.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for images/ and masks/; made, or empty.", required=True)
_IMAGES = flags.DEFINE_string("images", None, "Folder of the photographs, unless they lie beside the annotations.")
_CLASSES = flags.DEFINE_list(
    "classes", [], "Classes to take, as NAME or NAME:NEW to rename; two may get one new name. Default: all."
)
_FORMAT = flags.DEFINE_string("format", None, f"One of {', '.join(FORMATS)}; default: what is recognised.")
_LINK = flags.DEFINE_bool("link", False, "Make hard links to the photographs instead of copies, where possible.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an earlier import in --output.")
_WORKERS = flags.DEFINE_integer("workers", None, "Photographs at once; default: one per core.", lower_bound=1)
limits.define_flags(f"{DataConfig().max_pixels:,}")
cluster.define_flags()


def main(_: list[str]) -> int:
    """Runs the command and returns its exit code."""
    source, output = Path(_SOURCE.value), Path(_OUTPUT.value)
    images = Path(_IMAGES.value) if _IMAGES.value else None
    form, annotated = read_annotations(source, images=images, chosen=_FORMAT.value)
    classes = choose_classes(annotated, _CLASSES.value)
    print(
        f"{form.title}: {len(annotated.photographs)} photographs in {source}, classes "
        f"{', '.join(annotated.lesion_classes)} → {output}",
        flush=True,
    )
    with cluster.workers(_WORKERS.value or usable_cores(), reads=[source, images]) as workers:
        imported = import_annotations(
            annotated,
            output,
            classes,
            keep=[source, *([images] if images else [])],
            max_pixels=limits.max_pixels() or DataConfig().max_pixels,
            link=_LINK.value,
            overwrite=_OVERWRITE.value,
            workers=workers,
            progress=_bar,
        )
    for name, (regions, photographs) in imported.regions.items():
        print(f"{name}: {regions} regions in {photographs} photographs")
    for name, (regions, photographs) in imported.ignored.items():
        print(f"{name}: {regions} regions in {photographs} photographs are left out as unknown")
    total = sum(imported.photographs.values())
    for name, number in imported.looked_for.items():
        if number < total:
            print(f"{name}: was looked for in {number} of {total} photographs, as labels.csv says")
    if left := [name for name in annotated.lesion_classes if name not in classes]:
        print(f"classes left out: {', '.join(left)}")
    print_warnings(f"left out: {line}" for line in (*annotated.notes, *imported.notes))
    failures = [*annotated.failures, *imported.failures]
    for line in failures[:MOST]:
        print(f"left out: {line}", file=sys.stderr)
    if len(failures) > MOST:
        print(f"left out: and {len(failures) - MOST} more.", file=sys.stderr)
    counts = [f"{number} in {split}" for split, number in imported.photographs.items() if split]
    print(f"{total} photographs{': ' * bool(counts)}{', '.join(counts)}    see: {output}")
    return command.SOME_FAILED if failures else command.DONE


def _bar(results: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    return tqdm(results, total=total, desc=what, unit=" photographs", disable=None)


if __name__ == "__main__":
    command.run(main)
