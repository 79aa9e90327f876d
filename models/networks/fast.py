"""A network of our own for a CPU or a small GPU: a residual encoder and a light decoder with additive skips.

Only local contrast and the final rearrangement work at full resolution: the network begins with a stem of stride 2
(or 4) and ends with the head of `models.networks.light_decoder`, which predicts the 2x2 (or 4x4) pixels of each
position at once. The default network for one class has 2,897,988 parameters, of which 4,224 are moving statistics of
the normalisations.
"""

from keras import layers

from configs import FastConfig, PreprocessConfig
from models.layers import LocalContrast, dropout, normalize
from models.network import NO_PREPROCESSING, Network, image_input
from models.networks.light_decoder import convolution, decode, pixel_head, relu, residual_block


def build_fast(options: FastConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING) -> Network:
    """Builds the network.

    Level i works at 1 / (stem * 2 ** i) of the resolution with widths[i] filters. The encoder consists of a stem (a 5x5
    convolution for stride 2, 7x7 for stride 4) and one residual block per level. On each level except the deepest, the
    decoder consists of a 1x1 convolution, nearest-neighbour upsampling, the addition of the encoder's map, and a
    residual block. The input is RGB as fractions of 255 and, with `options.contrast`, local contrast in three further
    channels (see `models.layers.local_contrast`). drop_path grows from 0 at the first level to its value at the
    deepest.

    Args:
      options: widths, contrast and others, see `configs.FastConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride stem * 2 ** (len(widths) - 1).

    Example:
      >>> build_fast(FastConfig(widths=(8, 16)), classes=1).stride
      4
    """
    photograph, image = image_input(preprocess, stride=options.stem * 2 ** (len(options.widths) - 1))
    x = layers.Rescaling(1 / 255, name="scaling")(image)
    if options.contrast:
        contrast = LocalContrast(options.contrast_sigma, dtype="float32", name="contrast")(image, photograph)
        x = layers.Concatenate(name="channels")([x, contrast])  # [B, h, w, 6]
    x = convolution(x, options.widths[0], options.stem + 3, name="stem", strides=options.stem)
    x = relu(normalize(x, options.normalization, name="stem_norm"), "stem_relu")
    deepest = len(options.widths) - 1
    drop_paths = [options.drop_path * level / deepest for level in range(deepest + 1)]
    skips = []
    for level, width in enumerate(options.widths):
        x = residual_block(
            x,
            width,
            name=f"encoder{level}",
            normalization=options.normalization,
            dropped=drop_paths[level],
            strides=1 if level == 0 else 2,
        )
        skips.append(x)  # [B, h / (stem * 2 ** level), …, width]
    x = dropout(x, options.dropout, name="dropout")
    x = decode(x, skips[:-1], normalization=options.normalization, drop_paths=drop_paths)
    x = pixel_head(x, classes, block=options.stem, normalization=options.normalization, prior=options.prior)
    return Network(photograph, x, name="fast")
