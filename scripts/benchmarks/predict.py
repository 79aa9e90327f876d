"""predict relative to its bound: the segmentation of the same photographs in memory, and nothing else."""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median

from configs import Config
from pipeline.inference import fingerprint_of, load_segmenter
from pipeline.prediction import OverlappedWork, PredictionFolder, SegmenterPool, all_devices
from records import UNKNOWN_CAMERA, find_cases, photograph_degrees, read_photograph
from scripts.benchmarks.measuring import Result, counting_cores, median_ratio, take_turns

REPEATS = 3
PHOTOGRAPHS = 16
ALONE, MEASURING = "segmentation alone", "measuring alone"
FORMS: dict[str, tuple[str, ...]] = {
    "no maps": (),
    "--probabilities": ("scaled",),
    "--probabilities --full_size": ("full_size",),
    "--tiff": ("tiff",),
}
TITLE = """\
{photographs} photographs of {source}; {repeats} turns
segmentation alone: of the photographs in memory; the others: all of predict's work from files to files, which reads
  and writes photographs while it segments others
measuring alone: the circle of the field of view and the measures of quality, of the photographs in memory
of alone: median over the turns of the ratio to the segmentation alone in the same turn
on cores: the same ratio of CPU time, for a machine that is shared with others
of segmenting: the ratio that predict prints, to the time spent segmenting while others are read and written
MB: size of the files of a photograph"""
COLUMNS = ["", "median s", "least", "most", "of alone", "on cores", "of segmenting", "MB"]


def measure(config: Config, model: Path, source: Path) -> Result:
    """Times predict for every form of probability maps beside the segmentation alone; all take turns in one run.

    Args:
      config: says how to find the photographs of `source`; the settings are the model's.
      model: model folder.
      source: folder of which the first photographs are used.
    """
    data = config.data
    cases = find_cases(source, data.classes, colored=bool(data.colors), allow_missing_masks=True)[1][:PHOTOGRAPHS]
    photographs = {case.name: case.photograph for case in cases}
    pool = SegmenterPool(lambda: load_segmenter(model), all_devices(), say=print)
    pool.warm_up()
    ratios: dict[str, list[float]] = {name: [] for name in FORMS}
    megabytes: dict[str, float] = {}

    def predict(name: str) -> None:
        with tempfile.TemporaryDirectory() as output:
            folder = PredictionFolder(
                Path(output),
                pool.spec,
                model=fingerprint_of(model, pool.spec.classes),
                measure=pool.measure,
                operating_point=pool.spec.operating_point,
                camera=UNKNOWN_CAMERA,
                annotated={},
                map_forms=FORMS[name],
            )
            ratios[name].append(_predict(pool, folder, photographs))
            sizes = [file.stat().st_size for file in Path(output).rglob("*.*")]
            megabytes[name] = sum(sizes) / len(photographs) / 1e6

    read = {
        case: (read_photograph(path, max_pixels=data.max_pixels), photograph_degrees(path))
        for case, path in photographs.items()
    }
    measured = {case: pool.measure(*one) for case, one in read.items()}
    runs = {
        ALONE: lambda: [one[2].result() for one in pool.segment_all(measured.items()) if one is not None],
        MEASURING: lambda: [pool.measure(*one) for one in read.values()],
    } | {name: partial(predict, name) for name in FORMS}
    cores: dict[str, list[float]] = {name: [] for name in runs}
    seconds = take_turns({name: counting_cores(run, cores[name]) for name, run in runs.items()}, repeats=REPEATS)
    of_alone = {name: median_ratio(times, seconds[ALONE]) for name, times in seconds.items()}
    of_segmenting = {name: median(printed[1:]) for name, printed in ratios.items()}  # without the warm-up
    return Result(
        title=TITLE.format(photographs=len(photographs), source=source, repeats=REPEATS),
        columns=COLUMNS,
        rows=[
            [
                name,
                *(f"{pick(times):.2f}" for pick in (median, min, max)),
                f"{of_alone[name]:.3f}",
                f"{median_ratio(cores[name], cores[ALONE]):.3f}",
                *([f"{of_segmenting[name]:.3f}", f"{megabytes[name]:.2f}"] if name in FORMS else []),
            ]
            for name, times in seconds.items()
        ],
        keys={
            "predict_over_segmentation_alone": of_alone,
            "predict_over_segmenting": of_segmenting,
            "measuring_over_segmentation_alone": median_ratio(cores[MEASURING], cores[ALONE]),
        },
    )


def _predict(pool: SegmenterPool, folder: PredictionFolder, photographs: Mapping[str, Path]) -> float:
    """Does what the command does; returns the ratio of its time to that spent segmenting, as the command prints it."""
    todo = folder.begin(photographs, overwrite=False)
    work = OverlappedWork(
        pool,
        len(all_devices()),
        lambda case: folder.read(case, todo[case]),
        write=lambda case, photograph, segmented: folder.write(case, todo[case], photograph, segmented=segmented),
        stopped=lambda: False,
    )
    for _ in work.run(todo):
        pass
    folder.write_tables()
    return work.timings.total * work.timings.devices / work.timings.segmenting
