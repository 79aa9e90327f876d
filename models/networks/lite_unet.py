"""LiteUNet: an EfficientNet-Lite0, optionally with weights of ImageNet, and the light decoder of `fast`.

The encoder's maps are those of its blocks, of 16 to 320 channels; 1x1 convolutions give them the widths of the decoder
(as in Lin et al. 2017, arXiv:1612.03144). The default network for one class has 3,637,424 parameters, 2,998,304 of
them in the encoder.
"""

from keras import layers

from configs import LiteUNetConfig, PreprocessConfig
from models.layers import LocalContrast, LocalStandardization, TileStandardization, dropout
from models.network import NO_PREPROCESSING, Network, image_input
from models.networks.efficientnet_lite import encode_lite, load_lite, scale_levels
from models.networks.encoders import encoder_layers
from models.networks.light_decoder import convolution, decode, pixel_head


def build_lite_unet(options: LiteUNetConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING) -> Network:
    """Builds the network.

    Level i of the decoder has the stride finest * 2 ** i and widths[i] filters; the encoder ends with the stage of
    twice the last level's stride. The stages before `finest` are the stem. Normalisation is by batch in all parts.

    Args:
      options: weights, widths and others, see `configs.LiteUNetConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride finest * 2 ** len(widths).
      `models.encoder_layers` returns the layers of its encoder.

    Raises:
      InputError: the weights of the encoder cannot be loaded.

    Example:
      >>> build_lite_unet(LiteUNetConfig(finest=2, widths=(8, 8)), classes=1).stride
      8
    """
    strides = [options.finest * 2**level for level in range(len(options.widths) + 1)]
    photograph, image = image_input(preprocess, stride=strides[-1])
    if options.standardize:
        sigma = options.standardize_sigma
        x = LocalStandardization(sigma, dtype="float32", name="standardization")(image, photograph)
    else:
        x = scale_levels(image)
    if options.contrast:
        contrast = LocalContrast(options.contrast_sigma, dtype="float32", name="contrast")(image, photograph)
        x = layers.Concatenate(name="channels")([x, contrast])  # [B, h, w, 6]
    if options.levels:
        levels = TileStandardization(dtype="float32", name="tile_standardization")(image, photograph)
        x = layers.Concatenate(name="levels")([x, levels])  # [B, h, w, 6 or 9]
    maps = encode_lite(x, coarsest=strides[-1])
    skips = [
        convolution(maps[strides[level]], width, 1, name=f"lateral{level}")
        for level, width in enumerate(options.widths)
    ]
    x = dropout(maps[strides[-1]], options.dropout, name="dropout")
    x = decode(x, skips, normalization="batch", drop_paths=[0.0] * len(skips))
    x = pixel_head(x, classes, block=options.finest, normalization="batch", prior=options.prior)
    network = Network(photograph, x, name="lite_unet")
    if options.weights != "none":
        load_lite(encoder_layers(network), options.weights, field="model.lite_unet.weights")
    return network
