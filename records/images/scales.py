"""The factor by which each photograph is resized: a fixed one, or one that gives its field of view a fixed size.

A lesion of one size then has about the same number of pixels whatever the camera, as the camera's angle of view tells
how much of the retina the circle of its field of view shows. (Strictly, sizes on the retina go with the tangent of the
angle and the length of the eye; both are left out, which is a matter of some percent.)
"""

import collections
import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from configs import DataConfig
from records.images.field_circle import FieldCircle, fit_field_circle

# Where a photograph's rows are a multiple of ROWS, so are those of the scaled one, unless it is so small that this
# changes the factor by more than 0.25 %: then the photograph can be shrunk in strips, on as many cores.
ROWS, LEAST_ROWS = 4, 800
LARGEST = 2.0  # photographs are enlarged up to this factor
ENLARGED = 1.3  # from this factor on, small lesions may not be there to be seen

MOST_LISTED = 8  # different factors that a description lists

Ruler = Literal["fixed", "field of view", "--scale", "optic disc", "frame"]


@dataclasses.dataclass(frozen=True)
class PhotographScale:
    """The factor of one photograph.

    Attributes:
      factor: above 0, at most 2.
      ruler: what it was derived from.
      circle: circle of the field of view, if one was looked for and found.
      limited: whether a larger factor than 2 was wanted.
    """

    factor: float
    ruler: Ruler
    circle: FieldCircle | None = None
    limited: bool = False

    def warnings(self) -> list[str]:
        """Returns what a reader of results for this photograph must know, one line each."""
        lines = []
        if self.ruler == "frame":
            lines.append(
                f"no field of view found: scaled by {self.factor:.3g} as if its circle were as wide as the frame's "
                "diagonal; give --scale"
            )
        elif self.ruler in ("--scale", "optic disc"):
            lines.append(f"no field of view found: scaled by {self.factor:.3g} ({self.ruler})")
        if self.limited:
            lines.append(f"too small: enlarged {LARGEST:g} times, which is not enough; lesions are smaller than usual")
        elif self.factor >= ENLARGED and self.ruler != "fixed":
            lines.append(f"enlarged {self.factor:.2g} times: small lesions may not be there to be seen")
        return lines


def describe_scales(factors: Sequence[float]) -> str:
    """Describes the factors of photographs: "0.334 (52), 0.3 (2)", or the range of many."""
    counts = collections.Counter(f"{factor:.3g}" for factor in factors)
    if len(counts) <= MOST_LISTED:
        return ", ".join(f"{factor} ({count})" for factor, count in counts.most_common())
    low, middle, high = np.quantile(factors, (0, 0.5, 1))
    return f"{low:.3g} to {high:.3g}, median {middle:.3g}"


class Camera(NamedTuple):
    """What a user knows about the camera of all photographs.

    Attributes:
      scale: factor of photographs of which no circle of a field of view can be fitted; None: as if the circle were as
        wide as the frame's diagonal, which it at least is if it lies around the frame.
      degrees: angle of view, degrees, whatever the files say; None: what they say, or else that of the rule.
    """

    scale: float | None = None
    degrees: float | None = None


UNKNOWN_CAMERA = Camera()


@dataclasses.dataclass(frozen=True)
class ScaleRule:
    """How photographs are scaled.

    Attributes:
      scale: the same factor for all photographs; None if there is a `field_diameter`.
      field_diameter: diameter of a field of view of `field_degrees` in the scaled photograph, pixels; None: `scale`.
      field_degrees: angle of view that the diameter refers to, degrees.
      camera: what the user knows.
    """

    scale: float | None
    field_diameter: float | None
    field_degrees: float
    camera: Camera = UNKNOWN_CAMERA

    @classmethod
    def of(cls, data: DataConfig, camera: Camera = UNKNOWN_CAMERA) -> "ScaleRule":
        """Returns the rule of a data config."""
        return cls(data.scale, data.field_diameter, data.field_degrees, camera)

    def __str__(self) -> str:
        if self.field_diameter is None:
            return f"scale {self.scale:.4g}"
        return f"a scale at which a field of view of {self.degrees:g}° is {self.diameter:g} pixels wide"

    @property
    def degrees(self) -> float:
        """Angle of view of a photograph whose file does not say it, degrees."""
        return self.camera.degrees or self.field_degrees

    @property
    def diameter(self) -> float | None:
        """Diameter of a field of view of `degrees` in the scaled photograph, pixels; None if all have one scale."""
        return self.field_diameter and self.field_diameter * self.degrees / self.field_degrees

    def fixed(self) -> PhotographScale:
        """Returns the scale of every photograph, if it is the same for all."""
        assert self.scale is not None
        return PhotographScale(self.scale, "fixed")

    def measure(self, photograph: np.ndarray, *, degrees: float | None = None) -> PhotographScale:
        """Returns the scale of a photograph.

        Args:
          photograph: uint8 RGB `[H, W, 3]`.
          degrees: its angle of view, as its file says, degrees; None: the file does not say.
        """
        if self.field_diameter is None:
            return self.fixed()
        return self.by_circle(fit_field_circle(photograph), photograph.shape[:2], degrees)

    def by_circle(
        self, circle: FieldCircle | None, size: tuple[int, ...], degrees: float | None = None
    ) -> PhotographScale:
        """Returns the scale of a photograph of `size` (H, W) with the circle that `fit_field_circle` returned."""
        if self.field_diameter is None:
            return self.fixed()
        height, width = size
        if circle is not None and circle.is_reliable:
            return self._by_diameter(circle.diameter, height, degrees, ruler="field of view", circle=circle)
        if self.camera.scale is not None:
            return PhotographScale(self.camera.scale, "--scale", circle)
        return self._by_diameter(math.hypot(height, width), height, degrees, ruler="frame", circle=circle)

    def _by_diameter(
        self, diameter: float, height: int, degrees: float | None, *, ruler: Ruler, circle: FieldCircle | None
    ) -> PhotographScale:
        assert self.field_diameter is not None
        seen = self.camera.degrees or degrees or self.field_degrees  # what the user says counts first
        wanted = self.field_diameter / diameter * seen / self.field_degrees
        factor = min(wanted, LARGEST)
        if height % ROWS == 0 and height * factor >= LEAST_ROWS:
            factor = round(height * factor / ROWS) * ROWS / height
        return PhotographScale(factor, ruler, circle, limited=wanted > LARGEST)
