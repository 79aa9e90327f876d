"""The page of a plan: one HTML file with the values and their reasons, what looks wrong, and pictures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.machine import processor
from pipeline.panels import outlined
from pipeline.planning.fingerprint import Fingerprint
from pipeline.planning.plan import Plan
from pipeline.planning.probe import Probe
from pipeline.planning.scale_rules import SMALLEST_PIXELS
from pipeline.reporting import Plot, minutes_plot, size_plot, write_page
from records import Case, read_labels, read_photograph

SHOWN = 6  # photographs, from few lesion pixels to many
SIDE = 640  # longer side of such a picture, pixels
LINE = 2  # width of outlines, pixels


@dataclasses.dataclass(frozen=True)
class Sample:
    """A photograph with outlines of its lesions.

    Attributes:
      case: name of the case.
      split: its split in the source.
      lesions: number of lesions of each class that is known.
      width, height: size of the picture, pixels.
      picture: JPEG.
    """

    case: str
    split: str
    lesions: dict[str, int]
    width: int
    height: int
    picture: bytes


def write_plan_page(
    path: Path,
    plan: Plan,
    fingerprint: Fingerprint,
    *,
    source: str,
    commands: Sequence[str],
    probe: Probe | None = None,
) -> Path:
    """Writes the page.

    Args:
      path: the file.
      plan: the plan.
      fingerprint: the photographs.
      source: what the page calls the folder of the photographs.
      commands: command lines to run next.
      probe: what short trainings scored; None: there were none.

    Returns:
      The path of the file.
    """
    names = plan.config.data.classes
    diameter = float(plan.config.data.field_diameter or 0)
    lesions = {name: fingerprint.of_class(name) for name in names}
    rows = [_class_row(lesions[name], diameter) for name in names]
    return write_page(
        path,
        "plan.html",
        source=source,
        layout=fingerprint.layout,
        photographs=len(fingerprint.cases),
        test=len(fingerprint.cases) - len(fingerprint.learnt_from),
        patients=fingerprint.patients,
        classes=names,
        rows=rows,
        plan=plan,
        diameter=diameter,
        sizes=_sizes(fingerprint),
        machine=processor(),
        smallest=SMALLEST_PIXELS,
        plot=size_plot({name: one.diameters * diameter for name, one in lesions.items()}, SMALLEST_PIXELS),
        samples=[_sample(case, fingerprint, names) for case in _choose(fingerprint)],
        commands=commands,
        probe=probe,
        minutes_plot=None if probe is None else _draw(probe),
    )


def _draw(probe: Probe) -> Plot:
    return minutes_plot(
        [(one.minutes, one.aupr) for one in probe.trainings],
        [(one.minutes, one.median, (one.low, one.high)) for one in probe.forecasts],
    )


def _class_row(facts: Any, diameter: float) -> dict[str, Any]:
    low, middle, high = np.quantile(facts.diameters, (0.1, 0.5, 0.9))
    return {
        "name": facts.name,
        "lesions": len(facts.diameters),
        "showing": facts.showing,
        "known": facts.known,
        "absent": facts.absent,
        "fraction": facts.fraction,
        "diameters": [f"{value:.2%}" for value in (low, middle, high)],
        "pixels": [f"{value * diameter:.1f}" for value in (low, middle, high)],
        "contrast": float(np.median(facts.contrasts)),
    }


def _sizes(fingerprint: Fingerprint) -> list[str]:
    """Returns a line for each size of photographs, the most frequent first."""
    facts = list(fingerprint.facts.values())
    sizes = sorted({(one.width, one.height) for one in facts})
    groups = {size: [one for one in facts if (one.width, one.height) == size] for size in sizes}
    lines = []
    for (width, height), members in sorted(groups.items(), key=lambda item: -len(item[1])):
        fields = [one.field_diameter for one in members if one.field_diameter is not None]
        field = (
            f"fields of view of {min(fields):.0f} to {max(fields):.0f} pixels" if fields else "no field of view found"
        )
        lines.append(f"{len(members)} of {width}x{height} pixels, {field}")
    return lines


def _choose(fingerprint: Fingerprint) -> list[Case]:
    """Returns photographs to show, evenly spread from the one with the least lesion area to the one with the most."""

    def area(case: Case) -> float:
        facts = fingerprint.facts[case.name]
        return sum(sum(one.areas) for one in facts.lesions.values()) / facts.field_pixels

    ordered = sorted(fingerprint.learnt_from, key=lambda case: (area(case), case.name))
    places = np.unique(np.linspace(0, len(ordered) - 1, SHOWN).round().astype(int))
    return [ordered[place] for place in places]


def _sample(case: Case, fingerprint: Fingerprint, names: tuple[str, ...]) -> Sample:
    facts = fingerprint.facts[case.name]
    photograph = read_photograph(case.photograph, max_pixels=fingerprint.data.max_pixels)
    labels = read_labels(case, photograph.shape[:2], dataclasses.replace(fingerprint.data, classes=names))
    shrink = min(1.0, SIDE / max(photograph.shape[:2]))
    size = max(round(facts.height * shrink), 1), max(round(facts.width * shrink), 1)
    drawn = outlined(photograph, labels.masks, size, thickness=LINE)
    jpeg = cv2.imencode(".jpg", drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    lesions = {name: len(facts.lesions[name].areas) for name in names if name in facts.lesions}
    return Sample(case.name, case.split, lesions, width=size[1], height=size[0], picture=jpeg)
