"""Models of earlier versions: measures their training photographs, and scales by the field of view from then on."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from configs import InputError
from pipeline.inference.spec import SegmenterSpec
from pipeline.inference.suitability import quantiles_of
from records import (
    DISC,
    Case,
    FieldCircle,
    Progress,
    fit_field_circle,
    identify_case,
    map_cases,
    measure_disc,
    measure_quality,
    no_progress,
    photograph_degrees,
    read_labels,
    read_photograph,
)


def adapt_spec(
    spec: SegmenterSpec, cases: Sequence[Case], *, workers: int, progress: Progress = no_progress
) -> SegmenterSpec:
    """Returns the spec with measures of the model's training photographs and a `field_diameter`.

    A model of a fixed scale gets the diameter that the median of the photographs' circles has at that scale.

    Args:
      spec: spec of the model.
      cases: photographs that it was trained on, with masks.
      workers: number of photographs that are read at once.
      progress: shows how many photographs were read.

    Raises:
      InputError: a photograph or mask cannot be read, or fewer than half of the circles can be fitted.
    """

    def circle_of(case: Case) -> FieldCircle | None:
        return fit_field_circle(read_photograph(case.photograph, max_pixels=spec.max_pixels))

    fitted = progress(map_cases(circle_of, cases, workers=workers), len(cases), "circles")
    circles = {case.name: _or_raise(circle) for case, circle in zip(cases, fitted, strict=True)}
    diameters = [one.diameter for one in circles.values() if one is not None and one.is_reliable]
    if len(diameters) < (len(cases) + 1) // 2:
        raise InputError(
            f"only {len(diameters)} of {len(cases)} photographs show the circle of their field of view; a model for "
            "such photographs keeps its fixed scale."
        )
    if spec.field_diameter is None:
        diameter = round(float(np.median(diameters)) * spec.rule().fixed().factor)
        spec = dataclasses.replace(spec, scale=None, field_diameter=float(diameter))
    rule, data = spec.rule(), spec.data()

    def measure(case: Case) -> dict[str, float]:
        photograph = read_photograph(case.photograph, max_pixels=data.max_pixels)
        circle, size = circles[case.name], photograph.shape[:2]
        factor = rule.by_circle(circle, size, photograph_degrees(case.photograph)).factor
        measures = measure_quality(photograph, circle, factor)
        if case.masks.get(DISC) is not None:
            measures |= measure_disc(read_labels(case, size, data).masks, spec.classes, factor=factor)
        return measures

    measured = progress(map_cases(measure, cases, workers=workers), len(cases), "measures")
    return dataclasses.replace(spec, quality=quantiles_of(_or_raise(one) for one in measured))


def identify_photographs(
    spec: SegmenterSpec, cases: Sequence[Case], *, workers: int, progress: Progress = no_progress
) -> SegmenterSpec:
    """Returns the spec with what the photographs that the model has seen are recognised by.

    Args:
      spec: spec of the model, whose lists name them.
      cases: cases among which they are; those that are missing stay unknown.
      workers: number of photographs that are read at once.
      progress: shows how many photographs were read.

    Raises:
      InputError: a photograph cannot be read.
    """
    listed = {name for names in spec.uses.values() for name in names}
    seen, data = [case for case in cases if case.name in listed], spec.data()
    identified = progress(map_cases(lambda case: identify_case(case, data), seen, workers=workers), len(seen), "files")
    identities = {case.name: _or_raise(one) for case, one in zip(seen, identified, strict=True)}
    photographs = {
        use: tuple(identities[name] for name in names if name in identities) for use, names in spec.uses.items()
    }
    found = {use: known for use, known in photographs.items() if known}
    return dataclasses.replace(spec, photographs={**found, **spec.photographs})  # what training wrote is certain


def _or_raise(result):
    if isinstance(result, InputError):
        raise result
    return result
