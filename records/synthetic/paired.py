"""Draws a set of paired folders of which not everything is known: classes, regions, and healthy eyes.

What is unknown is drawn all the same: whoever takes unknown for absent learns the opposite of what is seen.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from configs import InputError
from records.files import write_bytes, write_table
from records.images import encode_png
from records.synthetic.camera import DEGREES, by_camera
from records.synthetic.photographs import SyntheticPhotograph
from records.synthetic.source import check_numbers, draw_numbered, save_photograph
from records.tables import LABELS

CLASSES = ("HE", "EX")
EVERY = 3  # of so many lesions the first is left out
MARGIN = 12  # pixels around a lesion that is left out, which are left out, too
LEAST_DEGREES = 20.0
SMEAR = 90  # radius, pixels, of a disc in which nothing can be told


def write_paired_set(
    folder: Path,
    *,
    training: int = 16,
    test: int = 6,
    seed: int = 0,
    first: int = 1,
    unlabelled: int = 0,
    ignored: int = 0,
    healthy: int = 0,
    width: int | None = None,
    degrees: float = DEGREES,
) -> list[str]:
    """Writes photographs, masks of haemorrhages (HE) and exudates (EX), and `labels.csv`; other files are kept.

    Args:
      folder: root folder of the set; made if absent.
      training: number of training photographs, at least 2.
      test: number of test photographs, at least 0, in all of which both classes are known.
      seed: seed of the draws, at least 0; a photograph depends only on the seed and its own number.
      first: number of the first photograph, at least 1.
      unlabelled: number of training photographs, the last ones, in which nobody looked for haemorrhages.
      ignored: number of training photographs, the first ones, in which regions are left out, with the lesions there: in
        turn a third of the haemorrhages, and a disc in which both classes are unknown.
      healthy: number of further training photographs without haemorrhages and exudates, and without masks.
      width: width of the photographs, pixels, at least 256; None: as they are drawn.
      degrees: field of view, LEAST_DEGREES to DEGREES; below that, lesions are larger in it, and fewer.

    Returns:
      The photographs' names, `["SYN_01", "SYN_02", …, "SYN_H01", …]`.

    Raises:
      InputError: a number is out of range.
    """
    check_numbers(training=training, test=test, seed=seed, first=first)
    check_numbers(unlabelled=unlabelled, ignored=ignored, healthy=healthy, highest=training)
    if width is not None:
        check_numbers(width=width)
    if not LEAST_DEGREES <= degrees <= DEGREES:
        raise InputError(f"field_degrees must be {LEAST_DEGREES:g} to {DEGREES:g}; received {degrees:g}.")
    rows = []
    for place in range(training + test):
        name, drawn = draw_numbered(seed, first + place)
        part = folder / ("train" if place < training else "test")
        known = CLASSES[1:] if training - unlabelled <= place < training else CLASSES
        drawn = by_camera(drawn, width=width, degrees=degrees)
        regions = _left_out(drawn, place) if place < ignored else {}
        _write(part, name, drawn, known=known, regions=regions)
        rows.append((name, " ".join(known), ""))
    for place in range(healthy):
        name, drawn = draw_numbered(seed, first + place, healthy=True)
        seen = by_camera(drawn, width=width, degrees=degrees)
        _write(folder / "train", name, seen, known=(), regions={})
        rows.append((name, "", " ".join(CLASSES)))
    write_table(folder / LABELS, [("case", "labelled", "absent"), *rows])
    return [name for name, *_ in rows]


def _left_out(drawn: SyntheticPhotograph, place: int) -> dict[str, np.ndarray]:
    """Returns the regions of a photograph that are left out, bool `[H, W]`, by the names of their folders."""
    _, labels = cv2.connectedComponents(drawn.haemorrhages.astype(np.uint8))
    chosen = labels % EVERY == 1
    if place % 2 == 0:
        margin = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
        return {"HE_ignore": cv2.dilate(chosen.astype(np.uint8), margin) > 0}
    height, width = labels.shape
    y, x = np.argwhere(chosen)[0].tolist() if chosen.any() else (height // 2, width // 2)
    return {"ignore": cv2.circle(np.zeros((height, width), np.uint8), (x, y), SMEAR, 1, -1) > 0}


def _write(
    part: Path, name: str, drawn: SyntheticPhotograph, *, known: tuple[str, ...], regions: Mapping[str, np.ndarray]
) -> None:
    save_photograph(drawn.photograph, part / "images" / f"{name}.jpg")
    masks = {"HE": drawn.haemorrhages, "EX": drawn.exudates}
    for class_name in known:
        mask = masks[class_name]
        for folder, region in regions.items():
            if folder in ("ignore", f"{class_name}_ignore"):
                mask = mask & ~region
        _write_mask(part / "masks" / class_name / f"{name}.png", mask)
    for folder, region in regions.items():
        _write_mask(part / "masks" / folder / f"{name}.png", region)


def _write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, encode_png(mask.astype(np.uint8) * 255))
