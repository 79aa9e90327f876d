"""Training of networks that say more than their probabilities: side outputs (deep supervision), presence of classes."""

import keras
from keras import ops

from models.network import Network


def training_model(network: Network) -> keras.Model:
    """Returns the model to `compile` and `fit` in the network's place, with the same loss, metrics and batches.

    It shares the network's weights, and has the heads of the side outputs and of the presence besides, which the
    network does without. A network with neither is returned as it is.

    In training, the loss is the mean over the probabilities and all side outputs, as the papers on deep supervision
    weigh them equally, plus the binary cross-entropy between the presence and whether a tile's mask holds the class.
    The loss in validation, and the metrics, are those of the probabilities alone.

    Example:
      >>> image = keras.Input((None, None, 3))
      >>> main, side = (keras.layers.Conv2D(1, 1, activation="sigmoid")(image) for _ in range(2))
      >>> network = Network(image, main, side_outputs=[side])
      >>> network.count_params(), training_model(network).count_params()
      (4, 8)
    """
    if not network.side_outputs and network.presence is None:
        return network
    return _SupervisedModel(network)


class _SupervisedModel(keras.Model):
    """Gives `[probabilities, *side outputs]`, and the presence last where there is one. It is not for saving."""

    def __init__(self, network: Network):
        presence = [] if network.presence is None else [network.presence]
        super().__init__(network.input, [network.output, *network.side_outputs, *presence], name=network.name)
        self.maps = 1 + len(network.side_outputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred[0], sample_weight, training)
        if not training:
            return loss
        map_loss = keras.losses.get(self.loss)
        for side in y_pred[1 : self.maps]:
            loss += map_loss(y, side, sample_weight)
        loss /= self.maps
        for presence in y_pred[self.maps :]:
            holds = ops.max(y, axis=(1, 2))  # [B, C]
            loss += keras.losses.BinaryCrossentropy()(holds, presence, sample_weight)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, y_pred[0], sample_weight)
