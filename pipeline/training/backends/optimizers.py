"""The optimizers of all backends."""

import keras

from configs import TrainConfig


class _GradientsAreSummed:
    """An optimizer that does not sum gradients over the replicas, as the training step has done so."""

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


class Adam(_GradientsAreSummed, keras.optimizers.Adam):
    """Adam for gradients that are summed over the replicas already."""


class AdamW(_GradientsAreSummed, keras.optimizers.AdamW):
    """AdamW for gradients that are summed over the replicas already."""


class SGD(_GradientsAreSummed, keras.optimizers.SGD):
    """SGD for gradients that are summed over the replicas already."""


def build_optimizer(train: TrainConfig) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a config; its learning rate is a plain number, which callbacks set."""
    clips = {name: getattr(train, name) for name in ("clipvalue", "clipnorm", "global_clipnorm")}
    if train.optimizer == "adam":
        return Adam(train.learning_rate, **clips)
    if train.optimizer == "adamw":
        optimizer = AdamW(train.learning_rate, weight_decay=train.weight_decay, **clips)
    else:
        optimizer = SGD(train.learning_rate, momentum=train.momentum, weight_decay=train.weight_decay, **clips)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
