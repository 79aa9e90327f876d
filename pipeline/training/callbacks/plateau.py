"""Callbacks that react when the monitored quantity no longer improves: those of Keras, made resumable."""

import keras


class _Resumable(keras.callbacks.Callback):
    """Makes a plateau callback of Keras resumable, and lets it ignore epochs without the monitored quantity."""

    def on_epoch_end(self, epoch, logs=None):
        """Counts the epoch if it has the monitored quantity."""
        if self.monitor in logs:
            super().on_epoch_end(epoch, logs)

    def state(self) -> dict:
        """Returns the number of epochs without improvement, and the best value."""
        return {"wait": self.wait, "best": None if self.best is None else float(self.best)}

    def restore(self, state: dict) -> None:
        """Continues from what `state` returned."""
        self.wait, self.best = state["wait"], state["best"]


class EarlyStopping(_Resumable, keras.callbacks.EarlyStopping):
    """Ends a training that no longer improves."""

    name = "EarlyStopping"


class ReduceLROnPlateau(_Resumable, keras.callbacks.ReduceLROnPlateau):
    """Reduces the learning rate of a training that no longer improves."""

    name = "ReduceLROnPlateau"
