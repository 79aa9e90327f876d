"""FGADR's Seg-set (Zhou et al. 2020, doi:10.1109/TMI.2020.3037771): Original_Images/ and a folder of masks per lesion.

The edges of the masks are smoothed (values 1 to 254), so a pixel is lesion from half the brightness on. Every
photograph has masks of MA, HE, EX and SE; of IRMA and NV only those that show them.
"""

from pathlib import Path

from records.annotations.annotated import AnnotatedSet
from records.annotations.files import PhotographFinder
from records.annotations.mask_folders import add_photographs

ROOTS = (".", "Seg-set", "FGADR-Seg-set_Release/Seg-set")
PHOTOGRAPHS = "Original_Images"
FOLDERS = {  # named as the data set spells them
    "MA": "Microaneurysms_Masks",
    "HE": "Hemohedge_Masks",
    "EX": "HardExudate_Masks",
    "SE": "SoftExudate_Masks",
    "IRMA": "IRMA_Masks",
    "NV": "Neovascularization_Masks",
}
OPTIONAL = ("IRMA", "NV")


def is_fgadr(source: Path) -> bool:
    """Returns whether a folder has FGADR's layout."""
    return bool(_roots(source))


def read_fgadr(source: Path, finder: PhotographFinder) -> AnnotatedSet:
    """Reads FGADR, whose photographs are its own."""
    annotated = AnnotatedSet()
    for root in _roots(source):
        masks = {name: root / folder for name, folder in FOLDERS.items() if (root / folder).is_dir()}
        add_photographs(annotated, root / PHOTOGRAPHS, masks, optional=OPTIONAL, soft=True)
    return annotated


def _roots(source: Path) -> list[Path]:
    roots = [source / root for root in ROOTS]
    return [
        root
        for root in roots
        if (root / PHOTOGRAPHS).is_dir() and any((root / folder).is_dir() for folder in FOLDERS.values())
    ]
