"""The folder that predict writes: which photographs are finished, a record of each, and tables of all.

The record of a photograph is `geojson/CASE.geojson`. It is removed before any other file of the photograph is written
and written last, and the tables are made from records only, so the next run repairs whatever a kill left behind.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from pipeline.inference import (
    MeasuredPhotograph,
    Segmented,
    SegmenterSpec,
    Uncertainty,
    photograph_warnings,
    refuse_unsuitable,
)
from pipeline.operating_point import OperatingPoint
from pipeline.prediction.detections import detect
from pipeline.prediction.landmarks import find_landmarks
from pipeline.prediction.map_files import FOLDER, forms_beside, map_files, remove_other_maps, write_maps
from pipeline.prediction.measurements import lesion_features, summarize
from pipeline.prediction.memory import photograph_bytes
from pipeline.prediction.origins import (
    EARLIER,
    OWN,
    SCHEMA_VERSION,
    TILES,
    Origin,
    flags_of,
    limits_of,
    origin_in,
    read_record,
)
from pipeline.prediction.pictures import legend, output_files, write_pictures
from pipeline.prediction.review import REVIEW, Reviewed, write_review
from pipeline.prediction.spread_files import FOLDER as SPREAD_FOLDER
from pipeline.prediction.spread_files import spread_files, write_spread
from pipeline.prediction.sureness import assess, spread_in
from pipeline.prediction.tables import write_tables
from records import (
    Camera,
    Case,
    case_digests,
    check_name,
    field_of_view,
    make_folder,
    photograph_degrees,
    read_labels,
    read_photograph,
    sha256_of,
    sweep_temporaries,
    write_text,
)


class PredictionFolder:
    """The output of predict: writes the files of each photograph and finds out which photographs are finished."""

    def __init__(
        self,
        output: Path,
        spec: SegmenterSpec,
        *,
        model: str,
        measure: Callable[[np.ndarray, float | None], MeasuredPhotograph],
        operating_point: OperatingPoint,
        camera: Camera,
        annotated: Mapping[str, Case],
        map_forms: tuple[str, ...],
        strict: bool = False,
        uncertainty: Uncertainty | None = None,
    ):
        """Creates the folder if it does not exist.

        Args:
          output: the folder.
          spec: the spec of the segmenter.
          model: fingerprint of the model folder, or of several, see `pipeline.inference.fingerprint_of_all`.
          measure: measures a photograph with its angle of view, such as `TiledSegmenter.measure`.
          operating_point: what counts as a detection.
          camera: what the user said of the camera, by which `measure` works.
          annotated: cases whose masks the overlays show beside the detections.
          map_forms: the forms in which probability maps are written as well, see `map_files`.
          strict: whether a photograph that does not suit the model is an error.
          uncertainty: what the segmenter says of how sure it is, see `TiledSegmenter`.
        """
        self.strict, self.uncertainty = strict, uncertainty
        self.measure, self.operating_point, self.camera = measure, operating_point, camera
        self.output, self.spec, self.annotated, self.map_forms = output, spec, annotated, map_forms
        self.model = model
        self.folders = ["masks", "overlays", "geojson"] + [FOLDER] * bool(map_forms)
        self.folders += [SPREAD_FOLDER] * (uncertainty is not None)
        for folder in [output, *(output / name for name in self.folders)]:
            make_folder(folder, flag="--output")
        self.sweep()
        self._before: dict[str, Origin] = {}  # of photographs that are predicted again
        self._origins: dict[str, Origin] = {}  # of photographs that are read but not yet written
        self._with_spread = False  # whether finished photographs have a spread

    def __getstate__(self) -> dict[str, Any]:
        """Returns what another process needs, which sets `measure` to that of a segmenter of its own."""
        return {**self.__dict__, "measure": None}

    def sweep(self) -> None:
        """Removes temporary files of processes that have ended."""
        for folder in [self.output, *(self.output / name for name in self.folders)]:
            sweep_temporaries(folder)

    def begin(
        self, photographs: Mapping[str, Path], *, overwrite: bool, say: Callable[[str], None] = lambda line: None
    ) -> dict[str, Path]:
        """Selects the photographs to predict and removes their records.

        Args:
          photographs: files by case name.
          overwrite: whether finished photographs are predicted again.
          say: called with a line about records of an earlier version.

        Returns:
          The photographs that are not finished, or all with `overwrite`.

        Raises:
          InputError: the folder contains predictions of another model, at another operating point, or of another
            photograph of the same name.
        """
        records = {path.stem: read_record(path)[OWN] for path in self._records()}
        origins = {case: origin_in(record, self.spec) for case, record in records.items()}
        kept = {case: origin for case, origin in origins.items() if not (overwrite and case in photographs)}
        self._refuse_others(kept, overwrite=overwrite)
        earlier = {case for case in kept if records[case]["schema_version"] == EARLIER}
        todo = {
            case: path
            for case, path in photographs.items()
            if overwrite or not self._finished(case, path, origins.get(case)) or case in earlier
        }
        _say_earlier(self.output, again=len(earlier & todo.keys()), kept=len(earlier - todo.keys()), say=say)
        self._with_spread = any(origin.uncertainty for case, origin in origins.items() if case not in todo)
        self._before = {case: origins[case] for case in todo.keys() & origins.keys()}
        for case in self._before:
            self._record(case).unlink(missing_ok=True)
        return todo

    def read(self, case: str, path: Path) -> MeasuredPhotograph:
        """Reads and measures a photograph, and remembers its digest for the record.

        Raises:
          InputError: no file can be called by the photograph's name; a file of the photograph or of its ground truth
            cannot be read; or, if strict, the photograph does not suit the model.
        """
        check_name(case, self.spec.classes, path=path)
        try:
            origin = self._origin(case, path)  # first: if the file changes after this, the next run predicts it again
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror}).") from error
        photograph = read_photograph(path, max_pixels=self.spec.max_pixels)
        measured = self.measure(photograph, photograph_degrees(path))
        self._check(path, photograph_warnings(measured, measured.scale, self.spec))
        self._origins[case] = self._with_kept_maps(case, origin)
        return measured

    def bytes_of(self, case: str, path: Path) -> int:
        """Returns how much memory a photograph takes from `read` to the end of `write`, see `photograph_bytes`."""
        labelled = self.annotated.get(case)
        return photograph_bytes(
            path,
            len(self.spec.classes),
            max_pixels=self.spec.max_pixels,
            unscaled=self.spec.scale == 1,
            annotated=labelled is not None,
            partly_known=labelled is not None and bool(labelled.unknown or labelled.ignored),
            map_forms=self.map_forms,
            with_spread=self.uncertainty is not None,
        )

    def write(self, case: str, path: Path, measured: MeasuredPhotograph, *, segmented: Segmented) -> None:
        """Writes the files of `write_pictures`, and then the record.

        Args:
          case: name of the photograph.
          path: its file.
          measured: the photograph, as returned by `read`.
          segmented: its probability map.

        Raises:
          InputError: the probability map contains NaN, the size of a ground truth mask does not fit, or, if strict, the
            disc does not suit the model.
          OSError: a file, which the error names, could not be written.
        """
        origin, photograph = self._origins.pop(case), measured.pixels
        operating_point = self.operating_point.of_photograph(segmented.scale.factor)
        detections = detect(segmented.map, operating_point)
        labels = None
        if case in self.annotated:
            labels = read_labels(self.annotated[case], photograph.shape[:2], self.spec.data())
        classes, visible = self.spec.classes, field_of_view(photograph)
        landmarks = find_landmarks(measured, visible, classes=classes, detected=detections.masks)
        disc = None if landmarks.disc is None else landmarks.disc.diameter
        warnings = photograph_warnings(measured, segmented.scale, self.spec, disc=disc)
        self._check(path, warnings)
        spreads = spread_in(detections.masks, segmented.spread)
        features = lesion_features(classes, detections, landmarks=landmarks, spreads=spreads)
        sureness = assess(segmented, detections, classes=classes, features=features, visible=visible)
        write_pictures(
            self.spec,
            case,
            photograph,
            detected=detections.masks,
            entries=legend(classes, operating_point, features),
            notes=warnings,
            output=self.output,
            masks=None if labels is None else labels.masks,
            known=None if labels is None else labels.known,
        )
        remove_other_maps(self.output, case, classes=self.spec.classes, forms=origin.map_forms)
        write_maps(self.output, case, segmented.map, classes=self.spec.classes, forms=self.map_forms)
        write_spread(self.output, case, segmented.spread, classes=classes)
        row = summarize(
            classes,
            case,
            path,
            quality=measured.quality,
            scale=segmented.scale,
            warnings=warnings,
            visible=visible,
            detections=detections,
            features=features,
        )
        own = {
            "schema_version": SCHEMA_VERSION,
            "origin": dataclasses.asdict(origin),
            "segment_seconds": round(segmented.seconds, 3),
            "row": row if sureness is None else row | sureness.columns,
        }
        if sureness is not None:
            own[TILES] = sureness.tiles
        record = {"type": "FeatureCollection", "features": features, OWN: own}
        write_text(self._record(case), json.dumps(record, separators=(",", ":")) + "\n")

    def write_tables(self) -> list[dict[str, Any]]:
        """Writes the tables of all photographs in the folder, and returns the rows of `predictions.csv`."""
        reviewed: list[Reviewed] = []

        def rows_and_features() -> Iterator[tuple[dict[str, Any], list[dict]]]:
            for path in self._records():
                record = read_record(path)
                own = record[OWN]
                if TILES in own:
                    reviewed.append(Reviewed(own["row"], own[TILES]))
                yield own["row"], record["features"]

        with_spread = self._with_spread or self.uncertainty is not None
        rows = write_tables(self.output, self.spec.classes, rows_and_features(), with_spread=with_spread)
        if with_spread:
            write_review(self.output, reviewed)
        else:
            (self.output / REVIEW).unlink(missing_ok=True)
        return rows

    def _check(self, path: Path, warnings: Sequence[str]) -> None:
        if self.strict:
            refuse_unsuitable(str(path), warnings)

    def _records(self) -> Iterable[Path]:
        return sorted((self.output / "geojson").glob("[!.]*.geojson"))

    def _record(self, case: str) -> Path:
        return self.output / "geojson" / f"{case}.geojson"

    def _origin(self, case: str, path: Path) -> Origin:
        return Origin(
            file=str(path.absolute()),
            sha256=sha256_of(path),
            model=self.model,
            truth=case_digests(self.annotated[case])[1] if case in self.annotated else None,
            map_forms=self.map_forms,
            **limits_of(self.spec.classes, self.operating_point),
            scale=self.camera.scale,
            degrees=self.camera.degrees,
            uncertainty=self.uncertainty,
        )

    def _refuse_others(self, origins: Mapping[str, Origin], *, overwrite: bool) -> None:
        """Refuses to mix models, operating points or spreads, as the tables would not tell which row is of which."""
        limits = limits_of(self.spec.classes, self.operating_point)
        of_model = [case for case, origin in origins.items() if origin.model != self.model]
        elsewhere = [case for case, origin in origins.items() if origin.limits != limits]
        of_spread = [
            case
            for case, origin in origins.items()
            if self.uncertainty is not None and origin.uncertainty not in (None, self.uncertainty)
        ]
        if not (others := of_model or elsewhere or of_spread):
            return
        what = (
            "of another model"
            if of_model
            else f"at another operating point ({flags_of(origins[others[0]], self.spec)})"
            if elsewhere
            else f"with --uncertainty={origins[others[0]].uncertainty}"
        )
        advice = "pass these photographs as well" if overwrite else "add --overwrite"
        raise InputError(
            f"--output={self.output}: contains predictions {what} for {len(others)} photographs, such as {others[0]}; "
            f"{advice}, or choose another folder."
        )

    def _with_kept_maps(self, case: str, origin: Origin) -> Origin:
        """Returns the origin with the forms of probability maps that an earlier run wrote for the same input."""
        before = self._before.get(case)
        if before is None or any(
            getattr(before, name) != getattr(origin, name) for name in ("sha256", "model", "scale", "degrees")
        ):
            return origin
        return dataclasses.replace(origin, map_forms=forms_beside(origin.map_forms, before.map_forms))

    def _finished(self, case: str, path: Path, before: Origin | None) -> bool:
        """Returns whether all files of a photograph that this run wants exist and were computed from the same input."""
        if before is None:
            return False
        try:
            now = self._origin(case, path)
        except OSError:
            return False  # `read` reports it
        if now.sha256 != before.sha256:
            if now.file != before.file:
                raise InputError(
                    f"{path}: {self.output} contains predictions of another photograph of this name, {before.file}; "
                    "choose another --output, or add --overwrite."
                )
            return False
        files = output_files(case, self.spec.classes) + map_files(case, self.spec.classes, self.map_forms)
        files += spread_files(case, self.spec.classes) if self.uncertainty else []
        return (
            (now.scale, now.degrees) == (before.scale, before.degrees)
            and now.truth in (None, before.truth)
            and now.uncertainty in (None, before.uncertainty)
            and set(now.map_forms) <= set(before.map_forms)
            and all((self.output / file).is_file() for file in files)
        )


def _say_earlier(output: Path, *, again: int, kept: int, say: Callable[[str], None]) -> None:
    """Says what becomes of records of an earlier version."""
    earlier = f"predicted in {output} by an earlier version, without the places of lesions"
    if again:
        say(f"{again} photographs were {earlier}; they are predicted again.")
    if kept:
        say(f"{kept} photographs were {earlier}, and are not given now; their new columns stay empty.")
