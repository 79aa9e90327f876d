"""What a model's scores lose on photographs that are smaller, cropped, padded or turned: pooled AUPR of each class."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from configs import Config
from pipeline.evaluation import load_case, pool, score
from pipeline.inference import load_segmenter
from records import fit_field_circle
from scripts.benchmarks.measuring import Result
from scripts.benchmarks.scoring import check_classes, plan_scoring, segment_and_count

TITLE = """\
AUPR of each class, pooled over the pixels of {photographs} photographs of {source}, segmented at {rule}
W pixels wide: resized by area averaging, masks by area and at least one half; scales: least and largest factor found
loses: the AUPR of the photographs as they are, less that of this form"""
WIDTHS = (3216, 2144, 1600, 1072)
PADDING = 0.1  # of the longer side, on each side

Form = Callable[[np.ndarray, tuple[slice, slice]], np.ndarray]  # of an image and the box of the field of view


def _resized(width: int) -> Form:
    def resize(image: np.ndarray, _: tuple[slice, slice]) -> np.ndarray:
        size = (width, max(round(image.shape[0] * width / image.shape[1]), 1))
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    return resize


def _padded(image: np.ndarray, _: tuple[slice, slice]) -> np.ndarray:
    border = round(PADDING * max(image.shape[:2]))
    return cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_CONSTANT)


FORMS: dict[str, Form] = {
    "as they are": lambda image, _: image,
    **{f"{width} pixels wide": _resized(width) for width in WIDTHS},
    "cropped to the field of view": lambda image, box: np.ascontiguousarray(image[box]),
    "padded by a tenth": _padded,
    "turned by 90 degrees": lambda image, _: np.ascontiguousarray(np.rot90(image)),
}


def measure(config: Config, model: Path, source: Path) -> Result:
    """Segments all photographs in all forms and scores each form.

    Raises:
      InputError: the model or the photographs cannot be read, the classes differ, or a photograph lacks a mask.
    """
    began = time.perf_counter()
    segmenter = load_segmenter(model)
    spec = segmenter.spec
    check_classes(config.data, spec)
    plan = plan_scoring(segmenter, model, source, split="all")
    counts: dict[str, list] = {name: [] for name in FORMS}
    for case in tqdm(plan.cases, desc="photographs", disable=None):
        loaded = load_case(case, plan.data)
        box = _box(loaded.photograph)
        for name, form in FORMS.items():
            photograph = form(loaded.photograph, box)
            masks = _of_form(form, loaded.masks, box)
            known = None if loaded.known is None else _of_form(form, loaded.known, box)
            counts[name].append(segment_and_count(segmenter, case.name, photograph, masks=masks, known=known))
    scales = {name: [one.factor or 1.0 for one in of_form] for name, of_form in counts.items()}
    pooled = {name: pool(of_form)["frame"] for name, of_form in counts.items()}
    values = {
        name: {one: score(pixels)["aupr"] or 0.0 for one, pixels in by_class.items()}
        for name, by_class in pooled.items()
    }
    whole = values["as they are"]
    loss = {name: {one: whole[one] - value for one, value in by_class.items()} for name, by_class in values.items()}
    return Result(
        title=TITLE.format(photographs=len(plan.cases), source=source, rule=segmenter.rule),
        columns=["", "scales", *spec.classes, *(f"{name} loses" for name in spec.classes)],
        rows=[
            [
                name,
                f"{min(scales[name]):.3f}–{max(scales[name]):.3f}",
                *(f"{value:.3f}" for value in values[name].values()),
                *(f"{value:+.3f}" for value in loss[name].values()),
            ]
            for name in FORMS
        ],
        keys={"aupr": values, "minutes": round((time.perf_counter() - began) / 60, 1)},
    )


def _of_form(form: Form, masks: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """Returns masks, bool `[H, W, C]`, in the form of their photograph: a pixel is in where at least half of it is."""
    of_class = [form(masks[..., index].astype(np.float32), box) >= 0.5 for index in range(masks.shape[-1])]
    return np.stack(of_class, axis=-1)


def _box(photograph: np.ndarray) -> tuple[slice, slice]:
    """Returns the part of a photograph that its field of view lies in."""
    circle = fit_field_circle(photograph)
    if circle is None or not circle.is_reliable:
        return slice(None), slice(None)
    sides = []
    for center in (circle.y, circle.x):
        start, end = center - circle.diameter / 2, center + circle.diameter / 2
        sides.append(slice(max(round(start), 0), round(end)))
    return sides[0], sides[1]
