"""Segments the photographs of the page in the background, one after the other, the one that is looked at first."""

import dataclasses
import threading
from collections.abc import Callable

import numpy as np

from configs import InputError
from pipeline.inference import NAN_MESSAGE, MeasuredPhotograph, Segmented, photograph_warnings
from pipeline.operating_point import OperatingPoint
from pipeline.prediction import SegmenterPool, detect, find_landmarks
from pipeline.viewer.ending import Ending
from pipeline.viewer.library import Facts, Library, Viewed
from pipeline.viewer.maps import MapStore, expected_wrong, probability_map
from records import field_of_view, find_regions, photograph_degrees, read_photograph


class Segmenting:
    """The thread that holds the model."""

    def __init__(
        self,
        library: Library,
        maps: MapStore,
        load: Callable[[], SegmenterPool],
        *,
        operating_point: OperatingPoint,
        max_pixels: int,
        ending: Ending,
    ):
        """Describes the work; `start` begins it.

        Args:
          library: the photographs.
          maps: where their maps go.
          load: loads the model, in the thread, so that the page need not wait for it.
          operating_point: what counts as a detection until the page says otherwise.
          max_pixels: photographs with more pixels are refused.
          ending: is asked for if the model cannot be loaded or used.
        """
        self._library, self._maps, self._load = library, maps, load
        self._operating_point, self._max_pixels = operating_point, max_pixels
        self._ending = ending
        self._thread = threading.Thread(target=self._run, name="segmenting", daemon=True)
        self.loaded = False
        self.error: BaseException | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self) -> None:
        """Waits until the photograph that is being segmented is done; close the library first."""
        self._thread.join()

    def _run(self) -> None:
        try:
            pool = self._load()
            pool.warm_up()
            self.loaded = True
            while (case := self._library.take()) is not None:
                self._segment(pool, case)
        except BaseException as error:  # noqa: BLE001 (the main thread, which waits, raises it)
            self.error = error
            self._ending.now()

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
            self._library.update(case.number, state="failed", message=str(error))
            return
        facts = self._facts(pool, measured, segmented, center=center)
        self._library.update(case.number, state="ready", facts=facts)  # first of all, as somebody may be waiting
        self._count(pool, case, measured, segmented=segmented, levels=levels)
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
            self._operating_point.of_photograph(factor).least_areas,
            tuple(photograph_warnings(measured, segmented.scale, pool.spec)),
        )

    def _count(
        self,
        pool: SegmenterPool,
        case: Viewed,
        measured: MeasuredPhotograph,
        *,
        segmented: Segmented,
        levels: np.ndarray,
    ) -> None:
        """Counts detections and expected wrong pixels, as the page sorts by them, and looks at the disc."""
        size, classes = measured.pixels.shape[:2], pool.spec.classes
        point = self._operating_point.of_photograph(segmented.scale.factor)
        masks = detect(probability_map(levels, size), point).masks
        lesions = tuple(len(find_regions(masks[..., index]).area) for index in range(len(classes)))
        disc = find_landmarks(measured, np.zeros(size, bool), classes=classes, detected=masks).disc
        diameter = None if disc is None else disc.diameter
        warnings = tuple(photograph_warnings(measured, segmented.scale, pool.spec, disc=diameter))
        now = self._library.get(case.number)
        if now is not None and now.facts is not None:
            facts = dataclasses.replace(now.facts, warnings=warnings)
            wrong = round(expected_wrong(levels, size, point.thresholds))
            self._library.update(case.number, facts=facts, lesions=lesions, wrong=wrong)


def _center(measured: MeasuredPhotograph) -> tuple[float, float] | None:
    """Returns the centre of a photograph's field of view, which takes no detection to find."""
    visible = field_of_view(measured.pixels)
    return find_landmarks(measured, visible, classes=(), detected=np.empty((*visible.shape, 0), bool)).center
