"""What people take away: a ZIP file of one photograph's results or of all, in the form that `predict` writes."""

import dataclasses
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.inference import MeasuredPhotograph, SegmenterSpec
from pipeline.operating_point import OperatingPoint
from pipeline.prediction import (
    Detections,
    detect,
    find_landmarks,
    legend,
    lesion_features,
    summarize,
    write_pictures,
    write_tables,
)
from pipeline.viewer.corrections import Drawn, masks_of
from pipeline.viewer.library import Facts, Viewed
from pipeline.viewer.maps import MapStore, probability_map
from records import (
    field_of_view,
    fit_field_circle,
    measure_quality,
    photograph_degrees,
    read_photograph,
    write_text,
)

# What can be asked for, and the files of each, as patterns.
PARTS = {
    "masks": ("masks/*",),
    "overlays": ("overlays/*",),
    "geojson": ("geojson/*",),
    "coco": ("lesions.json",),
    "table": ("predictions.csv", "lesions.csv"),
}


class TakeAway:
    """Writes results of photographs that have their maps."""

    def __init__(
        self,
        spec: SegmenterSpec,
        maps: MapStore,
        drawn: Callable[[Viewed], Drawn | None],
        *,
        max_pixels: int,
    ):
        """Describes where results come from.

        Args:
          spec: the spec of the model.
          maps: the maps.
          drawn: returns what a person has saved of a photograph, which takes the place of detections.
          max_pixels: photographs with more pixels are refused.
        """
        self._spec, self._maps, self._drawn, self._max_pixels = spec, maps, drawn, max_pixels

    def zipped(
        self, cases: Sequence[Viewed], parts: Iterable[str], point: Callable[[Facts], OperatingPoint]
    ) -> Iterator[bytes]:
        """Yields a ZIP file piece by piece, as soon as each photograph is done.

        Args:
          cases: photographs that have their maps.
          parts: some of PARTS.
          point: the operating point of a photograph with these facts, in its own pixels.
        """
        patterns = [pattern for part in parts for pattern in PARTS[part]]
        stream = _Stream()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file, tempfile.TemporaryDirectory() as temporary:
            folder, records = Path(temporary), []
            for case in cases:
                records.append(self._write(folder, case, point))
                yield from _moved(file, folder, patterns, stream=stream)
            write_tables(folder, self._spec.classes, records)
            yield from _moved(file, folder, patterns, stream=stream)
        yield stream.taken()

    def _measured(self, case: Viewed, photograph: np.ndarray, factor: float) -> MeasuredPhotograph:
        """Measures a photograph at the scale of its map, which flags or the optic disc may have decided."""
        circle = fit_field_circle(photograph)
        scale = self._spec.rule().by_circle(circle, photograph.shape[:2], photograph_degrees(case.path))
        scale = dataclasses.replace(scale, factor=factor)
        return MeasuredPhotograph(photograph, scale, measure_quality(photograph, circle, factor))

    def _write(
        self, folder: Path, case: Viewed, point: Callable[[Facts], OperatingPoint]
    ) -> tuple[dict[str, Any], list[dict]]:
        """Writes masks, overlay and GeoJSON of a photograph; returns its row and its lesions."""
        assert case.facts is not None
        for name in ("masks", "overlays", "geojson"):
            (folder / name).mkdir(exist_ok=True)
        classes, photograph = self._spec.classes, read_photograph(case.path, max_pixels=self._max_pixels)
        measured = self._measured(case, photograph, case.facts.factor)
        operating_point = point(case.facts)
        detections, is_drawn = self._detections(case, operating_point)
        visible = field_of_view(photograph)
        landmarks = find_landmarks(measured, visible, classes=classes, detected=detections.masks)
        features = lesion_features(classes, detections, landmarks=landmarks)
        entries = legend(classes, operating_point, features)
        notes = [*case.facts.warnings, *(["corrected by a person"] if is_drawn else [])]
        write_pictures(
            self._spec,
            case.name,
            photograph,
            detected=detections.masks,
            entries=entries,
            notes=notes,
            output=folder,
            masks=None,
        )
        content = {"type": "FeatureCollection", "features": features}
        write_text(folder / "geojson" / f"{case.name}.geojson", json.dumps(content, separators=(",", ":")) + "\n")
        row = summarize(
            classes,
            case.name,
            Path(case.path.name),
            quality=measured.quality,
            scale=measured.scale,
            warnings=notes,
            visible=visible,
            detections=detections,
            features=features,
        )
        return row, features

    def _detections(self, case: Viewed, point: OperatingPoint) -> tuple[Detections, bool]:
        """Returns what is detected, or what a person has drawn instead, and whether it is that."""
        assert case.facts is not None
        levels = self._maps.read(case.number, case.facts.map_size, len(self._spec.classes))
        found = probability_map(levels, case.facts.size)
        drawn = self._drawn(case)
        if drawn is None:
            return detect(found, point), False
        masks = masks_of(drawn.lesion, len(self._spec.classes))
        whole = found.whole()
        probabilities = tuple(whole[..., index][masks[..., index]] for index in range(masks.shape[-1]))
        return Detections(masks, probabilities, tuple(whole.max(axis=(0, 1)).astype(np.float32).tolist())), True


class _Stream(io.RawIOBase):
    """What a ZIP file is written to: keeps what was not taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _moved(file: zipfile.ZipFile, folder: Path, patterns: Iterable[str], *, stream: _Stream) -> Iterator[bytes]:
    """Moves the files that are asked for into a ZIP file, removes all others, and yields what was written."""
    wanted = {path for pattern in patterns for path in folder.glob(pattern)}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            if path in wanted:
                file.write(path, path.relative_to(folder))
            path.unlink()
    yield stream.taken()
