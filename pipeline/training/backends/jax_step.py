"""The training step on JAX: that of `tensorflow_step`, as a function of the state that it changes.

Over several devices (`keras.distribution.DataParallel`) there is nothing to correct: one compiled step sees the whole
batch, so gradients, clipping, dropout and the statistics of normalization are those of a single device.
"""

import warnings
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import keras

from configs import TrainConfig
from models import Network, Teacher, TrainingModel


class TrainStepModel(TrainingModel):
    """A `TrainingModel` whose step splits the batch and averages the weights; between steps its variables are current.

    Create it once the devices are chosen. Its optimizer must be built before any weight is frozen.

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
        # As the optimizer knows them, whatever is frozen later. Ids, as Keras would track variables as further weights.
        self._learning = [id(variable) for variable in self.trainable_variables]

    @property
    def non_trainable_variables(self):
        """The variables of all layers, the teacher and the averages: the state passed from step to step holds them all.

        XLA would compile a variable outside of that state into the step, as a constant.
        """
        teacher = self.teacher.network.variables if self.teacher else []
        return super().non_trainable_variables + teacher + (self.averages.variables_kept if self.averages else [])

    def fit(self, *args, callbacks=(), **keywords):
        """Fits as Keras does, with current variables after each step."""
        return super().fit(*args, callbacks=[_StateInVariables(), *callbacks], **keywords)

    def make_train_function(self, force=False):
        """Compiles the training step, also again when other weights are trainable (`force`)."""
        super().make_train_function(force)
        if force:  # the validation step also takes trainable and other variables separately
            self.make_test_function(force=True)

    def train_step(self, state, data):
        """Returns the metrics of a batch, and the state after it."""
        trainable, others, optimizer, metrics = state
        loss_and_gradients = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)

        def add_part(carried, batch):
            gradients, others, metrics = carried
            image, mask, weight = keras.utils.unpack_x_y_sample_weight(batch)
            (_, (loss, predicted, others, metrics)), added = loss_and_gradients(
                trainable, others, metrics, image, mask, weight, training=True, optimizer_variables=optimizer
            )
            logs, metrics = self._update_metrics_variables(metrics, loss, image, mask, predicted, weight)
            return (jax.tree.map(jnp.add, gradients, added), others, metrics), logs

        start = jax.tree.map(jnp.zeros_like, trainable), others, metrics
        if self.micro_batches == 1:
            (gradients, others, metrics), logs = add_part(start, data)
        else:
            # A loop, as XLA on a CPU would hold all unrolled parts in memory at once. Convolutions in a loop are about
            # ten times slower there, so a batch in one part has no loop.
            parts = jax.tree.map(self._parts, data)
            (gradients, others, metrics), logs = jax.lax.scan(add_part, start, parts)
            logs = jax.tree.map(lambda values: values[-1], logs)
        gradients = jax.tree.map(lambda total: total / self.micro_batches, gradients)
        trainable, optimizer = self._apply(gradients, trainable, others, optimizer=optimizer)
        if self.averages is not None:
            step = _by_variable(self.optimizer.variables, optimizer)[id(self.optimizer.iterations)]
            values = self._values(trainable, others)
            others = others[: -len(self.averages.variables_kept)] + self.averages.moved(values, step)
        return logs, (trainable, others, optimizer, metrics)

    def _parts(self, whole: jax.Array) -> jax.Array:
        """Splits `[B, …]` into interleaved `[micro_batches, B / micro_batches, …]`: devices keep their tiles."""
        return jnp.swapaxes(whole.reshape(-1, self.micro_batches, *whole.shape[1:]), 0, 1)

    def _apply(self, gradients, trainable, others, *, optimizer):
        """Returns the values of the trainable and the optimizer's variables after the optimizer's step."""
        values = self._values(trainable, others)
        given = _by_variable(self.trainable_variables, gradients)
        with warnings.catch_warnings():
            # The optimizer is built for all weights; it skips frozen ones, which have no gradient.
            warnings.filterwarnings("ignore", "Gradients do not exist for variables", UserWarning)
            applied, optimizer = self.optimizer.stateless_apply(
                optimizer,
                [given.get(variable) for variable in self._learning],
                [values[variable] for variable in self._learning],
            )
        values = dict(zip(self._learning, applied, strict=True))
        return [values[id(variable)] for variable in self.trainable_variables], optimizer

    def _values(self, trainable, others) -> dict[int, jax.Array]:
        return _by_variable(self.trainable_variables, trainable) | _by_variable(self.non_trainable_variables, others)


class WeightAverages:
    """`WeightAverages` of `tensorflow_step`, as a function of values."""

    def __init__(self, weights: Sequence[keras.Variable], momentum: float):
        """Initializes the averages with the weights.

        Args:
          weights: the weights to average.
          momentum: fraction of the average that is kept in a step.
        """
        self.momentum = momentum
        self.weights = list(weights)
        self.variables_kept = [keras.Variable(jnp.copy(weight.value), trainable=False) for weight in weights]

    def moved(self, values: Mapping[int, jax.Array], step: jax.Array) -> list[jax.Array]:
        """Returns the averages after a step, given its number, the averages before it and the weights after it."""
        t = step.astype(jnp.float32)
        momentum = jnp.minimum(self.momentum, (1 + t) / (10 + t))
        return [
            values[id(average)] * momentum + values[id(weight)] * (1 - momentum)
            for average, weight in zip(self.variables_kept, self.weights, strict=True)
        ]

    def swap(self) -> None:
        """Exchanges the weights and the averages."""
        for average, weight in zip(self.variables_kept, self.weights, strict=True):
            before = weight.value
            weight.assign(average.value)
            average.assign(before)


class _StateInVariables(keras.callbacks.Callback):
    """Copies the state that JAX passes from step to step into the variables, which all other callbacks read.

    It takes about 2 microseconds per variable, while the device works on the step.
    """

    def on_train_batch_end(self, batch, logs=None):
        self.model.jax_state_sync()


def _by_variable(variables: Sequence[keras.Variable], values: Sequence[jax.Array]) -> dict[int, jax.Array]:
    """Returns the values by the ids of their variables."""
    return {id(variable): value for variable, value in zip(variables, values, strict=True)}
