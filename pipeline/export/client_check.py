"""What a client of an export gets for a photograph's file, held against what predict gets."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from configs import DataConfig
from models import precision_of
from pipeline.export.golden import TOLERANCES
from pipeline.inference import TiledSegmenter
from records import lesions, read_photograph
from records.images.decoding import ORIENTATION, opened

ROUNDING = 1e-5  # by which two graphs of one network in one precision may differ on one machine
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class ClientCheck:
    """What was found.

    Attributes:
      lines: of text.
      same: whether the client's map is predict's, to rounding.
    """

    lines: list[str]
    same: bool


def check_client(export: Path, segmenter: TiledSegmenter, file: Path) -> ClientCheck:
    """Loads an export and sends it the bytes of a file, or its pixels where serving_default does not read it.

    Args:
      export: folder of the SavedModel.
      segmenter: predict's, of the model folder that was exported.
      file: a photograph.

    Raises:
      InputError: predict does not read the photograph.
    """
    photograph = read_photograph(file, max_pixels=DataConfig().max_pixels)
    model, loading = _timed(lambda: tf.saved_model.load(str(export)))
    lines = []
    signature, given = "serving_default", tf.constant(file.read_bytes())
    try:
        found, first = _timed(lambda: _map_of(model, signature, given))
    except tf.errors.InvalidArgumentError:
        lines.append(f"serving_default does not read {file.name}; sent decoded and turned, as a client has to:")
        signature, given = "segment", tf.constant(photograph)
        found, first = _timed(lambda: _map_of(model, signature, given))
    _, second = _timed(lambda: _map_of(model, signature, given))
    lines.append(
        f"{file.name} → {signature} → probabilities {list(found.shape)}; loading {loading:.2f} s, first call "
        f"{first:.2f} s, second {second:.2f} s"
    )
    words = {name: value.numpy() for name, value in model.metadata().items()}
    classes = [name.decode() for name in words["classes"]]
    lines += [
        f"{name}: {_describe(found[..., index], threshold)}"
        for index, (name, threshold) in enumerate(zip(classes, words["thresholds"], strict=True))
    ]
    expected = segmenter.segment(photograph).numpy()
    line, same = _compare(
        found, expected, words["thresholds"], served=words["precision"].decode(), predicts=_precision(segmenter)
    )
    left = _left_to_client(file) if signature == "serving_default" and not same else ""
    return ClientCheck([*lines, line + left], same)


def _map_of(model: Any, signature: str, given: tf.Tensor) -> np.ndarray:
    return model.signatures[signature](given)["probabilities"].numpy()


def _timed(run: Callable[[], Result]) -> tuple[Result, float]:
    began = time.perf_counter()
    return run(), time.perf_counter() - began


def _describe(probabilities: np.ndarray, threshold: float) -> str:
    above = probabilities >= threshold
    return (
        f"{sum(1 for _ in lesions(above))} lesions, {np.count_nonzero(above)} pixels at or above {threshold:g}, "
        f"maximum {probabilities.max():.4f}"
    )


def _left_to_client(file: Path) -> str:
    """Says what serving_default does not do for a JPEG or PNG and predict does."""
    with opened(file, max_pixels=DataConfig().max_pixels) as image:
        orientation = image.getexif().get(ORIENTATION, 1)
        causes = [f"has orientation tag {orientation}"] * (orientation != 1) + ["is in CMYK"] * (image.mode == "CMYK")
    return f"; the file {' and '.join(causes)}, which serving_default leaves to the client" if causes else ""


def _precision(segmenter: TiledSegmenter) -> str:
    return precision_of(segmenter.network) if isinstance(segmenter.network, keras.Model) else "float32"


def _compare(
    found: np.ndarray, expected: np.ndarray, thresholds: np.ndarray, *, served: str, predicts: str
) -> tuple[str, bool]:
    """Says how far the client's map, computed in the precision `served`, is from predict's."""
    if found.shape != expected.shape:
        return f"NOT the same map as predict's, which is {list(expected.shape)}", False
    largest = float(np.abs(found - expected).max())
    same = largest <= (ROUNDING if served == predicts else max(TOLERANCES[served], TOLERANCES[predicts]))
    crossed = np.count_nonzero((found >= thresholds) != (expected >= thresholds))
    verdict = f"{'the same' if same else 'NOT the same'} map as predict's"
    if served != predicts:
        verdict += f", to the rounding of {served} against its {predicts}"
    return f"{verdict}: largest difference {largest:.1e}, {crossed} pixels on the other side of their threshold", same
