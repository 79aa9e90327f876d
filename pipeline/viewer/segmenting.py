"""Segments the photographs of the page in the background, one after the other, the one that is looked at first."""

import dataclasses
import threading

import numpy as np

from configs import InputError
from pipeline.inference import NAN_MESSAGE, MeasuredPhotograph, Segmented, photograph_warnings
from pipeline.operating_point import OperatingPoint
from pipeline.prediction import SegmenterPool, detect, find_landmarks
from pipeline.viewer.ending import Ending
from pipeline.viewer.library import Facts, Library, Viewed
from pipeline.viewer.maps import MapStore, expected_wrong, probability_map
from pipeline.viewer.model import CurrentModel, ViewedModel
from records import field_of_view, find_regions, photograph_degrees, read_photograph


class Segmenting:
    """The thread that holds the model."""

    def __init__(
        self,
        library: Library,
        maps: MapStore,
        model: CurrentModel,
        *,
        max_pixels: int,
        ending: Ending,
    ):
        """Describes the work; `start` begins it.

        Args:
          library: the photographs.
          maps: where their maps go.
          model: the model, which is loaded in the thread, so that the page need not wait for it.
          max_pixels: photographs with more pixels are refused.
          ending: is asked for if the model cannot be loaded or used.
        """
        self._library, self._maps, self._model = library, maps, model
        self._max_pixels, self._ending = max_pixels, ending
        self._thread = threading.Thread(target=self._run, name="segmenting", daemon=True)
        self._loaded: ViewedModel | None = None
        self.error: BaseException | None = None

    @property
    def loaded(self) -> bool:
        """Whether the model of the page is loaded."""
        return self._loaded is self._model.now

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self) -> None:
        """Waits until the photograph that is being segmented is done; close the library first."""
        self._thread.join()

    def _run(self) -> None:
        try:
            pool = self._load()
            while (case := self._library.take()) is not None:
                if not self.loaded:
                    pool = self._load()
                self._segment(pool, case)
        except BaseException as error:  # noqa: BLE001 (the main thread, which waits, raises it)
            self.error = error
            self._ending.now()

    def _load(self) -> SegmenterPool:
        model = self._model.now
        pool = model.load()
        pool.warm_up()
        self._loaded = model
        return pool

    def _segment(self, pool: SegmenterPool, case: Viewed) -> None:
        try:
            photograph = read_photograph(case.path, max_pixels=self._max_pixels)
            measured = pool.measure(photograph, photograph_degrees(case.path))
            center = _center(measured)
            segmented = pool.segment(measured)
            if np.isnan(segmented.scaled).any():
                raise InputError(NAN_MESSAGE)
            levels = self._maps.write(case.number, segmented)
        except (InputError, OSError) as error:
            self._library.finish(case, state="failed", message=str(error))
            return
        facts = self._facts(pool, measured, segmented, center=center)
        if self._library.finish(case, state="ready", facts=facts):  # first of all, as somebody may be waiting
            self._count(pool, case, measured, facts=facts, segmented=segmented, levels=levels)
        if self._library.get(case.number) is None:  # it was removed in the meantime
            self._maps.remove(case.number)

    def _facts(
        self,
        pool: SegmenterPool,
        measured: MeasuredPhotograph,
        segmented: Segmented,
        *,
        center: tuple[float, float] | None,
    ) -> Facts:
        factor, (rows, columns) = segmented.scale.factor, segmented.scaled.shape[:2]
        return Facts(
            measured.pixels.shape[:2],
            (rows, columns),
            factor,
            center,
            self._point.of_photograph(factor).least_areas,
            tuple(photograph_warnings(measured, segmented.scale, pool.spec)),
        )

    def _count(
        self,
        pool: SegmenterPool,
        case: Viewed,
        measured: MeasuredPhotograph,
        *,
        facts: Facts,
        segmented: Segmented,
        levels: np.ndarray,
    ) -> None:
        """Counts detections and expected wrong pixels, as the page sorts by them, and looks at the disc."""
        size, classes = measured.pixels.shape[:2], pool.spec.classes
        point = self._point.of_photograph(segmented.scale.factor)
        masks = detect(probability_map(levels, size), point).masks
        lesions = tuple(len(find_regions(masks[..., index]).area) for index in range(len(classes)))
        disc = find_landmarks(measured, np.zeros(size, bool), classes=classes, detected=masks).disc
        diameter = None if disc is None else disc.diameter
        warnings = tuple(photograph_warnings(measured, segmented.scale, pool.spec, disc=diameter))
        wrong = round(expected_wrong(levels, size, point.thresholds))
        self._library.finish(case, facts=dataclasses.replace(facts, warnings=warnings), lesions=lesions, wrong=wrong)

    @property
    def _point(self) -> OperatingPoint:
        """What the model that is loaded counts as a detection."""
        assert self._loaded is not None
        return self._loaded.operating_point


def _center(measured: MeasuredPhotograph) -> tuple[float, float] | None:
    """Returns the centre of a photograph's field of view, which takes no detection to find."""
    visible = field_of_view(measured.pixels)
    return find_landmarks(measured, visible, classes=(), detected=np.empty((*visible.shape, 0), bool)).center
