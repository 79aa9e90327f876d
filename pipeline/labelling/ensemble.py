"""One or several models that label photographs together, each of which scales them by its own rule."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import numpy as np

from configs import InputError
from pipeline.inference import (
    MeasuredPhotograph,
    Segmented,
    SegmenterSpec,
    TiledSegmenter,
    fingerprint_of,
    load_segmenter,
    photograph_warnings,
    spec_of,
)
from pipeline.labelling.averaging import averaged_strips
from pipeline.prediction import SegmenterPool, segment_in_order
from records import Camera, LabelledBy, SeenPhotographs


class MeasuredByAll(NamedTuple):
    """A photograph as each model measured it."""

    by_model: tuple[MeasuredPhotograph, ...]

    @property
    def pixels(self) -> np.ndarray:
        """The photograph, uint8 RGB `[H, W, 3]`."""
        return self.by_model[0].pixels


class SegmentedByAll(NamedTuple):
    """A photograph as each model segmented it."""

    by_model: tuple[Segmented, ...]

    @property
    def seconds(self) -> float:
        """Time that it took."""
        return sum(one.seconds for one in self.by_model)


@dataclasses.dataclass(frozen=True)
class LabellingModel:
    """A model of an ensemble.

    Attributes:
      folder: its model folder.
      fingerprint: fingerprint of the folder and of the classes taken from it.
      pool: its segmenters, one per device.
    """

    folder: Path
    fingerprint: str
    pool: SegmenterPool

    @property
    def spec(self) -> SegmenterSpec:
        """The spec of its segmenters, which have the classes taken from it."""
        return self.pool.spec


class Ensemble:
    """Models whose probability maps are averaged, for each class over the models that have it."""

    def __init__(self, models: Sequence[LabellingModel], classes: tuple[str, ...], *, devices: int):
        """Creates the ensemble.

        Args:
          models: the models.
          classes: the classes that are labelled, each of which a model has.
          devices: number of devices of each model's pool.
        """
        self.models, self.classes = tuple(models), classes
        self._devices = devices
        self._places = [[classes.index(name) for name in model.spec.classes] for model in models]

    @property
    def max_pixels(self) -> int:
        """Photographs with more pixels are refused."""
        return min(model.spec.max_pixels for model in self.models)

    @property
    def labelled_by(self) -> LabelledBy:
        """The models, and what they have seen."""
        seen, chosen_on = SeenPhotographs(), SeenPhotographs()
        for model in self.models:
            seen, chosen_on = seen + model.spec.seen, chosen_on + model.spec.chosen_on
        return LabelledBy(tuple(model.fingerprint for model in self.models), seen, chosen_on)

    def warm_up(self) -> None:
        """Traces every segmenter and runs it once."""
        for model in self.models:
            model.pool.warm_up()

    def measure(self, photograph: np.ndarray, degrees: float | None = None) -> MeasuredByAll:
        """Measures a photograph, uint8 RGB `[H, W, 3]`, of an angle of view that its file may say."""
        return MeasuredByAll(tuple(model.pool.measure(photograph, degrees) for model in self.models))

    def segment(self, photograph: MeasuredByAll) -> SegmentedByAll:
        """Segments a photograph by one model after the other; raises InputError if memory is too small."""
        pairs = zip(self.models, photograph.by_model, strict=True)
        return SegmentedByAll(tuple(model.pool.segment(measured) for model, measured in pairs))

    def segment_all(
        self, photographs: Iterable[tuple[str, MeasuredByAll] | None]
    ) -> Iterator[tuple[str, MeasuredByAll, Future[SegmentedByAll]] | None]:
        """Segments photographs, as many at once as there are devices, as `SegmenterPool.segment_all` does."""
        return segment_in_order(photographs, self.segment, devices=self._devices)

    def strips(self, segmented: SegmentedByAll) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the mean probability map in strips: the number of the first row, and float32 `[rows, W, C]`."""
        return averaged_strips([one.map for one in segmented.by_model], self._places)

    def warnings(self, photograph: MeasuredByAll, segmented: SegmentedByAll | None = None) -> list[str]:
        """Returns what does not suit a model about a photograph, each line once."""
        lines: list[str] = []
        for number, (model, measured) in enumerate(zip(self.models, photograph.by_model, strict=True)):
            scale = measured.scale if segmented is None else segmented.by_model[number].scale
            lines += photograph_warnings(measured, scale, model.spec)
        return list(dict.fromkeys(lines))


def load_ensemble(
    folders: Sequence[Path],
    devices: Sequence[str],
    *,
    classes: Sequence[str] | None,
    camera: Camera,
    max_pixels: int | None,
    say: Callable[[str], None],
) -> Ensemble:
    """Loads models that label photographs together.

    Args:
      folders: at least one model folder.
      devices: names of the devices, see `pipeline.prediction.all_devices`.
      classes: the classes to label; None: every class that at least one of the models has.
      camera: what the user knows about the camera of the photographs.
      max_pixels: largest number of pixels of a photograph; None: as the model folders say.
      say: function that receives a message when memory runs out.

    Raises:
      InputError: a folder is no model folder, or is named twice, or has none of the classes; no model has one of the
        classes; or the camera does not fit a model.
    """
    specs = {folder: spec_of(folder) for folder in folders}
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"--model={','.join(map(str, folders))}: names a model twice.")
    known = tuple(dict.fromkeys(name for spec in specs.values() for name in spec.classes))
    chosen = known if classes is None else tuple(classes)
    for name in chosen:
        if name not in known or chosen.count(name) > 1:
            raise InputError(
                f"--classes={','.join(chosen)}: the models have the classes {', '.join(known)}; name some of them, "
                "each once."
            )
    models = []
    for folder, spec in specs.items():
        taken = [name for name in chosen if name in spec.classes]
        if not taken:
            raise InputError(f"--model={folder}: has none of the classes {', '.join(chosen)}; leave it out.")

        def load(folder: Path = folder, taken: list[str] = taken) -> TiledSegmenter:
            return load_segmenter(folder, classes=taken, camera=camera, max_pixels=max_pixels)

        models.append(LabellingModel(folder, fingerprint_of(folder, taken), SegmenterPool(load, devices, say=say)))
    return Ensemble(models, chosen, devices=len(devices))
