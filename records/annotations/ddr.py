"""DDR (Li et al. 2019, doi:10.1016/j.ins.2019.06.011), its part lesion_segmentation, with masks of EX, HE, MA and SE.

train/image/NAME.jpg and train/label/EX/NAME.tif; in valid/ the folder is called "segmentation label".
"""

from pathlib import Path

from records.annotations.annotated import SPLITS, AnnotatedSet
from records.annotations.files import PhotographFinder
from records.annotations.mask_folders import add_photographs

ROOTS = (".", "lesion_segmentation", "DDR-dataset/lesion_segmentation")
PARTS = ("train", "valid", "test")
LABELS = ("label", "segmentation label")
CLASSES = ("EX", "HE", "MA", "SE")


def is_ddr(source: Path) -> bool:
    """Returns whether a folder has DDR's layout."""
    return bool(_parts(source))


def read_ddr(source: Path, finder: PhotographFinder) -> AnnotatedSet:
    """Reads DDR, whose photographs are its own."""
    annotated = AnnotatedSet()
    for part, label in _parts(source):
        masks = {name: label / name for name in CLASSES if (label / name).is_dir()}
        add_photographs(annotated, part / "image", masks, split=SPLITS[part.name])
    return annotated


def _parts(source: Path) -> list[tuple[Path, Path]]:
    """Returns the folder of each part with that of its masks."""
    parts = [source / root / part for root in ROOTS for part in PARTS]
    pairs = [(part, part / label) for part in parts for label in LABELS]
    return [
        (part, label)
        for part, label in pairs
        if (part / "image").is_dir() and any((label / name).is_dir() for name in CLASSES)
    ]
