"""Data sets whose masks lie in a folder per class, one file per photograph: what DDR and FGADR have in common."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from records.annotations.annotated import AnnotatedPhotograph, AnnotatedSet
from records.annotations.files import files_below
from records.annotations.mask_files import MaskFile


def add_photographs(
    annotated: AnnotatedSet,
    photographs: Path,
    masks: Mapping[str, Path],
    *,
    optional: tuple[str, ...] = (),
    soft: bool = False,
    split: str | None = None,
) -> None:
    """Adds the photographs of a folder with the masks of the same stem.

    Args:
      annotated: what is added to; also photographs without a mask, and masks without a photograph.
      photographs: the folder.
      masks: the folder of each class.
      optional: classes of which a photograph shows none if it has no mask.
      soft: whether the masks' edges are smoothed.
      split: the split of the photographs.
    """
    files = {name: {file.stem: file for file in files_below(folder)} for name, folder in masks.items()}
    annotated.add_classes(list(masks))
    annotated.used |= {file for found in files.values() for file in found.values()}
    for photograph in files_below(photographs):
        annotated.used.add(photograph)
        found = {name: files[name].pop(photograph.stem, None) for name in masks}
        missing = [name for name, file in found.items() if file is None and name not in optional]
        if missing:
            folders = ", ".join(str(masks[name]) for name in missing)
            annotated.failures.append(f"{photograph}: no mask in {folders}.")
            continue
        annotations = [MaskFile(name, file, soft) for name, file in found.items() if file is not None]
        annotated.photographs.append(
            AnnotatedPhotograph(PurePosixPath(photograph.name), photograph, annotations, str(photographs), split=split)
        )
    annotated.failures += [
        f"{file}: pairs with no photograph in {photographs}." for left in files.values() for file in left.values()
    ]
