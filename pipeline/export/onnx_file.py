"""Exports a model folder as one ONNX file with the whole graph, which onnxruntime runs alone."""

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from configs import InputError
from models import in_precision
from pipeline.export.golden import KEPT_VALUES, QUALITY, golden_photograph
from pipeline.export.onnx_readme import onnx_readme
from pipeline.inference import TiledSegmenter
from pipeline.operating_point import OperatingPoint
from records import (
    make_folder,
    read_photograph,
    scaled_size,
    stride_of_overlap,
    temporary_folder,
    tile_starts,
    write_jpeg,
)

PACKAGES = ("onnx", "onnxruntime", "spox", "tf2onnx")  # of the extra
ONNX_FILE, ONNX_NETWORK_FILE = "segmenter.onnx", "network.onnx"
SCRIPTS = {"verify_onnx.py": "verify_onnx.py", "onnx_client.py": "client.py"}  # ours, and their names in an export
# Allowed differences of probabilities, of float32 from TensorFlow's, of the others from those where it was exported.
TOLERANCES = {"float32": 2e-3, "float16": 2e-3, "int8": 0.1}


@dataclasses.dataclass(frozen=True)
class OnnxExport:
    """What was exported.

    Attributes:
      megabytes: size of `segmenter.onnx`, 10^6 bytes.
      difference: largest difference of a probability of the golden photograph from TensorFlow's.
    """

    megabytes: float
    difference: float


def check_onnx() -> None:
    """Raises InputError if a package of the extra is missing, or onnxruntime is too old for the graph."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"--format=onnx needs {', '.join(missing)}; install the extra with `pip install -e .[onnx]`.")
    import onnx

    from pipeline.export.onnx_graph import OPSET

    if onnx.defs.onnx_opset_version() < OPSET:
        raise InputError(
            f"--format=onnx needs operator set {OPSET}, but onnx {onnx.__version__} ends with "
            f"{onnx.defs.onnx_opset_version()}; update it with `pip install -e .[onnx]`."
        )


def export_onnx(
    segmenter: TiledSegmenter, output: Path, *, operating_point: OperatingPoint, overwrite: bool, precision: str
) -> OnnxExport:
    """Writes the folder completely or not at all: the file, its parts, and what a stranger needs to use them.

    Args:
      segmenter: the segmenter of a model folder; its network may have any precision.
      output: the folder.
      operating_point: what counts as a detection.
      overwrite: whether an earlier export there is replaced, as the last step.
      precision: of the weights, one of `onnx_graph.PRECISIONS`.

    Raises:
      InputError: the folder exists and `overwrite` is off, or it is no export; the network cannot be converted; or
        onnxruntime cannot run the file, or computes another map than TensorFlow.
    """
    _refuse(output, overwrite=overwrite)
    check_onnx()
    from pipeline.export.onnx_graph import for_gpu, map_graph, network_to_onnx, tiles_graph, whole_graph

    if isinstance(segmenter.network, keras.Model):
        network = in_precision(segmenter.network, "float32")
        segmenter = TiledSegmenter(network, dataclasses.replace(segmenter.spec, xla="off"), segmenter.rule)
    bare = network_to_onnx(segmenter, precision=precision)
    model = whole_graph(segmenter, bare, operating_point)
    parts = {
        ONNX_NETWORK_FILE: for_gpu(bare),
        "tiles.onnx": tiles_graph(segmenter),
        "map.onnx": map_graph(segmenter, operating_point),
    }
    metadata = _metadata(segmenter, operating_point, precision)
    for name, value in metadata.items():
        model.metadata_props.add(key=name, value=json.dumps(value))
    parent = make_folder(output.parent, flag="--output")
    with temporary_folder(parent, output.name) as temporary:
        (temporary / ONNX_FILE).write_bytes(model.SerializeToString())
        for name, part in parts.items():
            (temporary / name).write_bytes(part.SerializeToString())
        (temporary / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")
        for source, name in SCRIPTS.items():
            shutil.copy(Path(__file__).with_name(source), temporary / name)
        difference = _write_golden(temporary, segmenter, precision)
        megabytes = (temporary / ONNX_FILE).stat().st_size / 1e6
        text = onnx_readme(segmenter, operating_point, precision=precision, megabytes=megabytes, difference=difference)
        (temporary / "README.md").write_text(text, encoding="utf-8")
        _refuse(output, overwrite=overwrite)  # another export may have been faster
        with temporary_folder(parent, output.name) as aside:
            if output.exists():
                output.rename(aside / output.name)
            temporary.rename(output)
    return OnnxExport(megabytes, difference)


def _refuse(output: Path, *, overwrite: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / ONNX_FILE).is_file():
        raise InputError(
            f"--output={output}: exists and is not an ONNX export of this software; choose another folder."
        )
    if not overwrite:
        raise InputError(f"--output={output}: already exists; choose another folder, or add --overwrite to replace it.")


def _metadata(segmenter: TiledSegmenter, operating_point: OperatingPoint, precision: str) -> dict[str, Any]:
    """Returns what clients must know, by name, as JSON in the file and beside it."""
    from pipeline.export.onnx_graph import COLUMNS

    spec = segmenter.spec
    return {
        "classes": spec.classes,
        "thresholds": operating_point.thresholds,
        "min_area": operating_point.min_area,  # pixels of the photograph; empty: see min_areas
        "min_areas": operating_point.min_areas,  # pixels of the scaled photograph; both empty: every region
        "lesion_columns": COLUMNS,
        "scale": str(segmenter.rule),
        "tile": spec.tile,
        "flips": spec.flips,
        "precision": precision,
        "made_by": "fundus-tiles; not a medical device",
    }


def _write_golden(folder: Path, segmenter: TiledSegmenter, precision: str) -> float:
    """Writes the golden photograph and its map, TensorFlow's if the file is to equal it; returns the difference."""
    write_jpeg(folder / "golden.jpg", golden_photograph(segmenter.spec, segmenter.rule), quality=QUALITY)
    photograph = read_photograph(folder / "golden.jpg", max_pixels=segmenter.spec.max_pixels)
    expected = segmenter.segment(photograph).numpy()
    computed = _run(folder / ONNX_FILE, photograph)
    difference = float(np.abs(computed - expected).max()) if computed.shape == expected.shape else np.inf
    if precision == "float32" and not difference <= TOLERANCES[precision]:
        raise InputError(
            f"--format=onnx: the largest difference of the file's map from TensorFlow's is {difference:.1e}, where "
            f"{TOLERANCES[precision]:g} is allowed; nothing was written. Export a SavedModel."
        )
    golden = expected if precision == "float32" else computed
    step = int(np.ceil(np.sqrt(golden.size / KEPT_VALUES)))
    np.save(folder / "golden.npy", golden[::step, ::step])
    facts = {
        "shape": golden.shape,
        "step": step,
        "tolerance": TOLERANCES[precision],
        "precision": precision,
        "difference_from_tensorflow": difference,
        **_tiles(segmenter, photograph),
    }
    (folder / "golden.json").write_text(json.dumps(facts, indent=2) + "\n")
    return difference


def _run(file: Path, photograph: np.ndarray) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs that may be left out
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        return session.run(["probabilities"], {"photograph": photograph})[0]
    except Exception as error:  # onnxruntime has a class for each of its codes, with no common base
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"--format=onnx: onnxruntime {onnxruntime.__version__} cannot run the file ({reason}); nothing was written."
        ) from error


def _tiles(segmenter: TiledSegmenter, photograph: np.ndarray) -> dict[str, Any]:
    """Returns how many tiles the golden photograph has, and their height and width."""
    spec, tiling = segmenter.spec, segmenter.tiling()
    height, width = photograph.shape[:2]
    lengths = scaled_size(height, width, segmenter.rule.measure(photograph).factor)
    counts = [len(tile_starts(length, spec.tile, stride_of_overlap(spec.tile, spec.overlap))) for length in lengths]
    return {"tiles": counts[0] * counts[1] * spec.flips, "tile_sides": [int(tiling.side(length)) for length in lengths]}
