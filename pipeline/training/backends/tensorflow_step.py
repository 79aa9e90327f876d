"""The training step on TensorFlow: what Keras' own does not do rightly, or at all, over several devices.

Seen in Keras 3.15.1 under `tf.distribute.MirroredStrategy`; each has a test in
tests/pipeline/training/backends/test_keras_faults.py that fails when Keras has mended it:

- gradients are clipped before they are summed over the replicas, so that clipping differs with their number;
- `gradient_accumulation_steps` fails ("merge_call called while defining a new graph");
- the finiteness of scaled gradients (mixed_float16) is looked at on the first replica, before they are summed;
- dropout draws the same mask on every replica.
"""

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf

from configs import TrainConfig
from models import Network, TrainingModel


class TrainStepModel(TrainingModel):
    """A `TrainingModel` whose step takes the batch in parts, sums gradients before they are clipped, and averages.

    Made in the scope of the strategy. Its optimizer must be one of `build_optimizer`, which does not sum again.

    Attributes:
      averages: moving averages of all weights, None where `train.ema_momentum` is.
    """

    def __init__(self, network: Network, train: TrainConfig):
        super().__init__(network, side_output_weights=train.side_output_weights, presence_weight=train.presence_weight)
        self.micro_batches = train.micro_batches
        self.averages = None if train.ema_momentum is None else WeightAverages(self.weights, train.ema_momentum)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            _let_replicas_differ(self)
            for layer in self.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True

    def train_step(self, data):
        images, masks, weights = keras.utils.unpack_x_y_sample_weight(data)
        gradients = None
        for part in range(self.micro_batches):
            # By turns, so that a part is made of the same tiles however many replicas share the batch.
            here = slice(part, None, self.micro_batches)
            # One part after the other: otherwise TensorFlow runs them side by side, and no memory is saved.
            with tf.control_dependencies(gradients or ()):
                image, mask = tf.identity(images[here]), tf.identity(masks[here])
            weight = None if weights is None else weights[here]
            added, predicted = self._gradients(image, mask, weight)
            gradients = added if gradients is None else [one + more for one, more in zip(gradients, added, strict=True)]
            metrics = self.compute_metrics(image, mask, predicted, weight)
        replica = tf.distribute.get_replica_context()
        gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        self.optimizer.apply([gradient / self.micro_batches for gradient in gradients], self.trainable_variables)
        if self.averages is not None:
            self.averages.update(self.optimizer.iterations)
        return metrics

    def _gradients(self, image, mask, weight):
        with tf.GradientTape() as tape:
            predicted = self(image, training=True)
            loss = self.compute_loss(image, mask, predicted, weight, training=True)
            scaled = self.optimizer.scale_loss(loss)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self._loss_tracker.update_state(loss * replicas, sample_weight=tf.shape(image)[0])
        return tape.gradient(scaled, self.trainable_variables), predicted


class WeightAverages(tf.Module):
    """Exponential moving averages of all weights of a model, those of its normalisation included.

    Keras' own (`use_ema`) leave out the moving statistics, which then are of other weights than the averaged ones. In
    the first steps the momentum is (1 + t) / (10 + t), as that of `tf.train.ExponentialMovingAverage`, so that the
    weights as drawn are soon forgotten.
    """

    def __init__(self, weights: Sequence[keras.Variable], momentum: float):
        """Args:
        weights: to average.
        momentum: share of the average that is kept in a step.
        """
        super().__init__()
        self.momentum = momentum
        self.weights = [weight.value for weight in weights]
        self.variables_kept = [tf.Variable(weight, trainable=False) for weight in self.weights]

    def update(self, step: tf.Tensor) -> None:
        """Moves the averages, after the step of that number; for the function of a replica."""
        t = tf.cast(step, tf.float32)
        momentum = tf.minimum(self.momentum, (1 + t) / (10 + t))

        def move(average, weight, momentum):
            average.assign(average * momentum + weight * (1 - momentum))

        def on_every_device(strategy, momentum):
            for average, weight in zip(self.variables_kept, self.weights, strict=True):
                strategy.extended.update(average, move, args=(weight, momentum), group=False)

        tf.distribute.get_replica_context().merge_call(on_every_device, args=(momentum,))

    def swap(self) -> None:
        """Exchanges weights and averages."""
        for average, weight in zip(self.variables_kept, self.weights, strict=True):
            before = weight.numpy()
            weight.assign(average.numpy())
            average.assign(before)


class _SumsNothing:
    """An optimizer whose gradients come summed over the replicas already."""

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


class Adam(_SumsNothing, keras.optimizers.Adam):
    pass


class AdamW(_SumsNothing, keras.optimizers.AdamW):
    pass


class SGD(_SumsNothing, keras.optimizers.SGD):
    pass


def build_optimizer(train: TrainConfig) -> keras.optimizers.Optimizer:
    """Returns the config's optimizer, its learning rate a number that callbacks set."""
    clips = {name: getattr(train, name) for name in ("clipvalue", "clipnorm", "global_clipnorm")}
    if train.optimizer == "adam":
        return Adam(train.learning_rate, **clips)
    if train.optimizer == "adamw":
        optimizer = AdamW(train.learning_rate, weight_decay=train.weight_decay, **clips)
    else:
        optimizer = SGD(train.learning_rate, momentum=train.momentum, weight_decay=train.weight_decay, **clips)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """Returns what the model's layers draw from."""
    held = (value for layer in model.layers for value in vars(layer).values())
    return [value for value in held if isinstance(value, keras.random.SeedGenerator)]


def _let_replicas_differ(model: keras.Model) -> None:
    """Makes every replica draw otherwise: Keras' generators, mirrored, have the same state on each."""
    for generator in seed_generators(model):
        generator.next = functools.partial(_draw_for_replica, generator.next)


def _draw_for_replica(draw, ordered: bool = True) -> tf.Tensor:
    state = draw(ordered)  # [seed, number of the draw]
    replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, state.dtype)
    return state + tf.stack([replica * 1_000_003, tf.zeros_like(replica)])
