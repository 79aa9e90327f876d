"""A source in paired folders, and its records."""

from pathlib import Path

import cv2
import numpy as np

from configs import DataConfig
from pipeline.input import RecordSet
from records import find_cases
from tests.pipeline.conftest import CLASSES

DATA = DataConfig(classes=CLASSES, tile=64, stride=64, empty_per_nonempty=1.0)


def sharded_from(base: Path, fundus, shard, parts: dict[str, str], *, lesions: bool = True) -> RecordSet:
    """Writes photographs of `parts`, by name the part of the source, and returns their records."""
    for seed, (name, part) in enumerate(parts.items()):
        picture = fundus(60, 80, seed=seed, lesions=lesions)
        for folder in ("images", *(f"masks/{one}" for one in CLASSES)):
            (base / "source" / part / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(base / "source" / part / "images" / f"{name}.png"), picture.photograph[..., ::-1])
        for index, one in enumerate(CLASSES):
            if name != "V2" or one != "MA":  # V2 was sharded without a mask of MA
                mask = picture.masks[..., index].astype(np.uint8) * 255
                cv2.imwrite(str(base / "source" / part / "masks" / one / f"{name}.png"), mask)
    _, cases = find_cases(base / "source", CLASSES, allow_missing_masks=True)
    return RecordSet(base / "records", shard(base / "records", cases, DATA))
