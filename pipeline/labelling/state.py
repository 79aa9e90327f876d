"""The state of a folder of labels, `pseudolabels.json`: models, settings, and whether all is finished."""

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from configs import InputError
from pipeline.labelling.ensemble import Ensemble
from pipeline.labelling.labels import Confidence
from records import PSEUDOLABELS, UNKNOWN_CAMERA, Camera, write_text

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True)
class LabelSettings:
    """What all photographs of a folder are labelled by.

    Attributes:
      confidence: what is a lesion, and what is unknown.
      soft: whether masks hold probabilities instead.
      camera: what the user said of the camera.
      link: whether photographs are hard links, and no copies.
      strict: whether a photograph that does not suit the models is an error.
    """

    confidence: Confidence
    soft: bool = False
    camera: Camera = UNKNOWN_CAMERA
    link: bool = False
    strict: bool = False


def write_state(output: Path, ensemble: Ensemble, settings: LabelSettings, *, finished: bool) -> None:
    """Writes `pseudolabels.json`."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "finished": finished,
        "models": [
            {"folder": str(model.folder), "fingerprint": model.fingerprint, "classes": model.spec.classes}
            for model in ensemble.models
        ],
        "settings": _decisive(ensemble, settings),
        "labelled_by": dataclasses.asdict(ensemble.labelled_by),
    }
    write_text(output / PSEUDOLABELS, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def refuse_others(
    output: Path, ensemble: Ensemble, settings: LabelSettings, *, kept: Collection[str], overwrite: bool
) -> None:
    """Refuses to mix models or settings in a folder, as nothing would tell which labels are of which.

    Args:
      output: the folder.
      ensemble: the models.
      settings: what photographs are labelled by.
      kept: photographs whose labels are there and stay.
      overwrite: whether those that are given are labelled again, for the message.

    Raises:
      InputError: what is there is by other models or settings, or `pseudolabels.json` is damaged.
    """
    path = output / PSEUDOLABELS
    if not kept or not path.exists():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        models, before = [model["fingerprint"] for model in content["models"]], dict(content["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); name another folder.") from error
    differing = [
        f"{name} {before.get(name)} instead of {value}"
        for name, value in _decisive(ensemble, settings).items()
        if before.get(name) != value
    ]
    if models != [model.fingerprint for model in ensemble.models]:
        differing.insert(0, "other models")
    if differing:
        advice = "give these photographs as well" if overwrite else "add --overwrite"
        raise InputError(
            f"--output={output}: contains labels of {len(kept)} photographs, such as {min(kept)}, by "
            f"{', '.join(differing)}; {advice}, or name another folder."
        )


def _decisive(ensemble: Ensemble, settings: LabelSettings) -> dict[str, Any]:
    """Returns what the labels depend on."""
    return {
        "classes": list(ensemble.classes),
        "confident": list(settings.confidence),
        "soft": settings.soft,
        "scale": settings.camera.scale,
        "field_degrees": settings.camera.degrees,
    }
