"""Sharding relative to its bound: decoding the photographs and encoding the tiles on all cores, and nothing else."""

import shutil
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from configs import Config, DataConfig
from pipeline.machine import usable_cores
from records import (
    IMAGE_SUFFIXES,
    Case,
    ScaleRule,
    assign_validation,
    find_cases,
    read_photograph,
    rescale_photograph,
    survey_case,
)
from records.images import encode_jpeg, encode_png
from records.shards import building, cut_case, sharding
from scripts.benchmarks.measuring import PeakMemory, Result, median_ratio, take_turns

REPEATS = 5
COPIES = 10


def measure(config: Config, *, source: Path) -> Result:
    """Times the survey and sharding of a source together, relative to the bound, and measures the command's memory.

    The bound decodes every photograph and encodes as many tiles as the records have, image and mask, with the same
    codec and number of threads; it neither reads masks nor writes files. The peak memory is that of the whole command,
    `python -m scripts.shard`, for the photographs as they are, and for ten copies of each under different names.

    Args:
      config: its section data.
      source: folder of photographs and masks.

    Raises:
      InputError: the source does not fit the config.
    """
    data = config.data
    workers = usable_cores()
    cv2.setNumThreads(1)
    _, cases = find_cases(source, data.classes)
    with tempfile.TemporaryDirectory() as scratch:
        tiles = {case.name: cut_case(case, data, survey_case(case, data).scale.factor).tiles for case in cases}
        work = {name: [(tile.y, tile.x, _decoded(tile.mask)) for tile in cut] for name, cut in tiles.items()}
        del tiles
        seconds = take_turns(
            {
                "bound": lambda: _bound(cases, work, data, workers=workers),
                "shard": lambda: shard_cases(cases, data, workers, folder=Path(scratch) / "records"),
            },
            repeats=REPEATS,
        )
        once = _command_peak(config, source, Path(scratch))
        tenfold = _command_peak(config, source, Path(scratch), copies=COPIES)
    total = sum(map(len, work.values()))
    return Result(
        title=f"{len(cases)} photographs, {total} tiles of {data.tile}, {workers} threads, {REPEATS} turns",
        columns=["", "median s", "min s", "max s", "photographs/s", "tiles/s"],
        rows=[
            *(_row(name, times, len(cases), tiles=total) for name, times in seconds.items()),
            [f"peak memory, {len(cases)} photographs", f"{once:.0f} MB", "", "", "", ""],
            [f"peak memory, {COPIES * len(cases)} photographs", f"{tenfold:.0f} MB", "", "", "", ""],
        ],
        keys={
            "share_of_bound": median_ratio(seconds["bound"], seconds["shard"]),
            "peak_memory_mb": once,
            "peak_memory_mb_tenfold": tenfold,
            "photographs_per_second": len(cases) / statistics.median(seconds["shard"]),
        },
    )


def shard_cases(cases: list[Case], data: DataConfig, workers: int, *, folder: Path) -> None:
    """Surveys and shards cases as `python -m scripts.shard` does.

    Args:
      cases: photographs and masks.
      data: how to cut them.
      workers: number of threads.
      folder: of the records; it is emptied first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with ThreadPoolExecutor(workers) as pool:
        surveys = dict(zip((case.name for case in cases), pool.map(lambda c: survey_case(c, data), cases), strict=True))
    fractions = {name: survey.lesion_fraction for name, survey in surveys.items()}
    cases = assign_validation(cases, fractions, fraction=data.validation_fraction, seed=data.seed)
    building.build_records(
        "benchmark", sharding.plan_shards(cases, data, surveys), surveys, folder=folder, workers=workers
    )


def _row(name: str, seconds: list[float], photographs: int, *, tiles: int) -> list[str]:
    middle = statistics.median(seconds)
    times = [f"{value:.2f}" for value in (middle, min(seconds), max(seconds))]
    return [name, *times, f"{photographs / middle:.2f}", f"{tiles / middle:.1f}"]


def _bound(
    cases: list[Case], work: dict[str, list[tuple[int, int, np.ndarray]]], data: DataConfig, *, workers: int
) -> None:
    def decode_and_encode(case: Case) -> None:
        full = read_photograph(case.photograph, max_pixels=data.max_pixels)
        photograph = rescale_photograph(full, ScaleRule.of(data).measure(full).factor)
        for y, x, mask in work[case.name]:
            tile = photograph[y : y + data.tile, x : x + data.tile]
            if data.codec == "png":
                encode_png(tile)
            else:
                encode_jpeg(tile, quality=data.jpeg_quality)
            encode_png(mask)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(decode_and_encode, cases))


def _decoded(mask: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE))


def _command_peak(config: Config, source: Path, scratch: Path, *, copies: int = 1) -> float:
    """Returns the peak megabytes of `python -m scripts.shard` on several copies (links) of each photograph."""
    (scratch / "config.json").write_text(config.to_json())
    listed, records, patients = scratch / f"listed{copies}", scratch / f"records{copies}", scratch / "patients.csv"
    rows = ["case,patient"]
    for file in sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES):
        for copy in range(copies):
            link = listed / file.relative_to(source).with_name(f"{copy}x{file.name}")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
    for case in find_cases(listed, config.data.classes)[1]:
        rows.append(f"{case.name},{case.name.partition('x')[2]}")  # copies must stay in one split
    patients.write_text("\n".join(rows) + "\n")
    arguments = [sys.executable, "-m", "scripts.shard", f"--config={scratch / 'config.json'}", f"--source={listed}"]
    arguments += [f"--records={records}", f"--patients={patients}"]
    command = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # noqa: S603
    with PeakMemory(command.pid) as peak:
        _, errors = command.communicate()
    if command.returncode:
        raise RuntimeError(f"scripts.shard failed: {errors.decode()}")
    return peak.megabytes
