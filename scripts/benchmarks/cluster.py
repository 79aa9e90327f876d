"""How well a cluster is used: pieces that were timed here, on simulated clusters, dealt out as on real ones."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from configs import Config
from pipeline.inference import load_segmenter
from records import Case, cut_case, find_cases, read_photograph, survey_case
from scripts.benchmarks.measuring import Result
from scripts.benchmarks.simulated_ray import SimulatedRay
from scripts.support.cluster_pieces import Need, Pieces

CORES = (1, 8, 64, 512)  # of all nodes together
CORES_OF_NODE = 8
PER_CORE = 250  # photographs
TIMED = 12  # photographs of the source
START_SECONDS, PREPARE_SECONDS = 5.0, 10.0  # of a process, of one that loads a model: as seen on busy machines

TITLE = """\
{timed} photographs of {source} were timed here, one after the other on one core, and {per_core} a core dealt out on
simulated clusters of nodes of {cores} cores, with pieces of random length among those
busy: CPU time of all pieces, divided by that of all cores until the end, starts of processes included
driver: CPU time of the command for each piece, without what Ray itself takes"""


def measure(config: Config, source: Path, model: Path | None = None) -> Result:
    """Times pieces of the commands on real photographs, and simulates clusters that work on many like them.

    Args:
      config: of the section `data`.
      source: folder of photographs and masks.
      model: model folder; None: segmenting is left out.
    """
    cases = find_cases(source, config.data.classes, allow_missing_masks=True)[1][:TIMED]
    surveys = {case.name: survey_case(case, config.data) for case in cases}
    kinds: dict[str, Callable[[Case], object]] = {
        "shard: survey": lambda case: survey_case(case, config.data),
        "shard: cut": lambda case: cut_case(case, config.data, surveys[case.name].scale.factor),
    }
    if model is not None:
        segmenter = load_segmenter(model)

        def segment(case: Case) -> object:
            photograph = read_photograph(case.photograph, max_pixels=config.data.max_pixels)
            return segmenter.segment(photograph).numpy()

        segment(cases[0])  # traces the graph
        kinds["predict: read, segment"] = segment
    rows, busy, seconds, driver = [], {}, {}, {}
    for kind, work in kinds.items():
        times = [_timed(work, case) for case in cases]
        seconds[kind] = float(np.mean(times))
        prepare = PREPARE_SECONDS if kind.startswith("predict") else 0.0
        simulated = {cores: _simulate(times, cores, prepare=prepare) for cores in CORES}
        busy[kind] = {str(cores): fraction for cores, (fraction, _) in simulated.items()}
        driver[kind] = simulated[CORES[-1]][1]
        rows.append(
            [kind, f"{seconds[kind]:.3f} s", *(f"{fraction:.3f}" for fraction, _ in simulated.values())]
            + [f"{1e3 * driver[kind]:.2f} ms"]
        )
    return Result(
        title=TITLE.format(timed=len(cases), source=source, per_core=PER_CORE, cores=CORES_OF_NODE),
        columns=["", "a piece", *(f"busy, {cores} cores" for cores in CORES), "driver"],
        rows=rows,
        keys={"seconds_per_piece": seconds, "busy": busy, "driver_seconds_per_piece": driver},
    )


def _timed(work: Callable[[Case], object], case: Case) -> float:
    began = time.process_time()
    work(case)
    return time.process_time() - began


def _simulate(times: list[float], cores: int, *, prepare: float) -> tuple[float, float]:
    """Returns how busy the cores were, and the driver's CPU seconds for each piece."""
    each = min(cores, CORES_OF_NODE)
    drawn = np.random.default_rng(0).choice(times, PER_CORE * cores).tolist()
    ray = SimulatedRay(cores // each, cores=each, seconds=drawn, start=START_SECONDS, prepare=prepare)
    pieces = Pieces(
        ray,
        None,  # type: ignore[arg-type]
        lambda: lambda piece: None,
        pieces=range(len(drawn)),
        need=Need(),
        token=None,
        stopped=lambda: False,
        say=lambda line: None,
        tallies={},
        clock=ray,
    )
    began = time.process_time()
    done = sum(1 for _ in pieces.outcomes())
    spent = time.process_time() - began
    assert done == len(drawn)
    return sum(drawn) / (cores * ray.now), spent / done
