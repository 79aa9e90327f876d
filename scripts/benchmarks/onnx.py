"""The ONNX file beside TensorFlow's graph: the time of a photograph, the difference of the maps, and the memory."""

import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import tensorflow as tf

from configs import Config
from pipeline.export import ONNX_FILE, ONNX_NETWORK_FILE, check_onnx, export_onnx
from pipeline.inference import load_segmenter
from pipeline.machine import peak_memory
from records import scaled_size
from scripts.benchmarks.inference import photographs_of
from scripts.benchmarks.measuring import Result, counting_cores, in_own_process, median_ratio, take_turns

REPEATS = 3
TITLE = """\
{model} in float32, one photograph of {width}x{height} pixels of {source}; {repeats} turns
TensorFlow: TiledSegmenter.segment; map: the same map by onnxruntime; with lesions: and masks and their table
network alone: by onnxruntime, as many tiles of one size
of TensorFlow: median over the turns of the ratio in the same turn; on cores: the same of CPU time
peak_maps: memory beyond that of the network's for one tile, in maps of the photograph's size"""
COLUMNS = ["", "median s", "least", "most", "of TensorFlow", "on cores"]
FLOOR = "TensorFlow"


def measure(config: Config, model: Path, source: Path | None = None) -> Result:
    """Times a photograph by TensorFlow and by onnxruntime, in turns.

    Args:
      config: says how to find the photographs of `source`.
      model: model folder.
      source: folder of which the first photograph is used; without it, a synthetic one.
    """
    check_onnx()
    import onnxruntime

    photograph = photographs_of(source, config)[0]
    segmenter = load_segmenter(model)
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "export"
        point = segmenter.spec.operating_point
        export_onnx(segmenter, export, operating_point=point, overwrite=False, precision="float32")
        session, network = (
            onnxruntime.InferenceSession(export / name, providers=["CPUExecutionProvider"])
            for name in (ONNX_FILE, ONNX_NETWORK_FILE)
        )
        given = {"photograph": photograph}
        without = given | {"find_lesions": np.array(False)}
        height, width = photograph.shape[:2]
        scaled = scaled_size(height, width, segmenter.rule.measure(photograph).factor)
        sides = [int(segmenter.tiling().side(length)) for length in scaled]
        number = int(segmenter.kept_tiles(photograph).numpy().size)
        tiles = {network.get_inputs()[0].name: np.zeros((1, *sides, 3), np.float32)}
        in_memory = tf.constant(photograph)
        runs = {
            FLOOR: lambda: segmenter.segment(in_memory).numpy(),
            "map": lambda: session.run(["probabilities"], without),
            "with lesions": lambda: session.run(None, given),
            "network alone": lambda: [network.run(None, tiles) for _ in range(number)],
        }
        cores: dict[str, list[float]] = {name: [] for name in runs}
        counting = {name: counting_cores(run, cores[name]) for name, run in runs.items()}
        seconds = take_turns(counting, repeats=REPEATS)
        cores = {name: times[1:] for name, times in cores.items()}  # without the warm-up
        difference = float(np.abs(runs["map"]()[0] - runs[FLOOR]()).max())
        peaks = [
            in_own_process(_peak_bytes, export / name, feeds)
            for name, feeds in ((ONNX_NETWORK_FILE, tiles), (ONNX_FILE, without))
        ]
    one_map = 4 * height * width * len(segmenter.spec.classes)
    return Result(
        title=TITLE.format(
            model=model,
            width=width,
            height=height,
            source=source or "a synthetic photograph",
            repeats=REPEATS,
        ),
        columns=COLUMNS,
        rows=[
            [
                name,
                *(f"{pick(times):.3f}" for pick in (median, min, max)),
                *(f"{median_ratio(one[name], one[FLOOR]):.3f}" for one in (seconds, cores)),
            ]
            for name, times in seconds.items()
        ],
        keys={
            "onnx_over_tensorflow": median_ratio(seconds["map"], seconds[FLOOR]),
            "onnx_over_tensorflow_on_cores": median_ratio(cores["map"], cores[FLOOR]),
            "lesions_over_map_on_cores": median_ratio(cores["with lesions"], cores["map"]),
            "graph_over_network_on_cores": median_ratio(cores["map"], cores["network alone"]),
            "largest_difference": difference,
            "peak_maps": (peaks[1] - peaks[0]) / one_map,
        },
    )


def _peak_bytes(file: Path, feeds: dict[str, np.ndarray]) -> int:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    session.run([session.get_outputs()[0].name], feeds)
    return peak_memory()
