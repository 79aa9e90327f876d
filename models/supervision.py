"""The model that training fits: a network with its side outputs (deep supervision) and presence."""

from collections.abc import Sequence

import keras
from keras import ops

from configs import InputError
from models.distillation import Teacher
from models.labels import split_labels
from models.losses import build_loss
from models.network import Network


class TrainingModel(keras.Model):
    """The model to `compile` and `fit` instead of a network, with the same loss, metrics and batches.

    It shares the network's weights and also has the heads of the side outputs and of the presence, which the network
    itself does not contain. It returns `[probabilities, *side outputs]`, followed by the presence if there is one. It
    is not meant to be saved.

    In training, the loss is a weighted mean over the probabilities and all side outputs, plus the binary cross-entropy
    between the presence and whether the mask of a tile contains the class, where that is known. With a teacher, the
    weighted mean has a part in which it takes the place of the masks. The validation loss and the metrics are those of
    the probabilities and masks alone.

    Args:
      network: the network whose weights are trained.
      side_output_weights: weight of each side output in the loss, where the probabilities have the weight 1; all are
        divided by their sum. Empty: 1 each, as in the papers on deep supervision.
      presence_weight: weight of the presence in the loss.
      teacher: a network whose probabilities are learnt beside the masks.

    Raises:
      InputError: the number of weights is not the number of side outputs of the network.

    Example:
      >>> image = keras.Input((None, None, 3))
      >>> main, side = (keras.layers.Conv2D(1, 1, activation="sigmoid")(image) for _ in range(2))
      >>> network = Network(image, main, side_outputs=[side])
      >>> network.count_params(), TrainingModel(network).count_params()
      (4, 8)
    """

    def __init__(
        self,
        network: Network,
        *,
        side_output_weights: Sequence[float] = (),
        presence_weight: float = 1.0,
        teacher: Teacher | None = None,
    ):
        sides = network.side_outputs
        if side_output_weights and len(side_output_weights) != len(sides):
            raise InputError(
                f"train.side_output_weights must have {len(sides)} numbers, one per side output of network "
                f"{network.name}; received {len(side_output_weights)}."
            )
        presence = [] if network.presence is None else [network.presence]
        super().__init__(network.input, [network.output, *sides, *presence], name=network.name)
        self.map_weights = [1.0, *(side_output_weights or [1.0] * len(sides))]
        self.presence_weight = presence_weight
        self.teacher = teacher

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):  # noqa: PLR0917 - Keras'
        """Returns the loss of the probabilities, in training with that of the side outputs and the presence."""
        y_pred = keras.tree.flatten(y_pred)  # Keras unpacks a list of one output
        loss = super().compute_loss(x, y, y_pred[0], sample_weight, training)
        if not training:
            return loss
        map_loss = keras.losses.get(self.loss)
        maps = len(self.map_weights)
        for weight, side in zip(self.map_weights[1:], y_pred[1:maps], strict=True):
            loss += weight * map_loss(y, side, sample_weight)
        loss /= sum(self.map_weights)
        if self.teacher is not None:
            taught = self.teacher.loss(x, y_pred[:maps], self.map_weights, sample_weight=sample_weight)
            loss = (1 - self.teacher.weight) * loss + self.teacher.weight * taught
        for presence in y_pred[maps:]:
            masks, known = split_labels(y, y_pred[0])
            loss += self.presence_weight * _presence_loss(masks, known, presence, sample_weight=sample_weight)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):  # noqa: PLR0917 - Keras'
        """Returns the metrics of the probabilities."""
        return super().compute_metrics(x, y, keras.tree.flatten(y_pred)[0], sample_weight)


def _presence_loss(masks, known, presence, *, sample_weight):
    """Returns the cross-entropy of the presence `[B, C]`, where a class is seen or known throughout the tile."""
    present = ops.max(masks, axis=(1, 2))  # [B, C]
    if known is None:
        return keras.losses.BinaryCrossentropy()(present, presence, sample_weight)
    certain = ops.maximum(ops.cast(present >= 0.5, "float32"), ops.min(known, axis=(1, 2)))
    labels, presence = ops.concatenate([present * certain, certain], axis=-1), presence[:, None, None]
    return build_loss("bce")(labels[:, None, None], presence, sample_weight)
