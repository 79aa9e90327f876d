"""The training step on TensorFlow, which does over several devices what Keras' own step does wrongly or not at all.

These faults were seen in Keras 3.15.1 under `tf.distribute.MirroredStrategy`. Each has a test in
tests/pipeline/training/backends/test_keras_faults.py that fails once Keras has fixed it:

- gradients are clipped before they are summed over the replicas, so clipping depends on the number of replicas;
- `gradient_accumulation_steps` fails ("merge_call called while defining a new graph");
- whether scaled gradients (mixed_float16) are finite is only checked on the first replica, before they are summed;
- dropout draws the same mask on every replica.

And under `tf.distribute.MultiWorkerMirroredStrategy`:

- `fit` fails before the first step, as it takes the mean of a batch over the hosts in a way that TensorFlow refuses;
- it fails in the first step, as it takes the mean of scalars along their first axis.
"""

import functools
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from configs import TrainConfig
from models import Network, Teacher, TrainingModel


class TrainStepModel(TrainingModel):
    """A `TrainingModel` whose step splits the batch, sums gradients before clipping them, and averages the weights.

    Create it in the scope of the strategy. Its optimizer must come from `build_optimizer`, which does not sum again.

    Attributes:
      averages: moving averages of all weights; None if `train.ema_momentum` is None.
    """

    def __init__(self, network: Network, train: TrainConfig, teacher: Teacher | None = None):
        super().__init__(
            network,
            side_output_weights=train.side_output_weights,
            presence_weight=train.presence_weight,
            teacher=teacher,
        )
        self.micro_batches = train.micro_batches
        self.averages = None if train.ema_momentum is None else WeightAverages(self.weights, train.ema_momentum)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            _let_replicas_differ(self)
            for layer in self.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True

    def train_step(self, data):
        """Updates weights, averages and metrics by one batch, and returns the metrics."""
        images, masks, weights = keras.utils.unpack_x_y_sample_weight(data)
        gradients = None
        for part in range(self.micro_batches):
            # Interleaved, so that a part has the same tiles however many replicas share the batch.
            here = slice(part, None, self.micro_batches)
            # One part after the other: otherwise TensorFlow runs them in parallel, and no memory is saved.
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


class HostsTrainStepModel(TrainStepModel):
    """A `TrainStepModel` of several hosts. Its logs of a step are those of this host, those of an epoch of all."""

    train_function: Callable | None
    test_function: Callable | None

    def make_train_function(self, force=False):
        """Traces the training step."""
        if self.train_function is None or force:
            self.train_function = self._on_each_device(self.train_step)

    def make_test_function(self, force=False):
        """Traces the validation step."""
        if self.test_function is None or force:
            self.test_function = self._on_each_device(self.test_step)

    def _on_each_device(self, step):
        @tf.function(reduce_retracing=True)
        def run(iterator):
            return self._of_first_device(self.distribute_strategy.run(step, args=(next(iterator),)))

        return run

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Creates the variables of the metrics; Keras' own fails here."""
        _, _, batches = next(iter(iterator))
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=self._of_first_device(next(batches)))

    def _of_first_device(self, values):
        return tf.nest.map_structure(
            lambda value: self.distribute_strategy.experimental_local_results(value)[0], values
        )


def make_model(network: Network, train: TrainConfig, teacher: Teacher | None = None) -> TrainStepModel:
    """Returns the model that is fitted under the strategy in whose scope this is called."""
    several = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    return (HostsTrainStepModel if several else TrainStepModel)(network, train, teacher)


class WeightAverages(tf.Module):
    """Exponential moving averages of all weights of a model, including the statistics of its normalization.

    Keras' own (`use_ema`) leave out the moving statistics, which then belong to other weights than the averaged ones.
    During the first steps the momentum is (1 + t) / (10 + t), as in `tf.train.ExponentialMovingAverage`, so that the
    initial weights are soon forgotten.
    """

    def __init__(self, weights: Sequence[keras.Variable], momentum: float):
        """Initializes the averages with the weights.

        Args:
          weights: the weights to average.
          momentum: fraction of the average that is kept in a step.
        """
        super().__init__()
        self.momentum = momentum
        self.weights = [weight.value for weight in weights]
        self.variables_kept = [tf.Variable(weight, trainable=False) for weight in self.weights]

    def update(self, step: tf.Tensor) -> None:
        """Updates the averages after a step, given its number; must run in a replica context."""
        t = tf.cast(step, tf.float32)
        momentum = tf.minimum(self.momentum, (1 + t) / (10 + t))

        def move(average, weight, momentum):
            average.assign(average * momentum + weight * (1 - momentum))

        def on_every_device(strategy, momentum):
            for average, weight in zip(self.variables_kept, self.weights, strict=True):
                strategy.extended.update(average, move, args=(weight, momentum), group=False)

        tf.distribute.get_replica_context().merge_call(on_every_device, args=(momentum,))

    def swap(self) -> None:
        """Exchanges the weights and the averages."""
        for average, weight in zip(self.variables_kept, self.weights, strict=True):
            before = weight.numpy()
            weight.assign(average.numpy())
            average.assign(before)


def seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """Returns the random generators of the model's layers."""
    held = (value for layer in model.layers for value in vars(layer).values())
    return [value for value in held if isinstance(value, keras.random.SeedGenerator)]


def _let_replicas_differ(model: keras.Model) -> None:
    """Makes every replica draw different numbers; the mirrored generators of Keras have the same state on each."""
    for generator in seed_generators(model):
        generator.next = functools.partial(_draw_for_replica, generator.next)


def _draw_for_replica(draw, ordered: bool = True) -> tf.Tensor:
    state = draw(ordered)  # [seed, number of the draw]
    replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, state.dtype)
    return state + tf.stack([replica * 1_000_003, tf.zeros_like(replica)])
