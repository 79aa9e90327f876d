"""Whether a photograph suits a model: its measures beside those of the photographs that the model was trained on."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from configs import InputError
from pipeline.inference.measured import MeasuredPhotograph
from pipeline.inference.spec import SegmenterSpec
from records import DISC_DIAMETER, MEASURES, PhotographScale

# Quantiles that a model folder keeps of each measure.
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_LEAST, _MEDIAN, _MOST = QUANTILES.index(0.01), QUANTILES.index(0.5), QUANTILES.index(0.99)
_USUAL = QUANTILES.index(0.05), QUANTILES.index(0.95)
MARGIN = 1.0  # how far beyond these quantiles a photograph may be, in their distances from the median
DISC_MARGIN = 0.5  # the same for the diameter of the disc, which does not vary with the light
# Spreads below which a training set is too uniform to tell what is unusual.
SMALLEST_SPREADS = {
    "sharpness": 0.1,
    "isotropy": 0.1,
    "brightness": 0.15,
    "evenness": 0.15,
    "red_to_green": 0.3,
    "blue_to_green": 0.15,
    "saturation": 0.1,
    "clipped": 0.1,
}
# What a value below, and above, the usual ones means to a reader; None: nothing to warn of.
WORDS: dict[str, tuple[str | None, str | None]] = {
    "sharpness": ("blurred", "unusually sharp or noisy"),
    "isotropy": ("blurred in one direction, as by movement", None),
    "brightness": ("dark", "bright"),
    "evenness": ("unevenly lit", None),
    "red_to_green": ("unusual colour, little red", "unusual colour, little green"),
    "blue_to_green": ("unusual colour, little blue", "unusual colour, much blue"),
    "saturation": ("pale, or not in colour", "unusually strong colours"),
    "clipped": (None, "overexposed"),
}

Quantiles = Mapping[str, Sequence[float]]  # values at QUANTILES, by measure


def quantiles_of(photographs: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """Returns the quantiles of each measure over photographs, each with its measures by name; some may lack some."""
    values: dict[str, list[float]] = {}
    for photograph in photographs:
        for name, value in photograph.items():
            values.setdefault(name, []).append(value)
    return {name: [round(value, 6) for value in np.quantile(some, QUANTILES).tolist()] for name, some in values.items()}


def united_quantiles(one: Quantiles, other: Quantiles) -> dict[str, list[float]]:
    """Returns quantiles within which lies what is usual by either of two; the medians' mean is the median."""
    united = {name: list(values) for name, values in {**one, **other}.items()}
    for name in one.keys() & other.keys():
        pairs = np.array([one[name], other[name]], np.float64)
        middle = pairs[:, _MEDIAN].mean()
        united[name] = [*pairs[:, :_MEDIAN].min(0).tolist(), round(middle, 6), *pairs[:, _MEDIAN + 1 :].max(0).tolist()]
    return united


def photograph_warnings(
    photograph: MeasuredPhotograph, scale: PhotographScale, spec: SegmenterSpec, *, disc: float | None = None
) -> list[str]:
    """Returns in plain words what a reader of a photograph's results must know, one line each.

    Args:
      photograph: the photograph, as it was measured.
      scale: how it was scaled in the end.
      spec: the spec of the model.
      disc: diameter of the disc that was detected, pixels of the photograph; None if there is none.
    """
    lines = scale.warnings() + quality_warnings(photograph.quality, spec.quality)
    if disc is not None and scale.ruler != "optic disc" and DISC_DIAMETER in spec.quality:
        line = disc_warning(disc * scale.factor, spec.quality[DISC_DIAMETER])
        lines += [line] if line else []
    return lines


def refuse_unsuitable(name: str, warnings: Sequence[str]) -> None:
    """Raises InputError if there are warnings about a photograph, which the message calls `name`."""
    if warnings:
        raise InputError(f"{name}: does not suit the model ({'; '.join(warnings)}).")


def quality_warnings(quality: Mapping[str, float], usual: Quantiles) -> list[str]:
    """Returns in plain words what is unusual about a photograph.

    Args:
      quality: its measures by name, see `records.measure_quality`.
      usual: quantiles of the model's training photographs; without a measure, nothing is unusual.
    """
    lines = []
    for name in MEASURES:
        if name not in WORDS or name not in usual:
            continue
        low, high = limits(name, usual[name])
        below, above = WORDS[name]
        word = below if quality[name] < low else above if quality[name] > high else None
        if word is not None:
            least, most = (usual[name][place] for place in _USUAL)
            lines.append(f"{word}: {name} {quality[name]:.3g} where {least:.3g} to {most:.3g} are usual")
    return lines


def disc_warning(diameter: float, usual: Sequence[float]) -> str | None:
    """Returns what an unusual diameter of the optic disc, pixels at the model's scale, means; None if it is usual."""
    low, _, high = usual_range(usual)
    if low <= diameter <= high:
        return None
    least, most = (usual[place] for place in _USUAL)
    return (
        f"disc of {diameter:.0f} pixels where {least:.0f} to {most:.0f} are usual: another field angle? --field_degrees"
    )


def usual_range(usual: Sequence[float]) -> tuple[float, float, float]:
    """Returns the least usual value, the median and the largest usual value of the disc's diameter."""
    low, high = _beyond(usual, DISC_MARGIN)
    return low, usual[_MEDIAN], high


def limits(name: str, usual: Sequence[float]) -> tuple[float, float]:
    """Returns the values of a measure below and above which a photograph is unusual."""
    low, high = _beyond(usual, MARGIN)
    spread = SMALLEST_SPREADS.get(name, 0.0)
    return min(low, usual[_MEDIAN] - spread), max(high, usual[_MEDIAN] + spread)


def _beyond(usual: Sequence[float], margin: float) -> tuple[float, float]:
    low, middle, high = usual[_LEAST], usual[_MEDIAN], usual[_MOST]
    return low - margin * (middle - low), high + margin * (high - middle)
