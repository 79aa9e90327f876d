"""What a model's scores lose under shifts of the camera: pooled AUPR, and false detections on healthy eyes."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from configs import Config, DataConfig
from pipeline.evaluation import PhotographCounts, load_case
from pipeline.inference import TiledSegmenter, load_segmenter
from records import DISC, Case, KnownRules, find_cases, write_png
from scripts.benchmarks.camera_shifts import SHIFTS, UNSHIFTED, find_field, shift_camera
from scripts.benchmarks.measuring import Result
from scripts.benchmarks.scoring import check_classes, mean_of_lesions, plan_scoring, pooled_aupr, segment_and_count
from scripts.benchmarks.shifts_sheet import draw_sheet

TITLE = """\
AUPR of each class, pooled over the pixels of {photographs} photographs of {source} (split {split}),
segmented at {rule}, under each shift of scripts/benchmarks/camera_shifts.py
mean: of the lesions, all classes but {disc} that the photographs show
falls: the mean of the photographs as they are, less that under this shift"""
HEALTHY = """
false CLASS: detections of the model's own thresholds and least areas, per photograph of {photographs} healthy ones"""

ByShift = dict[str, list[PhotographCounts]]
ByClass = Mapping[str, float]


class _Stopwatch:
    """CPU seconds since it was made, and those of them that were spent in its blocks."""

    def __init__(self) -> None:
        self.began, self.within = time.process_time(), 0.0

    def __enter__(self) -> None:
        self.within -= time.process_time()

    def __exit__(self, *_: object) -> None:
        self.within += time.process_time()

    @property
    def fraction(self) -> float:
        return self.within / (time.process_time() - self.began)


def measure(
    config: Config,
    model: Path,
    source: Path,
    *,
    split: str = "all",
    healthy: KnownRules | None = None,
    sheet: Path | None = None,
) -> Result:
    """Segments all photographs under all shifts and scores each shift.

    Args:
      config: its classes must be those of the model.
      model: model folder.
      source: folder of photographs and masks.
      split: the cases that are scored, as the model lists them, or "all".
      healthy: names photographs without masks that show none of some classes; None: none are segmented.
      sheet: PNG file for a sheet of the first photograph under each shift; None: none is drawn.

    Raises:
      InputError: the model or the photographs cannot be read, or the classes differ.
    """
    watch = _Stopwatch()
    segmenter = load_segmenter(model)
    spec = segmenter.spec
    check_classes(config.data, spec)
    plan = plan_scoring(segmenter, model, source, split=split)
    labelled, data = plan.cases, plan.data
    eyes = find_cases(None, data.classes, known=healthy)[1] if healthy is not None else []
    if sheet is not None:
        write_png(sheet, draw_sheet(load_case(labelled[0], data), data.classes))
        print(f"sheet: {sheet}", flush=True)
    counts = _count_all(segmenter, labelled, data, watch=watch)
    of_healthy = _count_all(segmenter, eyes, data, watch=watch)
    aupr = {name: pooled_aupr(of_shift) for name, of_shift in counts.items()}
    false = {name: _false_detections(of_shift) for name, of_shift in of_healthy.items()} if eyes else {}
    mean = {name: mean_of_lesions(values) for name, values in aupr.items()}
    falls = {name: mean[UNSHIFTED] - value for name, value in mean.items()}
    title = TITLE.format(photographs=len(labelled), source=source, split=split, rule=segmenter.rule, disc=DISC)
    return Result(
        title=title + (HEALTHY.format(photographs=len(eyes)) if eyes else ""),
        columns=["", *spec.classes, "mean", "falls", *(f"false {name}" for name in false.get(UNSHIFTED, {}))],
        rows=[
            [
                name,
                *(f"{aupr[name][one]:.3f}" if one in aupr[name] else "–" for one in spec.classes),
                f"{mean[name]:.3f}",
                f"{falls[name]:+.3f}",
                *(f"{value:.2f}" for value in false.get(name, {}).values()),
            ]
            for name in SHIFTS
        ],
        keys={
            "aupr": aupr,
            "mean_aupr": mean,
            "falls": falls,
            "worst_fall": max(falls.values()),
            "false_detections": false,
            "most_false_detections": {one: max(by[one] for by in false.values()) for one in false.get(UNSHIFTED, {})},
            "photographs": [case.name for case in labelled],
            "healthy_photographs": [case.name for case in eyes],
            "shifting_fraction": watch.fraction,  # of the CPU time
        },
    )


def _count_all(segmenter: TiledSegmenter, cases: Iterable[Case], data: DataConfig, *, watch: _Stopwatch) -> ByShift:
    counts: ByShift = {name: [] for name in SHIFTS}
    for case in tqdm(cases, desc="photographs", disable=None):
        loaded = load_case(case, data)
        with watch:
            field = find_field(loaded.photograph)
        for name in SHIFTS:
            with watch:
                photograph = shift_camera(loaded.photograph, name, case=case.name, field=field)
            counts[name].append(
                segment_and_count(segmenter, case.name, photograph, masks=loaded.masks, known=loaded.known)
            )
    return counts


def _false_detections(counts: list[PhotographCounts]) -> ByClass:
    """Returns the false detections per photograph of each class that healthy photographs are known not to show."""
    by_class = {name: [one for one in counts if one.knows(name)] for name in counts[0].detections}
    return {
        name: float(np.mean([np.count_nonzero(~one.detections[name]["matched"]) for one in known]))
        for name, known in by_class.items()
        if known
    }
