"""What the page asks for, and the answers: one function per address, which `serving` calls after its checks."""

import gzip
import json
import time
import zlib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from werkzeug.exceptions import BadRequest, NotFound, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import FileWrapper

from pipeline.inference import SegmenterSpec
from pipeline.operating_point import OperatingPoint
from pipeline.prediction import detect
from pipeline.viewer.corrections import ConflictError, Corrections, Drawn, Sidecar
from pipeline.viewer.library import Facts, Library, Viewed
from pipeline.viewer.maps import FAST, MapStore, probability_map
from pipeline.viewer.model import CurrentModel
from pipeline.viewer.pictures import MOST_SHOWN, TILE_SIDE, Pictures
from pipeline.viewer.takeaway import PARTS, TakeAway
from pipeline.viewer.training import Training
from pipeline.viewer.uploads import Uploads
from pipeline.viewer.windows import Windows
from records import CLASS_COLORS, pack_classes

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC = {path.name: path for path in Path(str(resources.files("pipeline.viewer") / "static")).iterdir()}
LABELS_HEADER = "X-Labels"
PATIENCE = 2.0  # seconds for which a question for news waits until there are some


class Answers:
    """Answers requests that have passed all checks."""

    def __init__(
        self,
        library: Library,
        *,
        model: CurrentModel,
        maps: MapStore,
        pictures: Pictures,
        uploads: Uploads,
        corrections: Corrections | None,
        training: Training,
        user: str,
        with_spread: bool,
        is_loaded: Callable[[], bool],
    ):
        """Brings together what answers are made of.

        Args:
          library: the photographs.
          model: the model.
          maps: the maps.
          pictures: makes JPEG files of photographs.
          uploads: where dropped photographs go.
          corrections: where corrections go; None: nothing can be corrected.
          training: trains on what was corrected.
          user: who corrects, unless the page says otherwise.
          with_spread: whether maps have a spread.
          is_loaded: returns whether the model is loaded.
        """
        self._library, self._model, self._maps, self._training = library, model, maps, training
        self._pictures, self._uploads, self._corrections = pictures, uploads, corrections
        self._user, self._with_spread, self._is_loaded = user, with_spread, is_loaded
        self._windows = Windows()

    @property
    def _spec(self) -> SegmenterSpec:
        return self._model.now.spec

    def static(self, request: Request, name: str = "index.html") -> Response:
        """Returns a file of the page."""
        if (path := STATIC.get(name)) is None:
            raise NotFound
        return Response(path.read_bytes(), mimetype=TYPES[path.suffix])

    def session(self, request: Request) -> Response:
        """Returns what holds for all photographs."""
        return _json(
            {
                "classes": self._spec.classes,
                "colors": ["#{:02x}{:02x}{:02x}".format(*CLASS_COLORS[bit]) for bit in range(len(self._spec.classes))],
                "thresholds": self._model.now.operating_point.thresholds,
                "most_shown": MOST_SHOWN,
                "tile_side": TILE_SIDE,
                "model": self._model.number,
                "folders": [str(folder) for folder in self._model.now.folders],
                "spread": self._with_spread,
                "output": None if self._corrections is None else str(self._corrections.output),
                "user": self._user,
            }
        )

    def news(self, request: Request) -> Response:
        """Returns what has changed since the page asked last, at once or when it does; notes what its window shows."""
        shown = request.args.get("shown", type=int)
        if shown is not None:
            self._library.want(shown)
        others = self._windows.note(request.args.get("window", ""), shown, now=time.monotonic())
        news = self._library.news(_integer(request, "since"), patience=PATIENCE)
        told = {"loaded": self._is_loaded(), "others": others, "model": self._model.number}
        return _json({**news, **told, "training": self._training.brief()})

    def upload(self, request: Request) -> Response:
        """Stores a dropped photograph and queues it."""
        name, path = self._uploads.receive(request.stream, request.args.get("name", ""), self._spec.classes)
        case = self._library.add(name, path, uploaded=True)
        self._library.want(case.number)
        return _json(case.for_page(), status=201)

    def remove(self, request: Request, number: int) -> Response:
        """Removes a dropped photograph, and everything that was made of it but saved corrections."""
        if (case := self._library.remove(number)) is None:
            raise NotFound("Only photographs that were dropped here can be removed.")
        case.path.unlink(missing_ok=True)
        self._maps.remove(number)
        self._pictures.remove(number)
        return Response(status=204)

    def thumbnail(self, request: Request, number: int) -> Response:
        """Returns the thumbnail of a photograph."""
        return Response(self._pictures.thumbnail(self._case(number)).read_bytes(), mimetype="image/jpeg")

    def photograph(self, request: Request, number: int) -> Response:
        """Returns a photograph as a JPEG file."""
        return Response(self._pictures.shown(self._case(number)), mimetype="image/jpeg")

    def tile(self, request: Request, *, number: int, row: int, column: int) -> Response:
        """Returns a tile of a large photograph at full resolution as a JPEG file."""
        if (path := self._pictures.tile(self._case(number), row, column)) is None:
            raise NotFound
        return Response(path.read_bytes(), mimetype="image/jpeg")

    def map(self, request: Request, number: int) -> Response:
        """Returns the map of a photograph, uint8 `[C, h, w]`, and its spread."""
        self._facts(number)
        file = open(self._maps.path(number), "rb")  # noqa: SIM115 (the answer closes it)
        wrapped = FileWrapper(file)
        return Response(wrapped, mimetype="application/octet-stream", headers={"Content-Encoding": "gzip"})

    def labels(self, request: Request, number: int) -> Response:
        """Returns saved labels, or else the detections at the page's operating point, to be corrected.

        The body is uint8 `[2, H, W]`: bits of lesions, and of what is ignored.
        """
        case, facts = self._case(number), self._facts(number)
        corrections = self._writable()
        corrections.refuse_another(case)
        drawn = corrections.read(case.name, facts.size)
        sidecar = corrections.sidecar(case.name)
        if drawn is None:
            levels = self._maps.read(number, facts.map_size, len(self._spec.classes))
            masks = detect(probability_map(levels, facts.size), self._operating_point(request, facts)).masks
            labels = Drawn(pack_classes(masks), np.zeros(facts.size, np.uint8), ())
        else:
            labels = drawn
        body = labels.lesion.tobytes() + labels.ignored.tobytes()
        told = {**_told(sidecar), "complete": labels.complete, "there": drawn is not None}
        headers = {"Content-Encoding": "gzip", LABELS_HEADER: json.dumps(told)}
        return Response(gzip.compress(body, FAST), mimetype="application/octet-stream", headers=headers)

    def save(self, request: Request, number: int) -> Response:
        """Saves labels that `labels` returned and the page has changed; the header says the rest."""
        case, facts = self._case(number), self._facts(number)
        told = _labels_header(request)
        body = _unpacked(request, 2 * facts.size[0] * facts.size[1])
        lesion, ignored = np.frombuffer(body, np.uint8).reshape(2, *facts.size)
        classes = self._spec.classes
        complete = told["complete"]
        if int((lesion | ignored).max()) >> len(classes) or not set(complete) <= set(classes):
            raise BadRequest(f"Expected labels of the classes {', '.join(classes)}.")
        try:
            sidecar = self._writable().save(
                case,
                Drawn(lesion, ignored, tuple(one for one in classes if one in complete)),
                revision=told["revision"],
                by=told["by"],
                levels=self._maps.read(number, facts.map_size, len(classes)),
                started_from={"thresholds": told["thresholds"], "min_area": told["areas"]},
            )
        except ConflictError as error:
            return _json(_told(error.args[0]), status=409)
        self._library.update(number, corrected=True)
        return _json(_told(sidecar))

    def take_away(self, request: Request) -> Response:
        """Returns a ZIP file of results: of one photograph, or of every photograph that has been segmented."""
        parts = [part for part in request.args.get("parts", "").split(",") if part]
        if not parts or not set(parts) <= PARTS.keys():
            raise BadRequest(f"parts: expected some of {', '.join(PARTS)}.")
        number = request.args.get("case", type=int)
        chosen = self._library.all() if number is None else [self._case(number)]
        cases = [case for case in chosen if case.facts is not None]
        if not cases:
            raise NotFound("No photograph is segmented yet.")
        self._operating_point(request, cases[0].facts)  # type: ignore[arg-type]
        take_away = TakeAway(self._spec, self._maps, self._saved, max_pixels=self._spec.max_pixels)
        pieces = take_away.zipped(cases, parts, lambda facts: self._operating_point(request, facts))
        name = "fundus_tiles.zip" if number is None else f"{_ascii(cases[0].name)}.zip"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(pieces, mimetype="application/zip", headers=headers)

    def training(self, request: Request) -> Response:
        """Returns how far the training on corrected photographs is, or why none can begin."""
        return _json(self._training.whole())

    def train(self, request: Request) -> Response:
        """Begins a training, or continues the one that was stopped."""
        told = _json_body(request)
        if told.get("continue") is True:
            self._training.go_on()
        elif isinstance(minutes := told.get("minutes"), (int, float)):
            self._training.start(minutes)
        else:
            raise BadRequest("Expected JSON with minutes, or with continue.")
        return _json(self._training.whole(), status=202)

    def stop_training(self, request: Request) -> Response:
        """Asks the training to save its work and to end."""
        self._training.stop()
        return Response(status=202)

    def use_model(self, request: Request) -> Response:
        """Exchanges the model of the page for the one that was trained, or for the one that the training began with."""
        which = _json_body(request).get("model")
        if which not in ("new", "first"):
            raise BadRequest('model: expected "new" or "first".')
        model = self._training.trained_model() if which == "new" else self._training.first_model()
        self._model.exchange(model)
        if self._corrections is not None:
            self._corrections.model = model.fingerprint
        self._library.restart()
        return self.session(request)

    def _case(self, number: int) -> Viewed:
        if (case := self._library.get(number)) is None:
            raise NotFound("There is no such photograph.")
        return case

    def _facts(self, number: int) -> Facts:
        if (facts := self._case(number).facts) is None:
            raise NotFound("This photograph is not segmented yet.")
        return facts

    def _writable(self) -> Corrections:
        if self._corrections is None:
            raise BadRequest("Start the command with --output=FOLDER to correct.")
        return self._corrections

    def _saved(self, case: Viewed) -> Drawn | None:
        """Returns what a person has saved of a photograph; None if nobody has."""
        assert case.facts is not None
        if self._corrections is None or not self._corrections.is_corrected(case):
            return None
        return self._corrections.read(case.name, case.facts.size)

    def _operating_point(self, request: Request, facts: Facts) -> OperatingPoint:
        """Returns what counts as a detection by the page's sliders; an area that is not given is the model's."""
        count = len(self._spec.classes)
        thresholds = request.args.get("thresholds", "").split(",")
        areas = request.args.get("areas", "").split(",")
        try:
            point = OperatingPoint(
                tuple(float(one) for one in thresholds),
                tuple(int(one) if one else known for one, known in zip(areas, facts.areas, strict=True)),
            )
            if len(thresholds) == count and all(0 < one < 1 for one in point.thresholds) and min(point.min_area) > 0:
                return point
        except ValueError:
            pass
        raise BadRequest(f"thresholds, areas: expected {count} numbers each, between 0 and 1, and from 1 on.")


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status=status, mimetype="application/json")


def _json_body(request: Request) -> dict[str, Any]:
    if isinstance(told := request.get_json(force=True), dict):
        return told
    raise BadRequest("Expected a JSON object.")


def _integer(request: Request, name: str) -> int:
    value = request.args.get(name, type=int)
    if value is None:
        raise BadRequest(f"{name}: expected a whole number.")
    return value


def _told(sidecar: Sidecar) -> dict[str, Any]:
    return {"revision": sidecar.revision, "by": sidecar.by, "saved": sidecar.saved}


def _labels_header(request: Request) -> Mapping[str, Any]:
    """Returns what the page says of the labels that it saves."""
    expected = {"revision": int, "by": str, "complete": list, "thresholds": list, "areas": list}
    try:
        told = json.loads(request.headers.get(LABELS_HEADER, ""))
        if all(isinstance(told[name], kind) for name, kind in expected.items()):
            return told
    except (ValueError, KeyError, TypeError):
        pass
    raise BadRequest(f"{LABELS_HEADER}: expected JSON with {', '.join(expected)}.")


def _unpacked(request: Request, size: int) -> bytes:
    """Returns the body of a request, gzip of `size` bytes; never unpacks more, whatever it holds."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        body = unpacking.decompress(request.get_data(cache=False), size + 1)
    except zlib.error as error:
        raise BadRequest("The body is not gzip.") from error
    if len(body) > size:
        raise RequestEntityTooLarge(f"Expected {size} bytes, unpacked.")
    if len(body) < size:
        raise BadRequest(f"Expected {size} bytes, unpacked; received {len(body)}.")
    return body


def _ascii(name: str) -> str:
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in name)
