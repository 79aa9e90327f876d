"""The U of Ronneberger et al. 2015 (arXiv:1505.04597), around the blocks and skips of the network that uses it."""

from collections.abc import Callable

import keras
from keras import layers

Block = Callable[[keras.KerasTensor, int, str], keras.KerasTensor]
Skip = Callable[[keras.KerasTensor, int], keras.KerasTensor]
Gate = Callable[[keras.KerasTensor, keras.KerasTensor, int], keras.KerasTensor]


def u_shape(
    x: keras.KerasTensor,
    block: Block,
    *,
    width: int,
    levels: int,
    skip: Skip = lambda features, level: features,
    gate: Gate = lambda features, signal, level: features,
) -> keras.KerasTensor:
    """Appends an encoder, a bridge and a decoder, with 2x2 max pooling down and 2x2 transposed convolution up.

    Args:
      x: `[B, h, w, c]`; 2 ** (levels - 1) divides h and w.
      block: appends the block of a level (0 is full resolution) with layers of a given name: "encoder0", "bridge", ….
      width: channels after the transposed convolution to level 0; twice as many at each further level.
      levels: number of resolutions, including the bridge.
      skip: appends what leads from the encoder's features of a level to its skip.
      gate: appends what a skip passes through on its way to the decoder, given the map of the next deeper level.

    Returns:
      `[B, h, w, C]`, the output of the decoder's last block.
    """
    bridge = levels - 1
    skips = []
    for level in range(bridge):
        x = block(x, level, f"encoder{level}")
        skips.append(skip(x, level))
        x = layers.MaxPooling2D(name=f"down{level}")(x)
    x = block(x, bridge, "bridge")
    for level in reversed(range(bridge)):
        gated = gate(skips[level], x, level)
        x = layers.Conv2DTranspose(width * 2**level, 2, strides=2, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, gated])
        x = block(x, level, f"decoder{level}")
    return x
