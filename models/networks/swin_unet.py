"""Swin-UNet (Cao et al. 2021, arXiv:2105.05537): a U-Net of Swin transformer blocks (Liu et al., arXiv:2103.14030).

The default network for one class has 27,175,525 parameters. With windows of 7 and nine classes as in the paper it has
27,168,909 (27.17 million in the paper), including 9 biases that the authors' last layer does not have.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from configs import PreprocessConfig, SwinUNetConfig
from models.layers import DepthToSpace, drop_path, dropout
from models.network import NO_PREPROCESSING, Network, image_input, probability_head
from models.saving import PACKAGE

PATCH = 4  # pixels: side of the patches that become the first tokens
EPSILON = 1e-5  # of the layer normalisations, as in the authors' code; Keras' default is 1e-3
MASKED = -1e4  # a logit whose softmax is 0 in every precision; float16 can represent it


def build_swin_unet(options: SwinUNetConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING) -> Network:
    """Builds the network.

    Level i has tokens of width * 2**i channels, one per 4 * 2**i pixels along each axis, and depths[i] blocks with
    heads[i] heads in the encoder and as many in the decoder. Every second block attends in windows that are shifted by
    half a window. Down: 2x2 patch merging. Up: 2x2 patch expanding, then a linear layer that reduces the upsampled map
    and the encoder's map (the output of its blocks; in the authors' code their input) to the width of the level. The
    network ends with a 4x4 patch expanding. drop_path grows from 0 at the first block to its value at the last block
    of the encoder, and falls again in the decoder.

    Nothing is padded: the stride is one window of the deepest level, in pixels, so that every map consists of whole
    windows. With windows of 8 it is 256, for tiles of 256, 512, 768, …; with the paper's windows of 7 it is 224.

    Args:
      options: width, depths and others, see `configs.SwinUNetConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 4 * 2 ** (levels - 1) * window.

    Example:
      >>> network = build_swin_unet(SwinUNetConfig(width=8, depths=(2, 2), heads=(1, 2), window=4), classes=1)
      >>> network.stride, network.count_params()
      (32, 13185)
    """
    bridge = len(options.depths) - 1
    image, x = image_input(preprocess, stride=PATCH * 2**bridge * options.window)
    x = layers.Rescaling(1 / 255, name="scaling")(x)
    x = layers.Conv2D(options.width, PATCH, strides=PATCH, name="patch_embedding")(x)  # [B, h/4, w/4, width]
    x = _norm("patch_norm")(x)
    skips = []
    for level in range(bridge):
        x = _blocks(x, options, level, name=f"encoder{level}")
        skips.append(x)
        x = _merge(x, options.width * 2 ** (level + 1), f"down{level}")
    x = _blocks(x, options, bridge, name="bridge")
    x = _norm("bridge_norm")(x)
    for level in reversed(range(bridge)):
        x = _expand(x, 2, options.width * 2**level, name=f"up{level}")
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
        x = _linear(options.width * 2**level, f"skip{level}_linear")(x)
        x = _blocks(x, options, level, name=f"decoder{level}")
    x = _norm("decoder_norm")(x)
    x = _expand(x, PATCH, options.width, name="pixels")  # [B, h, w, width]
    return Network(image, probability_head(x, classes), name="swin_unet")


@keras.saving.register_keras_serializable(PACKAGE)
class WindowAttention(layers.Layer):
    """Multi-head self-attention of tokens `[B, h, w, c]` inside windows, with a learnt bias for each relative position.

    `window` divides h and w, which may be unknown until the layer is called. If `shifted`, windows begin half a window
    further down and right: the map is rolled by that much, and back afterwards. The last windows then contain tokens
    from the opposite side of the map; tokens that are not neighbours in the map do not attend to each other. An axis
    of a single window is not shifted, since its tokens attend to each other already.

    Args:
      heads: number of heads, a divisor of c.
      window: side of the windows in tokens.
      shifted: whether windows are shifted by window // 2.
    """

    def __init__(self, heads: int, window: int, shifted: bool, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.window = window
        self.shifted = shifted
        self.index = relative_positions(window)  # [window**2, window**2]

    def build(self, input_shape):
        """Creates the weights."""
        channels = input_shape[-1]
        self.queries_keys_values = _linear(3 * channels, "queries_keys_values", dtype=self.dtype_policy)
        self.queries_keys_values.build(input_shape)
        self.projection = _linear(channels, "projection", dtype=self.dtype_policy)
        self.projection.build(input_shape)
        # Heads first: the gradient of a lookup along the second axis is dense, along the first it is IndexedSlices.
        self.position_bias = self.add_weight(
            name="position_bias",
            shape=(self.heads, (2 * self.window - 1) ** 2),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )

    def call(self, x):
        """Returns the attended tokens."""
        _, height, width, _ = ops.shape(x)
        if not self.shifted:
            return self._attend(x, self._position_bias())
        shifts = self._shift(height), self._shift(width)
        x = ops.roll(x, (-shifts[0], -shifts[1]), axis=(1, 2))
        masked = ops.where(_neighbours(height, width, shifts, window=self.window), 0, MASKED)  # [windows, 1, n, n]
        x = self._attend(x, self._position_bias() + ops.cast(masked, x.dtype))
        return ops.roll(x, shifts, axis=(1, 2))

    def compute_output_shape(self, input_shape):
        """Returns the shape of the input."""
        return input_shape

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "heads": self.heads, "window": self.window, "shifted": self.shifted}

    def _shift(self, size):
        return ops.where(size > self.window, self.window // 2, 0)

    def _position_bias(self):
        return ops.take(self.position_bias, self.index, axis=1)  # [heads, n, n], n tokens per window

    def _attend(self, x, bias):
        """Returns the attention inside the windows of `[B, h, w, c]`.

        Args:
          x: tokens `[B, h, w, c]`.
          bias: added to the logits, `[(windows,) heads, n, n]`.
        """
        batch, height, width, channels = ops.shape(x)
        x = split_windows(self.queries_keys_values(x), self.window)  # [B, windows, n, 3c]
        x = ops.reshape(x, (batch, -1, self.window**2, 3, self.heads, channels // self.heads))
        queries, keys, values = ops.unstack(ops.transpose(x, (3, 0, 1, 4, 2, 5)), num=3)  # [B, windows, heads, n, d]
        logits = ops.matmul(queries * (channels // self.heads) ** -0.5, ops.swapaxes(keys, -1, -2))
        attended = ops.matmul(ops.softmax(logits + bias), values)  # [B, windows, heads, n, d]
        attended = ops.reshape(ops.transpose(attended, (0, 1, 3, 2, 4)), (batch, -1, self.window**2, channels))
        return self.projection(join_windows(attended, height, width))


@keras.saving.register_keras_serializable(PACKAGE)
class SpaceToDepth(layers.Layer):
    """Concatenates the four tokens of each 2x2 patch: `[B, h, w, c]` → `[B, h/2, w/2, 4c]`."""

    def call(self, x):
        """Returns the concatenated tokens."""
        return ops.space_to_depth(x, 2)


def relative_positions(window: int) -> np.ndarray:
    """Returns the index of the relative position, 0 to (2 window - 1)**2 - 1, of each pair of tokens of a window.

    Args:
      window: side of the window in tokens, which are numbered row by row.

    Returns:
      int `[window**2, window**2]`.

    Example:
      >>> relative_positions(2)
      array([[4, 3, 1, 0],
             [5, 4, 2, 1],
             [7, 6, 4, 3],
             [8, 7, 5, 4]])
    """
    rows, columns = np.divmod(np.arange(window**2), window)
    down = rows[:, None] - rows + window - 1
    right = columns[:, None] - columns + window - 1
    return down * (2 * window - 1) + right


def split_windows(x, window: int):
    """Returns the windows of `[B, h, w, c]`, row by row: `[B, windows, window**2, c]`."""
    batch, height, width, channels = ops.shape(x)
    x = ops.reshape(x, (batch, height // window, window, width // window, window, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (batch, -1, window**2, channels))


def join_windows(x, height: int, width: int):
    """Returns the map `[B, height, width, c]` of the windows of `split_windows`."""
    batch, _, tokens, channels = ops.shape(x)
    window = math.isqrt(tokens)
    x = ops.reshape(x, (batch, height // window, width // window, window, window, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (batch, height, width, channels))


def _neighbours(height, width, shifts, *, window: int):
    """Returns which pairs of tokens in a window of the rolled map are neighbours in the map: bool `[windows, 1, n, n]`.

    Tokens that were rolled over the edge come last; of each axis only the last windows contain both kinds.
    """
    below = ops.arange(height) >= height - shifts[0]
    beyond = ops.arange(width) >= width - shifts[1]
    # In floats, since oneDNN cannot transpose integers on every CPU and then logs a warning.
    region = 2 * ops.cast(below, "float32")[:, None] + ops.cast(beyond, "float32")  # [h, w], 0 to 3
    region = split_windows(region[None, :, :, None], window)[0]  # [windows, n, 1]
    return (region == ops.swapaxes(region, 1, 2))[:, None]


def _blocks(x: keras.KerasTensor, options: SwinUNetConfig, level: int, *, name: str) -> keras.KerasTensor:
    """Appends the transformer blocks of a level: attention, then a perceptron, both with pre-normalisation."""
    width = options.width * 2**level
    first = sum(options.depths[:level])
    for number in range(options.depths[level]):
        block = f"{name}_block{number}"
        rate = options.drop_path * (first + number) / (sum(options.depths) - 1)
        y = _norm(f"{block}_norm0")(x)
        y = WindowAttention(options.heads[level], options.window, number % 2 == 1, name=f"{block}_attention")(y)
        x = _add(x, y, options.dropout, drop_path_rate=rate, name=f"{block}_add0")
        y = _norm(f"{block}_norm1")(x)
        y = _linear(options.mlp_ratio * width, f"{block}_linear0", activation="gelu")(y)
        y = dropout(y, options.dropout, name=f"{block}_dropout")
        y = _linear(width, f"{block}_linear1")(y)
        x = _add(x, y, options.dropout, drop_path_rate=rate, name=f"{block}_add1")
    return x


def _add(
    x: keras.KerasTensor, y: keras.KerasTensor, dropout_rate: float, *, drop_path_rate: float, name: str
) -> keras.KerasTensor:
    """Returns x + y; in training with dropout of single values of y and of the whole y of a sample."""
    y = dropout(y, dropout_rate, name=f"{name}_dropout")
    y = drop_path(y, drop_path_rate, name=f"{name}_drop_path")
    return layers.Add(name=name)([x, y])


def _merge(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    """Appends patch merging: `[B, h, w, c]` → `[B, h/2, w/2, width]`."""
    x = SpaceToDepth(name=f"{name}_patches")(x)
    x = _norm(f"{name}_norm")(x)
    return _linear(width, name, use_bias=False)(x)


def _expand(x: keras.KerasTensor, factor: int, width: int, *, name: str) -> keras.KerasTensor:
    """Appends patch expanding: `[B, h, w, c]` → `[B, factor h, factor w, width]`."""
    x = _linear(factor**2 * width, name, use_bias=False)(x)
    x = DepthToSpace(factor, name=f"{name}_patches")(x)
    return _norm(f"{name}_norm")(x)


def _norm(name: str) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)


def _linear(width: int, name: str, **kwargs) -> layers.Dense:
    return layers.Dense(width, kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02), name=name, **kwargs)
