"""Previews: chosen validation photographs with the ground truth and the prediction after each epoch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from configs import InputError
from pipeline.input import RecordSet, TileReader
from pipeline.training.callbacks.preview_sheets import (
    PreviewCase,
    Side,
    evenly_spaced,
    preview_sheet,
    preview_strip,
    views_of,
)
from pipeline.unlabelled import unlabelled_notes, unlabelled_regions
from records import make_folder, write_png

HALF = 0.5  # from which probability on a soft label is drawn as lesion


class Previews(keras.callbacks.Callback):
    """Draws `NAME/epoch_003.png` after each epoch, and a strip of all epochs, `NAME.png`, at the end of the training.

    The ground truth is on the left, the prediction on the right, each class in its colour. A photograph that had to be
    shrunk has a close-up below, at about its own resolution, of the place with the most lesion pixels: small lesions
    are hard to see in a shrunk photograph.
    """

    def __init__(
        self,
        folder: Path,
        cases: Sequence[PreviewCase],
        segment: Callable[[np.ndarray], np.ndarray],
        *,
        classes: Sequence[str],
        thresholds: Sequence[float],
    ):
        """Initializes the callback.

        Args:
          folder: where the files are written.
          cases: what is drawn; their names must differ.
          segment: maps uint8 RGB `[H, W, 3]` to a probability map, float32 0..1 `[H, W, C]`, by the current weights.
          classes: names of the C classes.
          thresholds: for each class the probability from which on a pixel is drawn as lesion.
        """
        super().__init__()
        self.folder, self.segment = folder, segment
        self.cases = [(case, views_of(case)) for case in cases]
        self.notes = {
            case.name: [f"ground truth: {note}" for note in unlabelled_notes(case.known, classes)] for case in cases
        }
        self.thresholds = np.array(thresholds, np.float32)
        self.legend = [f"{name} from {threshold:.3g}" for name, threshold in zip(classes, thresholds, strict=True)]
        self._last = 0

    def on_epoch_end(self, epoch, logs=None):
        """Draws all cases."""
        self._last = epoch + 1
        for case, views in self.cases:
            predicted = self.segment(case.photograph) >= self.thresholds
            truth = Side("ground truth", case.masks, unlabelled_regions(case.known))
            sides = [truth, Side(f"prediction after epoch {self._last}", predicted)]
            sheet = preview_sheet(case, views, sides, legend=self.legend, notes=self.notes[case.name])
            folder = make_folder(self.folder / case.name, flag="--workdir")
            write_png(folder / epoch_file(self._last), sheet)

    def on_train_end(self, logs=None):
        """Draws the strips."""
        for case, views in self.cases:
            files = {epoch: self.folder / case.name / epoch_file(epoch) for epoch in range(1, self._last + 1)}
            sheets = {epoch: file for epoch, file in files.items() if file.exists()}
            strip = preview_strip(sheets, views, legend=self.legend, notes=self.notes[case.name])
            write_png(self.folder / f"{case.name}.png", strip)


def choose_previews(lesion_pixels: Mapping[str, int], number: int, wanted: Sequence[str]) -> list[str]:
    """Chooses the validation photographs that are drawn.

    Args:
      lesion_pixels: number of lesion pixels of each validation photograph, all classes together.
      number: how many photographs to choose, if none are wanted.
      wanted: names of photographs; if empty, they are evenly spaced from few lesion pixels to many.

    Raises:
      InputError: a wanted photograph is not in validation.
    """
    unknown = [name for name in wanted if name not in lesion_pixels]
    if unknown:
        raise InputError(
            f"train.preview_cases has {', '.join(unknown)}, but the validation photographs of these records are "
            f"{', '.join(sorted(lesion_pixels))}; choose from these."
        )
    return list(wanted) or evenly_spaced(sorted(lesion_pixels, key=lambda name: (lesion_pixels[name], name)), number)


def preview_tiles(sets: Sequence[RecordSet], names: Sequence[str]) -> list[PreviewCase]:
    """Reads for each of these validation photographs its tile with the most lesion pixels; all must have tiles."""
    reader = TileReader(sets, "validation")
    fullest: dict[str, tuple[int, int]] = {}  # lesion pixels and number of a tile
    number = 0
    for one in sets:
        for name in one.cases("validation"):
            for place in one.index.cases[name].places:
                if name not in fullest or place.lesion_pixels > fullest[name][0]:
                    fullest[name] = (place.lesion_pixels, number)
                number += 1
    tiles = {name: reader.tile(tf.constant(fullest[name][1], tf.int64)) for name in names}
    return [
        PreviewCase(
            name,
            image.numpy(),
            masks=labels[..., : reader.form.classes].numpy() >= HALF,
            known=labels[..., reader.form.classes :].numpy() > 0 if reader.form.partly_known else None,
        )
        for name, (image, labels) in tiles.items()
    ]


def epoch_file(epoch: int) -> str:
    """Returns the file name of an epoch, counted from 1."""
    return f"epoch_{epoch:03d}.png"
