"""Depthwise convolution whose gradients are computed in float32.

TensorFlow has no fast bfloat16 gradient of it on a CPU: with a stride, or a kernel of 5x5, it takes 4 to 10 times as
long as that of float32, while the forward pass in bfloat16 is the faster one.
"""

import keras
from keras import ops

from models.saving import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class DepthwiseConvolution(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` of maps `[B, h, w, c]`, with the same arguments and weights.

    In training, a layer that computes in another dtype than float32 casts its input and its kernel, rounded as that
    dtype rounds them, to float32, and the result back. In inference it computes as Keras' own.

    Example:
      >>> maps = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")
      >>> layer = DepthwiseConvolution(3, padding="same", dtype="mixed_bfloat16")
      >>> layer(maps, training=True).dtype, float(ops.max(abs(layer(maps, training=True) - layer(maps)))) < 0.05
      (tf.bfloat16, True)
    """

    def call(self, inputs, training=None):
        """Returns the map `[B, h', w', c']`."""
        if not training or self.compute_dtype == "float32":
            return super().call(inputs)
        outputs = ops.depthwise_conv(
            ops.cast(inputs, "float32"),
            ops.cast(ops.cast(self.kernel, self.compute_dtype), "float32"),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        if self.use_bias:
            outputs = outputs + ops.cast(self.bias, "float32")
        return ops.cast(self.activation(outputs), self.compute_dtype)
