"""What the index of a set of records says of one case."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from records.grid import scaled_size
from records.shards.boxes import OwnedBox
from records.shards.ownership import OwnedLesion, Place


@dataclasses.dataclass(frozen=True)
class CaseEntry:
    """One case of a set of records.

    Attributes:
      split: "train", "validation" or "test".
      patient: name of the patient, or None if unknown.
      height: height of the photograph, pixels.
      width: width of the photograph, pixels.
      scale: factor by which it was scaled.
      tiles: number of tiles in the records.
      nonempty_tiles: number of tiles with a lesion pixel of any class.
      lesion_pixels: for every class, number of lesion pixels at full size.
      digest: sha256 of the files of the photograph and the masks together.
      perceptual_hash: perceptual hash of the photograph, see `records.cases.duplicates`.
      places: places of the tiles, in the order of the records.
      lesions: parts of lesions that the tiles own.
      quality: measures of the photograph, see `records.shards.cutting.Cut`; empty in sets of version 0.1.
      photograph_digest: sha256 of the photograph's file; empty in sets of earlier versions.
      known: names of the classes that are known in it, if only in parts.
      unknown_pixels: for every class that is not known throughout, number of unknown pixels at full size.
      absent: names of the classes that it is known to show none of, as a healthy eye.
      hard_negatives: boxes around what a model mistook for lesions, in the tiles that own them.
    """

    split: str
    patient: str | None
    height: int
    width: int
    scale: float
    tiles: int
    nonempty_tiles: int
    lesion_pixels: dict[str, int]
    digest: str
    perceptual_hash: str
    places: list[Place]
    lesions: list[OwnedLesion]
    quality: dict[str, float] = dataclasses.field(default_factory=dict)
    photograph_digest: str = ""
    known: list[str] = dataclasses.field(default_factory=list)
    unknown_pixels: dict[str, int] = dataclasses.field(default_factory=dict)
    absent: list[str] = dataclasses.field(default_factory=list)
    hard_negatives: list[OwnedBox] = dataclasses.field(default_factory=list)

    @property
    def scaled_size(self) -> tuple[int, int]:
        """Height and width of the scaled photograph, pixels."""
        return scaled_size(self.height, self.width, self.scale)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "CaseEntry":
        """Makes an entry of the fields as `dataclasses.asdict` returns them, with lists in place of tuples."""
        parts = {
            "places": [Place(*place) for place in content["places"]],
            "lesions": [OwnedLesion(*lesion) for lesion in content["lesions"]],
            "hard_negatives": [OwnedBox(*box) for box in content.get("hard_negatives", [])],
        }
        return cls(**{**content, **parts})
