"""Random draws of the augmentations as text, such as "exponent -0.21, upper left"."""

import math
from collections.abc import Callable, Mapping, Sequence

Draws = dict[str, list[float]]  # values by the name of the draw

_CENTERS = ("in the middle", "upper left", "upper right", "lower left", "lower right")
_FORMATS: dict[str, Callable[[float], str]] = {  # by the name of the draw; any other is shown as a number
    "quarter_turn strength": lambda turns: f"{90 * int(turns)}°",
    "rotation strength": lambda radians: f"{math.degrees(radians):+z.1f}°",
    "scale strength": lambda logarithm: f"×{math.exp(-logarithm):.2f}",  # inverted: the draw scales the source points
    "shear strength": lambda slope: f"slope {slope:+.3f}",
    "shear axis": lambda axis: "of the columns" if axis < 1 else "of the rows",
    "translation strength": lambda pixels: f"{-round(pixels):+d} px",  # inverted as well
    "elastic strength": lambda pixels: f"{pixels:.2f} px rms",
    "distortion strength": lambda pixels: f"up to {pixels:.1f} px",
    "barrel strength": lambda exponent: f"exponent {exponent:z.2f}",
    "barrel center": lambda number: _CENTERS[int(number)],
    "pincushion strength": lambda exponent: f"exponent {exponent:z.2f}",
    "pincushion center": lambda number: _CENTERS[int(number)],
    "brightness strength": lambda fraction: f"{100 * fraction:+z.1f} %",
    "contrast strength": lambda fraction: f"{100 * fraction:+z.1f} %",
    "saturation strength": lambda fraction: f"{100 * fraction:+z.1f} %",
    "hue strength": lambda radians: f"{math.degrees(radians):+z.1f}°",
    "temperature strength": lambda fraction: f"{100 * fraction:+z.1f} %",
    "color strength": lambda fraction: f"{100 * fraction:+z.1f} %",
    "brightening strength": lambda fraction: f"{100 * fraction:.0f} % of the range",
    "illumination strength": lambda fraction: f"up to {100 * fraction:.0f} %",
    "haze strength": lambda fraction: f"{100 * fraction:.0f} %",
    "haze level": lambda level: f"grey {level:.0f}",
    "vignette distance": lambda sides: f"at {sides:.2f} sides",
    "vignette direction": lambda radians: f"{math.degrees(radians):.0f}°",
    "vignette strength": lambda fraction: f"up to {100 * fraction:.0f} %",
    "noise strength": lambda sigma: f"sigma {sigma:.1f}",
    "gamma strength": lambda logarithm: f"exponent {math.exp(logarithm):.2f}",
    "blur strength": lambda sigma: f"sigma {sigma:.2f} px",
    "sharpening strength": lambda k: f"k {k:.2f}",
    "jpeg strength": lambda quality: f"quality {int(quality)}",
}


def describe(draws: Mapping[str, Sequence[float]]) -> str:
    """Describes what one augmentation drew, such as "exponent -0.21, upper left"."""
    return ", ".join(
        " ".join(_FORMATS.get(name, lambda value: f"{value:+.3g}")(value) for value in values)
        for name, values in draws.items()
    )
