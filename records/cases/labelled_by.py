"""Which models labelled the photographs of a source, as `pseudolabel` notes it in `SOURCE/pseudolabels.json`."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs import InputError
from records.cases.identity import PhotographIdentity
from records.cases.seen import SeenPhotographs

# The file of a source whose labels are those of models, and the folder beside it with an entry for each photograph.
PSEUDOLABELS, PSEUDOLABEL_ENTRIES = "pseudolabels.json", "pseudolabels"
PSEUDOLABEL_OUTPUTS = (PSEUDOLABEL_ENTRIES, "overlays")  # folders of such a source that hold no labels
PSEUDOLABEL_TABLES = (PSEUDOLABELS, "review.csv")


@dataclasses.dataclass(frozen=True)
class LabelledBy:
    """The models that labelled photographs.

    Attributes:
      models: their fingerprints.
      seen: photographs that they, or their initial weights, were trained on.
      chosen_on: photographs that their weights, thresholds or calibration were chosen on.
    """

    models: tuple[str, ...]
    seen: SeenPhotographs
    chosen_on: SeenPhotographs

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "LabelledBy":
        """Returns what `dataclasses.asdict` made a dictionary of; raises KeyError or TypeError if it is another."""
        return cls(tuple(content["models"]), _seen(content["seen"]), _seen(content["chosen_on"]))


def read_labelled_by(source: Path, *, soft: bool) -> LabelledBy | None:
    """Returns which models labelled the photographs of a source; None if its labels are not those of models.

    Args:
      source: the folder.
      soft: whether its masks are to be read as soft labels.

    Raises:
      InputError: the labels are not complete, their file is damaged, or they are soft and are not to be read so.
    """
    content = _read(source)
    if content is None:
        return None
    if content["settings"]["soft"] and not soft:
        raise InputError(
            f"{source}: its masks are soft labels of a model, of which all above 0 would be read as lesion; add "
            "--config.data.soft_labels=True, or run pseudolabel without --soft."
        )
    return LabelledBy.from_dict(content["labelled_by"])


def refuse_unfinished(source: Path) -> None:
    """Raises an InputError if models have not labelled all photographs of a source yet."""
    _read(source)


def _read(source: Path) -> dict[str, Any] | None:
    """Returns the content of a source's PSEUDOLABELS; None if it has none."""
    path = source / PSEUDOLABELS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        finished, _, _ = content["finished"], content["settings"]["soft"], LabelledBy.from_dict(content["labelled_by"])
    except FileNotFoundError:
        if not (source / PSEUDOLABEL_ENTRIES).is_dir():
            return None
        finished = False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); run pseudolabel again.") from error
    if not finished:
        raise InputError(
            f"{source}: pseudolabel has not finished there; run the same command again, which labels the photographs "
            "that are missing."
        )
    return content


def _seen(content: Mapping[str, Any]) -> SeenPhotographs:
    photographs = tuple(PhotographIdentity(**one) for one in content["photographs"])
    return SeenPhotographs(tuple(content["names"]), photographs)
