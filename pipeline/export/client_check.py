"""Compares the probability map that a client of an export gets for a photograph with that of predict."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from models import precision_of
from pipeline.export.golden import TOLERANCES
from pipeline.inference import TiledSegmenter
from records import lesions, read_photograph
from records.images import ORIENTATION_TAG, has_other_colors, opened

ROUNDING = 1e-5  # allowed difference between two graphs of one network in one precision on one machine
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class ClientCheck:
    """The result of a check.

    Attributes:
      lines: report for the user.
      same: whether the client's probability map equals predict's within rounding.
    """

    lines: list[str]
    same: bool


def check_client(export: Path, segmenter: TiledSegmenter, file: Path) -> ClientCheck:
    """Loads an export and sends it a photograph: the bytes of its file, or its pixels if serving_default fails.

    Args:
      export: folder of the SavedModel.
      segmenter: the segmenter of the model folder that was exported.
      file: a photograph.

    Raises:
      InputError: predict cannot read the photograph.
    """
    photograph = read_photograph(file, max_pixels=segmenter.spec.max_pixels)
    model, loading = _timed(lambda: tf.saved_model.load(str(export)))
    lines = []
    signature, given = "serving_default", tf.constant(file.read_bytes())
    try:
        received, first = _timed(lambda: _map_of(model, signature, given))
    except tf.errors.InvalidArgumentError:
        lines.append(f"serving_default cannot decode {file.name}; sent decoded and rotated, as clients must do:")
        signature, given = "segment", tf.constant(photograph)
        received, first = _timed(lambda: _map_of(model, signature, given))
    _, second = _timed(lambda: _map_of(model, signature, given))
    lines.append(
        f"{file.name} → {signature} → probabilities {list(received.shape)}; loading {loading:.2f} s, first call "
        f"{first:.2f} s, second {second:.2f} s"
    )
    metadata = {name: value.numpy() for name, value in model.metadata().items()}
    classes = [name.decode() for name in metadata["classes"]]
    lines += [
        f"{name}: {_describe(received[..., index], threshold)}"
        for index, (name, threshold) in enumerate(zip(classes, metadata["thresholds"], strict=True))
    ]
    expected = segmenter.segment(photograph).numpy()
    line, same = _compare(
        received,
        expected,
        metadata["thresholds"],
        served=metadata["precision"].decode(),
        predicts=_precision(segmenter),
    )
    cause = _left_to_client(file, segmenter.spec.max_pixels) if signature == "serving_default" and not same else ""
    return ClientCheck([*lines, line + cause], same)


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


def _left_to_client(file: Path, max_pixels: int) -> str:
    """Names what predict does for this JPEG or PNG and serving_default does not."""
    with opened(file, max_pixels=max_pixels) as image:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        causes = [f"has orientation tag {orientation}"] * (orientation != 1) + ["is in CMYK"] * (image.mode == "CMYK")
        causes += ["has a colour profile other than sRGB"] * has_other_colors(image)
    return f"; the file {' and '.join(causes)}, which serving_default leaves to the client" if causes else ""


def _precision(segmenter: TiledSegmenter) -> str:
    return precision_of(segmenter.network) if isinstance(segmenter.network, keras.Model) else "float32"


def _compare(
    received: np.ndarray, expected: np.ndarray, thresholds: np.ndarray, *, served: str, predicts: str
) -> tuple[str, bool]:
    """Describes the difference of the client's map, of precision `served`, from predict's, of precision `predicts`."""
    if received.shape != expected.shape:
        return f"NOT the same map as predict's, which is {list(expected.shape)}", False
    largest = float(np.abs(received - expected).max())
    same = largest <= (ROUNDING if served == predicts else max(TOLERANCES[served], TOLERANCES[predicts]))
    crossed = np.count_nonzero((received >= thresholds) != (expected >= thresholds))
    verdict = f"{'the same' if same else 'NOT the same'} map as predict's"
    if served != predicts:
        verdict += f" within the rounding of {served} and {predicts}"
    return f"{verdict}: largest difference {largest:.1e}, {crossed} pixels on the other side of their threshold", same
