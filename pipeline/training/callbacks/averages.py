"""Validation with moving averages of the weights."""

import keras

from pipeline.training.backends import WeightAverages


class AveragedWeights(keras.callbacks.Callback):
    """Puts the moving averages in place of the weights while an epoch is validated, previewed and saved as the best."""

    def __init__(self, averages: WeightAverages):
        super().__init__()
        self.averages = averages
        self._in_place = False

    def on_test_begin(self, logs=None):
        """Puts the averages in place before the validation."""
        self._set(averages_in_place=True)

    def on_epoch_end(self, epoch, logs=None):
        """Puts the averages in place if there was no validation."""
        self._set(averages_in_place=True)

    def put_weights_back(self) -> None:
        """Puts the trained weights back, if the averages are in their place."""
        self._set(averages_in_place=False)

    def _set(self, *, averages_in_place: bool) -> None:
        if self._in_place != averages_in_place:
            self.averages.swap()
            self._in_place = averages_in_place
