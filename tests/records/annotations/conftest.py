"""Photographs with masks, and writers of every format that do not use the software's own readers."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

from records import find_cases, read_mask, read_photograph
from records.annotations import choose_classes, import_annotations, read_annotations
from records.annotations.importing import Imported

Masks = dict[str, np.ndarray]  # bool [H, W] by class


class Annotated(NamedTuple):
    """A photograph, uint8 RGB `[H, W, 3]`, and a mask of every class, bool `[H, W]`."""

    photograph: np.ndarray
    masks: Masks


Photographs = dict[str, Annotated]
COLORS = {"HE": (250, 50, 83), "EX": (51, 221, 255)}  # as CVAT chooses them


@pytest.fixture
def photographs(random_photograph, blobs) -> Photographs:
    """Three photographs of two classes that do not overlap: single pixels, diagonals, holes, borders, or no lesion."""
    found = {}
    for seed, (height, width) in enumerate([(40, 60), (31, 45), (33, 33)]):
        he = blobs(height, width, seed=seed)
        if seed == 0:
            he[0, 0] = he[-1, -1] = he[10, 10] = he[11, 11] = he[12, 10] = True
            he[20:27, 20:29] = True
            he[22:25, 23:26] = False
            he[23, 24] = True
        ex = blobs(height, width, seed=seed + 10) & ~he
        masks = {"HE": he, "EX": ex} if seed < 2 else {"HE": np.zeros_like(he), "EX": np.zeros_like(he)}
        found[f"eye {seed}" if seed else "EYE.7"] = Annotated(random_photograph(height, width, seed=seed), masks)
    return found


@pytest.fixture(scope="session")
def lesions_of_idrid(idrid) -> Photographs:
    """Parts of three of IDRiD's photographs."""
    found = {}
    for case in find_cases(idrid, ("HE", "EX"))[1]:
        if case.name in ("IDRiD_01", "IDRiD_12", "IDRiD_33"):
            part = np.s_[1200:1700, 1700:2300]
            masks = {name: read_mask(path, max_pixels=10**8)[part] for name, path in case.masks.items() if path}
            masks["EX"] &= ~masks["HE"]  # as CVAT's masks have one class per pixel
            found[case.name] = Annotated(read_photograph(case.photograph, max_pixels=10**8)[part], masks)
    return found


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def grey(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255


def regions(mask: np.ndarray) -> list[np.ndarray]:
    """The 8-connected regions, each as bool of the mask's shape."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [labels == number for number in range(1, count)]


def squares(region: np.ndarray) -> list[list[list[float]]]:
    """A polygon around each pixel, the plainest way to outline a region to the pixel."""
    return [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]] for y, x in np.argwhere(region).tolist()]


def write_cvat(folder: Path, photographs: Photographs) -> None:
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    lines += [f"{name}:{','.join(map(str, color))}::" for name, color in COLORS.items()]
    for name, (photograph, masks) in photographs.items():
        save(folder / "JPEGImages" / f"{name}.png", photograph)
        classes, objects = np.zeros_like(photograph), np.zeros_like(photograph)
        for number, (label, mask) in enumerate(masks.items()):
            classes[mask] = COLORS[label]
            objects[mask] = number + 1
        if classes.any():
            save(folder / "SegmentationClass" / f"{name}.png", classes)
            save(folder / "SegmentationObject" / f"{name}.png", objects)
    (folder / "labelmap.txt").write_text("\n".join(lines) + "\n")
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("".join(f"{name}\n" for name in photographs))


def coco(photographs: Photographs, segmentation: Callable[[np.ndarray], object]) -> dict:
    """A COCO file with the photographs, and a segmentation of each region."""
    names = list(COLORS)
    images = [
        {"id": number, "file_name": f"{name}.png", "height": one.photograph.shape[0], "width": one.photograph.shape[1]}
        for number, (name, one) in enumerate(photographs.items(), start=5)
    ]
    found = [
        {"image_id": image["id"], "category_id": names.index(name) + 1, "segmentation": segmentation(region)}
        for image, one in zip(images, photographs.values(), strict=True)
        for name, mask in one.masks.items()
        for region in regions(mask)
    ]
    annotations = [{"id": number, "iscrowd": 0, **one} for number, one in enumerate(found, start=1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def uncompressed(region: np.ndarray) -> dict:
    flat = region.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *([0] if flat[0] else []), *changes, flat.size]).tolist()
    return {"size": list(region.shape), "counts": counts}


def compressed(region: np.ndarray) -> dict:
    encoded = coco_masks.encode(np.asfortranarray(region.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def write_coco(form: Callable[[np.ndarray], object]) -> Callable[[Path, Photographs], None]:
    def write(folder: Path, photographs: Photographs) -> None:
        for name, one in photographs.items():
            save(folder / "images" / "default" / f"{name}.png", one.photograph)
        (folder / "annotations").mkdir(parents=True)
        (folder / "annotations" / "instances_default.json").write_text(json.dumps(coco(photographs, form)))

    return write


def write_labelme(folder: Path, photographs: Photographs) -> None:
    """Bitmaps; the first photograph is a file, the others lie in the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, (photograph, masks)) in enumerate(photographs.items()):
        encoded = io.BytesIO()
        Image.fromarray(photograph).save(encoded, "PNG")
        if number == 0:
            (folder / f"{name}.png").write_bytes(encoded.getvalue())
        shapes = []
        for label, mask in masks.items():
            for region in regions(mask):
                (top, left), (bottom, right) = np.argwhere(region).min(0).tolist(), np.argwhere(region).max(0).tolist()
                bitmap = io.BytesIO()
                Image.fromarray(region[top : bottom + 1, left : right + 1]).save(bitmap, "PNG")
                points = [[left, top], [right, bottom]]
                text = base64.b64encode(bitmap.getvalue()).decode()
                shapes.append({"label": label, "points": points, "shape_type": "mask", "mask": text, "flags": {}})
        content = {
            "version": "5.5.0",
            "shapes": shapes,
            "imagePath": f"{name}.png",
            "imageData": None if number == 0 else base64.b64encode(encoded.getvalue()).decode(),
            "imageHeight": photograph.shape[0],
            "imageWidth": photograph.shape[1],
        }
        (folder / f"{name}.json").write_text(json.dumps(content))


def write_label_studio(folder: Path, photographs: Photographs) -> None:
    tasks = []
    for task, (name, (photograph, masks)) in enumerate(photographs.items(), start=3):
        save(folder / "images" / f"{name}.png", photograph)
        results = []
        for label, mask in masks.items():
            for number, region in enumerate(regions(mask)):
                save(folder / f"task-{task}-annotation-{task + 4}-by-1-tag-{label}-{number}.png", grey(region))
                results.append({"type": "brushlabels", "from_name": "tag", "value": {"brushlabels": [label]}})
        url = f"/data/upload/1/0123abcd-{name.replace(' ', '%20')}.png"
        tasks.append({"id": task, "data": {"image": url}, "annotations": [{"id": task + 4, "result": results}]})
    (folder / "project.json").write_text(json.dumps(tasks))


def write_qupath(folder: Path, photographs: Photographs) -> None:
    """A list of features without a collection, classes by "name" or "names", rings closed and turned round."""
    for name, (photograph, masks) in photographs.items():
        save(folder / f"{name}.png", photograph)
        features = []
        for label, mask in masks.items():
            for number, region in enumerate(regions(mask)):
                polygons = [[[*ring[::-1], ring[-1]]] for ring in squares(region)]
                one = {"type": "Polygon", "coordinates": polygons[0]}
                geometry = one if len(polygons) == 1 else {"type": "MultiPolygon", "coordinates": polygons}
                kind = {"name": label} if number % 2 else {"names": [label], "color": [200, 0, 0]}
                properties = {"objectType": "annotation", "classification": kind, "isLocked": False}
                features.append({"type": "Feature", "id": "x", "geometry": geometry, "properties": properties})
        (folder / f"{name}.geojson").write_text(json.dumps(features))


def write_ddr(folder: Path, photographs: Photographs) -> None:
    """A photograph in each part."""
    for part, (name, (photograph, masks)) in zip(("train", "valid", "test"), photographs.items(), strict=True):
        root = folder / "DDR-dataset" / "lesion_segmentation" / part
        save(root / "image" / f"{name}.png", photograph)
        for label, mask in masks.items():
            save(root / ("segmentation label" if part == "valid" else "label") / label / f"{name}.tif", grey(mask))


def write_fgadr(folder: Path, photographs: Photographs) -> None:
    """With smoothed edges, of less than half the brightness outside and more inside."""
    folders = {"HE": "Hemohedge_Masks", "EX": "HardExudate_Masks"}
    for name, (photograph, masks) in photographs.items():
        save(folder / "Seg-set" / "Original_Images" / f"{name}.png", photograph)
        for label, mask in masks.items():
            edge = cv2.dilate(grey(mask), np.ones((3, 3), np.uint8)) // 3
            save(folder / "Seg-set" / folders[label] / f"{name}.png", np.where(mask, 200, edge).astype(np.uint8))


WRITERS = {
    "cvat": write_cvat,
    "coco, a square for each pixel": write_coco(lambda region: [np.ravel(one).tolist() for one in squares(region)]),
    "coco, runs": write_coco(uncompressed),
    "coco, compressed runs": write_coco(compressed),
    "labelme": write_labelme,
    "label_studio": write_label_studio,
    "geojson": write_qupath,
    "ddr": write_ddr,
    "fgadr": write_fgadr,
}


class Outcome(NamedTuple):
    """What was imported, what was left out because it is damaged (failures), and what else was left out (notes)."""

    imported: Imported
    failures: list[str]
    notes: list[str]


@pytest.fixture
def run() -> Callable[..., Outcome]:
    """Does what the command does with `(source, output, classes=, images=, …)`."""

    def do(source: Path, output: Path, *, classes=(), images=None, chosen=None, **options) -> Outcome:
        _, annotated = read_annotations(source, images=images, chosen=chosen)
        names = choose_classes(annotated, classes)
        options = {"max_pixels": 10**6, "workers": 2, "progress": lambda results, total, what: results} | options
        imported = import_annotations(annotated, output, names, keep=[source], **options)
        return Outcome(imported, [*annotated.failures, *imported.failures], [*annotated.notes, *imported.notes])

    return do


@pytest.fixture
def mask_of() -> Callable[[Path, str, str], np.ndarray]:
    """Reads the mask of a class and a case, bool `[H, W]`, wherever it is below an output."""

    def read(output: Path, name: str, case: str) -> np.ndarray:
        (file,) = output.rglob(f"masks/{name}/{case}.png")
        with Image.open(file) as image:
            values = np.asarray(image)
        assert values.dtype == np.uint8
        assert set(np.unique(values)) <= {0, 255}
        return values == 255

    return read


@pytest.fixture
def write() -> Callable[[str, Path, Photographs], Path]:
    """Writes photographs in a format of WRITERS into a folder, and returns it."""

    def written(form: str, folder: Path, photographs: Photographs) -> Path:
        WRITERS[form](folder, photographs)
        return folder

    return written
