"""Swin-UNet (Cao et al. 2021, arXiv:2105.05537): a U-Net of Swin transformer blocks (Liu et al., arXiv:2103.14030).

With its defaults on one class 27,175,525 parameters; with the paper's windows of 7 and nine classes the paper's
27.17 million (27,168,909, of which 9 are biases that the authors' last layer goes without).
"""

import math

import keras
import numpy as np
from keras import layers, ops

from configs import PreprocessConfig, SwinUNetConfig
from models.layers.blocks import DepthToSpace
from models.network import AS_IT_IS, Network, image_input, probability_head
from models.saving import PACKAGE

PATCH = 4  # pixels: side of the patches that become the first tokens
EPSILON = 1e-5  # of the layer normalisations, as in the authors' code; Keras' own is 1e-3
NOT_AT_ALL = -1e4  # a logit whose softmax is 0 in every precision, and which float16 still holds


def build_swin_unet(options: SwinUNetConfig, classes: int, preprocess: PreprocessConfig = AS_IT_IS) -> Network:
    """Builds the network.

    Level i has tokens of width * 2**i channels, one for every 4 * 2**i pixels, depths[i] blocks with heads[i] heads in
    the encoder and as many in the decoder. Every second block attends in windows that are shifted by half a window.
    Down: 2x2 patch merging; up: 2x2 patch expanding, and a linear layer that brings the upsampled map and the
    encoder's (as its blocks leave it; the authors' code takes it as they find it) to the level's width; last a 4x4
    patch expanding. drop_path grows from 0 at the first block to its value at the encoder's last, and falls again.

    Nothing is padded: the stride is a window of the deepest level, in pixels, so that every level's map is made of
    whole windows. Windows of 8 make it 256, which goes with tiles of 256, 512, 768, …; the paper's 7 make it 224.

    Args:
      options: width, depths and the rest, see `configs.SwinUNetConfig`.
      classes: number of classes C.
      preprocess: its first layers.

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
    further down and right: the map is rolled there and back. The last windows then hold what was rolled over from the
    other side of the map; tokens that are not neighbours in the map do not attend to each other. Along an axis of one
    window there is nothing to shift: attention across the whole of it is what the shift is for.

    Args:
      heads: number of heads; divides c.
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
        channels = input_shape[-1]
        self.queries_keys_values = _linear(3 * channels, "queries_keys_values", dtype=self.dtype_policy)
        self.queries_keys_values.build(input_shape)
        self.projection = _linear(channels, "projection", dtype=self.dtype_policy)
        self.projection.build(input_shape)
        # Heads first: looking up along the second axis has a dense gradient, along the first one of IndexedSlices.
        self.position_bias = self.add_weight(
            name="position_bias",
            shape=(self.heads, (2 * self.window - 1) ** 2),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )

    def call(self, x):
        _, height, width, _ = ops.shape(x)
        if not self.shifted:
            return self._attend(x, self._position_bias())
        shifts = self._shift(height), self._shift(width)
        x = ops.roll(x, (-shifts[0], -shifts[1]), axis=(1, 2))
        parted = ops.where(_neighbours(height, width, shifts, window=self.window), 0, NOT_AT_ALL)  # [windows, 1, n, n]
        x = self._attend(x, self._position_bias() + ops.cast(parted, x.dtype))
        return ops.roll(x, shifts, axis=(1, 2))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "window": self.window, "shifted": self.shifted}

    def _shift(self, size):
        return ops.where(size > self.window, self.window // 2, 0)

    def _position_bias(self):
        return ops.take(self.position_bias, self.index, axis=1)  # [heads, n, n], n tokens a window

    def _attend(self, x, bias):
        """Attention inside the windows of `[B, h, w, c]`; the bias, `[(windows,) heads, n, n]`, adds to the logits."""
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
    """`[B, h, w, c]` → `[B, h/2, w/2, 4c]`: the four tokens of a 2x2 patch side by side."""

    def call(self, x):
        return ops.space_to_depth(x, 2)


def relative_positions(window: int) -> np.ndarray:
    """Returns for each pair of a window's tokens (row by row) which of its (2 window - 1)**2 relative positions it is.

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
    """Cuts `[B, h, w, c]` into windows, row by row: `[B, windows, window**2, c]`."""
    batch, height, width, channels = ops.shape(x)
    x = ops.reshape(x, (batch, height // window, window, width // window, window, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (batch, -1, window**2, channels))


def join_windows(x, height: int, width: int):
    """Puts the windows of `split_windows` together again: `[B, height, width, c]`."""
    batch, _, tokens, channels = ops.shape(x)
    window = math.isqrt(tokens)
    x = ops.reshape(x, (batch, height // window, width // window, window, window, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (batch, height, width, channels))


def _neighbours(height, width, shifts, *, window: int):
    """Returns which pairs of tokens of a window of the rolled map are near in the map, too: bool `[windows, 1, n, n]`.

    What was rolled over comes last. Only the last windows of an axis hold some of it, beside tokens that stayed.
    """
    below = ops.arange(height) >= height - shifts[0]
    beyond = ops.arange(width) >= width - shifts[1]
    # In floats, as oneDNN does not transpose integers on every CPU, and says so.
    region = 2 * ops.cast(below, "float32")[:, None] + ops.cast(beyond, "float32")  # [h, w], 0 to 3
    region = split_windows(region[None, :, :, None], window)[0]  # [windows, n, 1]
    return (region == ops.swapaxes(region, 1, 2))[:, None]


def _blocks(x: keras.KerasTensor, options: SwinUNetConfig, level: int, *, name: str) -> keras.KerasTensor:
    """The transformer blocks of a level: attention and then a perceptron, each normalised before and added after."""
    width = options.width * 2**level
    first = sum(options.depths[:level])
    for number in range(options.depths[level]):
        block = f"{name}_block{number}"
        drop_path = options.drop_path * (first + number) / (sum(options.depths) - 1)
        y = _norm(f"{block}_norm0")(x)
        y = WindowAttention(options.heads[level], options.window, number % 2 == 1, name=f"{block}_attention")(y)
        x = _add(x, y, options.dropout, drop_path=drop_path, name=f"{block}_add0")
        y = _norm(f"{block}_norm1")(x)
        y = _linear(options.mlp_ratio * width, f"{block}_linear0", activation="gelu")(y)
        y = _dropout(y, options.dropout, f"{block}_dropout")
        y = _linear(width, f"{block}_linear1")(y)
        x = _add(x, y, options.dropout, drop_path=drop_path, name=f"{block}_add1")
    return x


def _add(
    x: keras.KerasTensor, y: keras.KerasTensor, dropout: float, *, drop_path: float, name: str
) -> keras.KerasTensor:
    """x + y; in training with single values of y dropped, and with the whole y of a sample dropped."""
    y = _dropout(y, dropout, f"{name}_dropout")
    y = _dropout(y, drop_path, f"{name}_drop_path", noise_shape=(None, 1, 1, 1))
    return layers.Add(name=name)([x, y])


def _dropout(x: keras.KerasTensor, rate: float, name: str, **kwargs) -> keras.KerasTensor:
    return layers.Dropout(rate, name=name, **kwargs)(x) if rate > 0 else x


def _merge(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    """Patch merging: `[B, h, w, c]` → `[B, h/2, w/2, width]`."""
    x = SpaceToDepth(name=f"{name}_patches")(x)
    x = _norm(f"{name}_norm")(x)
    return _linear(width, name, use_bias=False)(x)


def _expand(x: keras.KerasTensor, factor: int, width: int, *, name: str) -> keras.KerasTensor:
    """Patch expanding: `[B, h, w, c]` → `[B, factor h, factor w, width]`."""
    x = _linear(factor**2 * width, name, use_bias=False)(x)
    x = DepthToSpace(factor, name=f"{name}_patches")(x)
    return _norm(f"{name}_norm")(x)


def _norm(name: str) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)


def _linear(width: int, name: str, **kwargs) -> layers.Dense:
    return layers.Dense(width, kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02), name=name, **kwargs)
