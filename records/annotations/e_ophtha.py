"""e-ophtha (Decencière et al. 2013, doi:10.1016/j.irbm.2013.01.010): exudates in one set, microaneurysms in another.

e_optha_EX/EX/E0000404/C0000887.jpg has its mask in e_optha_EX/Annotation_EX/E0000404/C0000887_EX.png, e_optha_MA/MA/…
in e_optha_MA/Annotation_MA/…/C0000887.png; photographs in healthy/ show none. E0000404 is an examination. Some
photographs are in both sets; in the others, the other lesion was not looked for.
"""

from pathlib import Path, PurePosixPath

from records.annotations.annotated import AnnotatedPhotograph, AnnotatedSet
from records.annotations.files import PhotographFinder, files_below
from records.annotations.mask_files import MaskFile

CLASSES = ("EX", "MA")
HEALTHY = "healthy"


def is_e_ophtha(source: Path) -> bool:
    """Returns whether a folder has the layout of e-ophtha, or of one of its two sets."""
    return bool(_parts(source))


def read_e_ophtha(source: Path, finder: PhotographFinder) -> AnnotatedSet:
    """Reads e-ophtha, whose photographs are its own."""
    annotated = AnnotatedSet()
    files: dict[PurePosixPath, Path] = {}  # by examination and name
    masks: dict[PurePosixPath, list[MaskFile]] = {}
    known: dict[PurePosixPath, set[str]] = {}
    for name, part in _parts(source).items():
        annotated.add_classes([name])
        folders = {name: part / name, HEALTHY: part / HEALTHY}
        unpaired = {
            file.relative_to(part / f"Annotation_{name}"): file for file in files_below(part / f"Annotation_{name}")
        }
        annotated.used |= set(unpaired.values())
        for kind, folder in folders.items():
            for file in files_below(folder):
                annotated.used.add(file)
                path = file.relative_to(folder)
                mask = _pop_mask(unpaired, path, name)
                if mask is None and kind != HEALTHY:
                    annotated.failures.append(f"{file}: no mask in {part / f'Annotation_{name}'}.")
                    continue
                key = PurePosixPath(path.with_suffix(""))
                if key in files and files[key].read_bytes() != file.read_bytes():
                    annotated.failures.append(f"{file}: differs from {files[key]}, which has the same name.")
                    continue
                files.setdefault(key, file)
                masks.setdefault(key, []).extend([MaskFile(name, mask)] if mask else [])
                known.setdefault(key, set()).add(name)
        annotated.failures += [f"{file}: pairs with no photograph in {part}." for file in unpaired.values()]
    annotated.photographs = [
        AnnotatedPhotograph(
            key.with_suffix(file.suffix), file, masks[key], str(file.parent), known=frozenset(known[key])
        )
        for key, file in sorted(files.items())
    ]
    return annotated


def _pop_mask(masks: dict[Path, Path], path: Path, name: str) -> Path | None:
    """Takes the mask of a photograph out of those of its set: NAME_EX.png or NAME.png."""
    stems = (f"{path.stem}_{name}", path.stem)
    found = [mask for mask in masks if mask.parent == path.parent and mask.stem in stems]
    return masks.pop(found[0]) if found else None


def _parts(source: Path) -> dict[str, Path]:
    """Returns the folder of each set by its class: the source itself, or e_optha_EX, e_ophtha_EX and the like in it."""
    folders = [source, *(folder for folder in sorted(source.glob("*")) if folder.is_dir())]
    folders += [folder for above in folders[1:] if "ophtha" in above.name.lower() for folder in sorted(above.glob("*"))]
    return {
        name: folder
        for name in CLASSES
        for folder in reversed(folders)
        if (folder / f"Annotation_{name}").is_dir() and (folder / name).is_dir()
    }
