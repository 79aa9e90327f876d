"""What the output of a photograph was computed from, as its record `geojson/CASE.geojson` has it."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs import InputError
from pipeline.inference import SegmenterSpec, Uncertainty
from pipeline.operating_point import AreasByClass, OperatingPoint

SCHEMA_VERSION = 2
EARLIER = 1  # without the operating point, which was the model's, forms of maps, and places of lesions
TILES = "tiles"  # the key of a record for what a look at each tile is worth; absent without --uncertainty
OWN = "fundus_tiles"  # the member of a GeoJSON file that other software ignores


class Limits(AreasByClass):
    """The thresholds and the least areas by class, as `Origin` has them."""

    thresholds: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Origin:
    """What the output of a photograph was computed from; the fields are keys of its record.

    Attributes:
      file: absolute path of the photograph.
      sha256: digest of the photograph's file.
      model: fingerprint of the model folder, or of all members of an ensemble, and of the classes taken from it.
      truth: digest of the photograph and ground truth in `--source`, if the overlay shows it, else None.
      map_forms: the forms in which the probability map is there as well, some of MAP_FORMS.
      thresholds: operating threshold of each class.
      min_area: least number of pixels of a detection of each class, as the user gave it; 1 otherwise.
      min_areas: the model's, at the network's scale, where it counts; otherwise empty.
      scale, degrees: what the user said of the camera, see `records.Camera`.
      uncertainty: over what the spread was taken, see `TiledSegmenter`; None if it was not asked for.
    """

    file: str
    sha256: str
    model: str
    truth: str | None
    map_forms: tuple[str, ...]
    thresholds: Mapping[str, float]
    min_area: Mapping[str, int]
    scale: float | None = None
    degrees: float | None = None
    uncertainty: Uncertainty | None = None
    min_areas: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """The operating point."""
        return {"thresholds": self.thresholds, "min_area": self.min_area, "min_areas": self.min_areas}


def limits_of(classes: tuple[str, ...], point: OperatingPoint) -> Limits:
    """Returns an operating point as `Origin` has it."""
    return {"thresholds": dict(zip(classes, point.thresholds, strict=True)), **point.areas_of(classes)}


def flags_of(origin: Origin, spec: SegmenterSpec) -> str:
    """Returns the flags that make the operating point of a photograph, for a model with this spec."""
    given, of_model = [], limits_of(spec.classes, spec.operating_point)
    if tuple(origin.thresholds.values()) != spec.thresholds:
        given.append("--threshold=" + ",".join(f"{name}={value:g}" for name, value in origin.thresholds.items()))
    if (origin.min_area, origin.min_areas) != (of_model["min_area"], of_model["min_areas"]):
        given.append("--min_area=" + ",".join(f"{name}={value}" for name, value in origin.min_area.items()))
    return " ".join(given) or "without --threshold and --min_area"


def read_record(path: Path) -> dict[str, Any]:
    """Reads the record of a photograph.

    Raises:
      InputError: the file is damaged, or of another schema version.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record[OWN]["schema_version"] in (EARLIER, SCHEMA_VERSION):
            return record
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path}: damaged, or written by another version of predict; move it away and start again.")


def origin_in(own: Mapping[str, Any], spec: SegmenterSpec) -> Origin:
    """Returns the origin in a record, also in one of an earlier version.

    Args:
      own: the member `OWN` of the record.
      spec: the spec of the model, whose thresholds an earlier version took.
    """
    content = dict(own["origin"])
    if own["schema_version"] == EARLIER:
        content |= limits_of(spec.classes, OperatingPoint(spec.thresholds))
        content["map_forms"] = ["full_size"] if content.pop("probabilities") else []
    return Origin(**{**content, "map_forms": tuple(content["map_forms"])})
