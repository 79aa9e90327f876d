"""The table of networks.

To add one: write its file in `models.networks`, its options in `configs.schema.networks`, and a line in `NETWORKS`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from configs import InputError, ModelConfig
from configs.suggestions import did_you_mean
from models.layers import check_activation
from models.network import Network
from models.networks import (
    build_attention_unet,
    build_deeplabv3plus,
    build_efficient_unet,
    build_fast,
    build_lite_unet,
    build_multires_unet,
    build_swin_unet,
    build_unet,
    build_unet3plus,
)

NETWORKS: dict[str, Callable[..., Network]] = {
    "attention_unet": build_attention_unet,
    "deeplabv3plus": build_deeplabv3plus,
    "efficient_unet": build_efficient_unet,
    "fast": build_fast,
    "lite_unet": build_lite_unet,
    "multires_unet": build_multires_unet,
    "swin_unet": build_swin_unet,
    "unet": build_unet,
    "unet3plus": build_unet3plus,
}


def build_network(model: ModelConfig, classes: int) -> Network:
    """Builds the network `model.network` for a number of classes, with the options in the field of the same name.

    Raises:
      InputError: there is no network with that name, or Keras knows no activation of the given name.
    """
    if model.network not in NETWORKS:
        raise InputError(
            f"model.network must be one of {', '.join(NETWORKS)}; received {model.network!r}."
            f"{did_you_mean(model.network, NETWORKS)}"
        )
    options = getattr(model, model.network)
    if hasattr(options, "activation"):
        check_activation(f"model.{model.network}.activation", options.activation)
    return NETWORKS[model.network](options, classes, model.preprocess)


def without_encoder_weights(model: ModelConfig) -> ModelConfig:
    """Returns the config of the same network whose encoder starts at random, without a file of weights."""
    options: Any = getattr(model, model.network, None)
    if not hasattr(options, "weights"):
        return model
    changes: dict[str, Any] = {model.network: dataclasses.replace(options, weights="none")}
    return dataclasses.replace(model, **changes)
