"""A network from whose probabilities another one learns while it is trained."""

import dataclasses
from collections.abc import Sequence

import keras
from keras import ops

from models.losses import build_distillation, recover_logits
from models.network import Network


@dataclasses.dataclass(frozen=True, eq=False)
class Teacher:
    """A network from whose probabilities another one, the student, learns (`build_distillation`).

    It is no layer, so that Keras does not count its weights among those of a model that holds it.

    Attributes:
      network: the network of the teacher; it is not trained, and runs as in inference.
      channels: indices of the classes that it teaches among its own.
      student_channels: indices of the same classes among those of the student.
      weight: its weight in the loss, above 0 to 1; the masks have the rest.
      temperature: what the logits of both are divided by.
    """

    network: Network
    channels: tuple[int, ...]
    student_channels: tuple[int, ...]
    weight: float
    temperature: float

    def loss(self, images, maps: Sequence[keras.KerasTensor], weights: Sequence[float], *, sample_weight=None):
        """Returns the mean of the distillation loss over the maps of a student.

        Args:
          images: the batch, RGB 0..255 `[B, h, w, 3]`.
          maps: probabilities of the student, each `[B, h, w, C]`.
          weights: weight of each of them.
          sample_weight: weights of the samples, `[B]`; None: 1 each.
        """
        logits = recover_logits(self.network(images, training=False))
        taught = ops.stop_gradient(ops.take(logits, self.channels, axis=-1))
        distillation = build_distillation(self.temperature)
        losses = [
            weight * distillation(taught, ops.take(recover_logits(one), self.student_channels, axis=-1), sample_weight)
            for weight, one in zip(weights, maps, strict=True)
        ]
        return sum(losses) / sum(weights)
