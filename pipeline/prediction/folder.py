"""The folder that predict writes: what in it is finished, the record of each photograph, and the tables of all.

`geojson/CASE.geojson` is a photograph's record. It goes before anything of the photograph is written, comes when all
is, and is the only source of the tables, so that the next run puts right whatever a kill leaves.
"""

import contextlib
import csv
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from configs import DataConfig, InputError
from pipeline.inference import NAN_MESSAGE, NETWORK_FILE, SEGMENTER_FILE, SegmenterSpec
from pipeline.prediction.outlines import runs
from pipeline.prediction.pictures import (
    MEASUREMENTS,
    lesion_features,
    picture_files,
    summarize,
    summary_columns,
    write_pictures,
)
from pipeline.prediction.pool import Segmented
from records import (
    Case,
    case_digests,
    complete_file,
    make_folder,
    read_masks,
    read_photograph,
    sha256_of,
    sweep_temporaries,
    write_text,
)

SCHEMA_VERSION = 1
OWN = "fundus_tiles"  # the member of a GeoJSON file that other software passes over
LESION_COLUMNS = ["case", "class", *MEASUREMENTS]


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a photograph's files were made from.

    Attributes:
      file: the photograph, its absolute path.
      sha256: of the photograph.
      model: fingerprint of the model folder and of the classes taken from it.
      truth: digest of the photograph and masks of `--source` that the overlay shows, or None.
      probabilities: whether the map was written, too.
    """

    file: str
    sha256: str
    model: str
    truth: str | None
    probabilities: bool


class PredictionFolder:
    """Writes each photograph's files, and knows which are finished."""

    def __init__(
        self,
        output: Path,
        model: Path,
        spec: SegmenterSpec,
        *,
        truths: Mapping[str, Case],
        probabilities: bool,
    ):
        """Args:
        output: the folder, which is made where it is missing.
        model: the model folder.
        spec: of its segmenter.
        truths: cases whose masks the overlays show beside what was found.
        probabilities: whether maps are written, too.
        """
        self.output, self.spec, self.truths, self.probabilities = output, spec, truths, probabilities
        parts = [*(sha256_of(model / name) for name in (NETWORK_FILE, SEGMENTER_FILE)), *spec.classes]
        self.model = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
        self.folders = ["masks", "overlays", "geojson"] + ["probabilities"] * probabilities
        for folder in [output, *(output / name for name in self.folders)]:
            sweep_temporaries(make_folder(folder, flag="--output"))
        self._origins: dict[str, Origin] = {}  # of the photographs that were read and are not yet written

    def begin(self, photographs: Mapping[str, Path], *, overwrite: bool) -> dict[str, Path]:
        """Returns the photographs that are not finished, with `overwrite` all; records that they have are removed.

        Raises:
          InputError: the folder holds photographs of another model, or another photograph of the same name.
        """
        origins = {path.stem: Origin(**_read_record(path)[OWN]["origin"]) for path in self._records()}
        kept = [case for case in origins if not (overwrite and case in photographs)]
        others = [case for case in kept if origins[case].model != self.model]
        if others:
            advice = "name them as well, or" if overwrite else "add --overwrite, or"
            raise InputError(
                f"--output={self.output}: holds what another model found in {len(others)} photographs, such as "
                f"{others[0]}; {advice} name another folder."
            )
        todo = {
            case: path
            for case, path in photographs.items()
            if overwrite or not self._finished(case, path, origins.get(case))
        }
        for case in todo:
            self._record(case).unlink(missing_ok=True)
        return todo

    def read(self, case: str, path: Path) -> np.ndarray:
        """Reads a photograph, uint8 RGB `[H, W, 3]`, and notes what it is.

        Raises:
          InputError: a file that cannot be read, also of the truth.
        """
        try:
            origin = self._origin(case, path)  # before the pixels: should it change in between, it is done again
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror}).") from error
        photograph = read_photograph(path, max_pixels=DataConfig().max_pixels)
        self._origins[case] = origin
        return photograph

    def write(self, case: str, path: Path, photograph: np.ndarray, *, segmented: Segmented) -> None:
        """Writes what `write_pictures` does, and the record.

        Raises:
          InputError: a map with numbers that are none, or masks of the truth that do not fit.
          OSError: a file could not be written; it is named.
        """
        origin, maps = self._origins.pop(case), segmented.probabilities
        if np.isnan(maps).any():
            raise InputError(NAN_MESSAGE)
        truth = None
        if case in self.truths:
            data = DataConfig(classes=self.spec.classes, colors=self.spec.colors)
            truth = read_masks(self.truths[case], photograph.shape[:2], data)
        write_pictures(
            self.spec, case, photograph, maps=maps, output=self.output, truth=truth, probabilities=self.probabilities
        )
        features = lesion_features(self.spec, maps)
        own = {
            "schema_version": SCHEMA_VERSION,
            "origin": dataclasses.asdict(origin),
            "segment_seconds": round(segmented.seconds, 3),
            "row": summarize(self.spec, case, path, photograph=photograph, maps=maps, features=features),
        }
        record = {"type": "FeatureCollection", "features": features, OWN: own}
        write_text(self._record(case), json.dumps(record, separators=(",", ":")) + "\n")

    def write_tables(self) -> int:
        """Writes `predictions.csv`, `lesions.csv` and `lesions.json` of all photographs in the folder.

        Returns:
          How many these are.
        """
        images: list[dict[str, object]] = []
        with contextlib.ExitStack() as stack:
            rows, lesion_rows, coco = (
                stack.enter_context(_complete_text(self.output / name))
                for name in ("predictions.csv", "lesions.csv", "lesions.json")
            )
            table = csv.DictWriter(rows, summary_columns(self.spec.classes), lineterminator="\n")
            lesion_table = csv.DictWriter(lesion_rows, LESION_COLUMNS, lineterminator="\n")
            table.writeheader()
            lesion_table.writeheader()
            coco.write(f'{{"categories": {json.dumps(_categories(self.spec.classes))},\n"annotations": [')
            number = 0
            for path in self._records():
                record = _read_record(path)
                row = record[OWN]["row"]
                table.writerow(row)
                size = {"height": row["height"], "width": row["width"]}
                images.append({"id": len(images) + 1, "file_name": Path(row["file"]).name, **size})
                for feature in record["features"]:
                    properties = feature["properties"]
                    name = properties["classification"]["name"]
                    lesion_table.writerow({"case": row["case"], "class": name, **properties["measurements"]})
                    number += 1
                    annotation = {
                        "id": number,
                        "image_id": len(images),
                        "category_id": self.spec.classes.index(name) + 1,
                        **_coco(feature, **size),
                    }
                    coco.write((",\n" if number > 1 else "\n") + json.dumps(annotation, separators=(",", ":")))
            coco.write(f'],\n"images": {json.dumps(images)}}}\n')
        return len(images)

    def _records(self) -> Iterable[Path]:
        return sorted((self.output / "geojson").glob("[!.]*.geojson"))

    def _record(self, case: str) -> Path:
        return self.output / "geojson" / f"{case}.geojson"

    def _origin(self, case: str, path: Path) -> Origin:
        truth = case_digests(self.truths[case])[1] if case in self.truths else None
        return Origin(str(path.absolute()), sha256_of(path), self.model, truth, self.probabilities)

    def _finished(self, case: str, path: Path, before: Origin | None) -> bool:
        """Says whether all that is wanted of a photograph is there, made from the same files."""
        if before is None:
            return False
        try:
            now = self._origin(case, path)
        except OSError:
            return False  # it is named when it is read
        if now.sha256 != before.sha256:
            if now.file != before.file:
                raise InputError(
                    f"{path}: {self.output} holds {before.file}, another photograph of the same name; name another "
                    "--output, or add --overwrite."
                )
            return False
        files = picture_files(case, self.spec.classes, probabilities=self.probabilities)
        return (
            now.truth in (None, before.truth)
            and now.probabilities <= before.probabilities
            and all((self.output / file).is_file() for file in files)
        )


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
        if record[OWN]["schema_version"] == SCHEMA_VERSION:
            return record
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{path}: damaged, or not written by this version of predict; move it away and start again.")


@contextlib.contextmanager
def _complete_text(path: Path) -> Iterator[TextIO]:
    with complete_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        yield file


def _categories(classes: tuple[str, ...]) -> list[dict[str, object]]:
    return [{"id": number, "name": name, "supercategory": "lesion"} for number, name in enumerate(classes, start=1)]


def _coco(feature: dict[str, Any], height: int, width: int) -> dict[str, object]:
    """Returns the part of a COCO annotation that a lesion itself gives.

    COCO's polygons have no holes: a lesion with holes is given by its runs, and as COCO has it for those, as a crowd.
    """
    geometry, measured = feature["geometry"], feature["properties"]["measurements"]
    closed = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    polygons = [[ring[:-1] for ring in polygon] for polygon in closed]
    with_holes = any(len(polygon) > 1 for polygon in polygons)
    return {
        "segmentation": {"counts": runs(polygons, height, width), "size": [height, width]}
        if with_holes
        else [[coordinate for corner in shell for coordinate in corner] for (shell,) in polygons],
        "area": measured["area_pixels"],
        "bbox": [measured[name] for name in ("box_x", "box_y", "box_width", "box_height")],
        "iscrowd": int(with_holes),
        "score": measured["mean_probability"],
    }
