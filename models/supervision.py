"""What is fitted: a network with what only its training needs, side outputs (deep supervision) and presence."""

from collections.abc import Sequence

import keras
from keras import ops

from configs import InputError
from models.network import Network


class TrainingModel(keras.Model):
    """What to `compile` and `fit` in a network's place, with the same loss, metrics and batches.

    It shares the network's weights, and has the heads of the side outputs and of the presence besides, which the
    network does without. It gives `[probabilities, *side outputs]`, and the presence last where there is one. It is not
    for saving.

    In training, the loss is a weighted mean over the probabilities and all side outputs, plus the binary cross-entropy
    between the presence and whether a tile's mask holds the class. The loss in validation, and the metrics, are those
    of the probabilities alone.

    Example:
      >>> image = keras.Input((None, None, 3))
      >>> main, side = (keras.layers.Conv2D(1, 1, activation="sigmoid")(image) for _ in range(2))
      >>> network = Network(image, main, side_outputs=[side])
      >>> network.count_params(), TrainingModel(network).count_params()
      (4, 8)
    """

    def __init__(self, network: Network, *, side_output_weights: Sequence[float] = (), presence_weight: float = 1.0):
        """Args:
          network: whose weights are trained.
          side_output_weights: of each side output in the loss, beside 1 for the probabilities, all divided by their
            sum; empty: 1 each, as the papers on deep supervision weigh them.
          presence_weight: of the presence in the loss.

        Raises:
          InputError: another number of weights than the network has side outputs.
        """
        sides = network.side_outputs
        if side_output_weights and len(side_output_weights) != len(sides):
            raise InputError(
                f"train.side_output_weights must have {len(sides)} numbers, as network {network.name} has side "
                f"outputs; received {len(side_output_weights)}."
            )
        presence = [] if network.presence is None else [network.presence]
        super().__init__(network.input, [network.output, *sides, *presence], name=network.name)
        self.map_weights = [1.0, *(side_output_weights or [1.0] * len(sides))]
        self.presence_weight = presence_weight

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):  # noqa: PLR0917 - Keras'
        y_pred = keras.tree.flatten(y_pred)  # Keras makes one alone of a list of one
        loss = super().compute_loss(x, y, y_pred[0], sample_weight, training)
        if not training:
            return loss
        map_loss = keras.losses.get(self.loss)
        maps = len(self.map_weights)
        for weight, side in zip(self.map_weights[1:], y_pred[1:maps], strict=True):
            loss += weight * map_loss(y, side, sample_weight)
        loss /= sum(self.map_weights)
        for presence in y_pred[maps:]:
            holds = ops.max(y, axis=(1, 2))  # [B, C]
            loss += self.presence_weight * keras.losses.BinaryCrossentropy()(holds, presence, sample_weight)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):  # noqa: PLR0917 - Keras'
        return super().compute_metrics(x, y, keras.tree.flatten(y_pred)[0], sample_weight)
