"""Batch normalisation with TensorFlow's fused kernel.

Keras' layer is composed of elementary operations, each of which reads and writes the whole map, in float32 under any
precision policy. The kernel reads and writes the map once, in bfloat16 if that is the policy.
"""

import keras

from models.saving import PACKAGE

MOMENTUM = 0.9  # of the moving averages; with Keras' 0.99 they lag behind in a short training of a few hundred steps
KERNEL_DTYPES = ("float32", "bfloat16", "float16")  # of the map; statistics and parameters are float32 with each


@keras.saving.register_keras_serializable(PACKAGE)
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of maps `[B, h, w, c]`, with equal results (to rounding) and the same weights.

    Where the kernel cannot be used, the layer computes as Keras' own: on other backends than TensorFlow, in float64,
    and when several replicas train (`tf.distribute`), since the statistics are then those of the whole batch and the
    kernel knows only those of one replica.

    Args:
      momentum: momentum of the moving averages.
      epsilon: number added to the variance.
      scale: whether the layer learns a factor per channel besides the shift.
      gamma_initializer: initial value of the factors; "zeros" for the last normalisation of a residual block.

    Example:
      >>> maps = np.random.default_rng(0).normal(3, 2, (2, 8, 8, 4)).astype("float32")
      >>> normal = np.asarray(FusedBatchNormalization()(maps, training=True))
      >>> bool(abs(normal.mean()) < 1e-5), bool(abs(normal.std() - 1) < 1e-2)
      (True, True)
    """

    def __init__(
        self,
        *,
        momentum: float = MOMENTUM,
        epsilon: float = 1e-3,
        scale: bool = True,
        gamma_initializer="ones",
        **kwargs,
    ):
        super().__init__(
            momentum=momentum,
            epsilon=epsilon,
            scale=scale,
            gamma_initializer=gamma_initializer,
            # For Keras' own computation; other backends do not accept the argument.
            synchronized=keras.backend.backend() == "tensorflow",
            **kwargs,
        )

    def call(self, inputs, training=None, mask=None):
        """Returns the normalised map; in training it also updates the moving averages."""
        training = bool(training) and self.trainable
        if not self._kernel_serves(training):
            return super().call(inputs, training=training, mask=mask)
        # Keras does not expose the kernel; only the TensorFlow backend reaches this line.
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma if self.scale else tf.ones_like(self.beta),
            offset=self.beta,
            mean=tf.zeros([0]) if training else self.moving_mean,
            variance=tf.zeros([0]) if training else self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel divides the variance by n - 1, Keras by n.
            n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance * ((n - 1) / n))
        return outputs

    def get_config(self):
        """Returns the arguments of the layer."""
        config = super().get_config()
        return {name: config[name] for name in ("name", "trainable", "dtype", "momentum", "epsilon", "scale")} | {
            "gamma_initializer": config["gamma_initializer"]
        }

    def _kernel_serves(self, training: bool) -> bool:
        if keras.backend.backend() != "tensorflow" or self.compute_dtype not in KERNEL_DTYPES:
            return False
        import tensorflow as tf

        return not training or tf.distribute.get_strategy().num_replicas_in_sync == 1

    def _move(self, average, value) -> None:
        average.assign(average * self.momentum + value * (1 - self.momentum))
