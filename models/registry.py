"""The networks by name. To add one: its file here, its options in `configs.schema.config`, its line below."""

from collections.abc import Callable

from configs import InputError, ModelConfig
from configs.suggestions import did_you_mean
from models.network import Network
from models.networks.attention_unet import build_attention_unet
from models.networks.deeplabv3plus import build_deeplabv3plus
from models.networks.efficient_unet import build_efficient_unet
from models.networks.fast import build_fast
from models.networks.multires_unet import build_multires_unet
from models.networks.swin_unet import build_swin_unet
from models.networks.unet import build_unet
from models.networks.unet3plus import build_unet3plus

NETWORKS: dict[str, Callable[..., Network]] = {
    "attention_unet": build_attention_unet,
    "deeplabv3plus": build_deeplabv3plus,
    "efficient_unet": build_efficient_unet,
    "fast": build_fast,
    "multires_unet": build_multires_unet,
    "swin_unet": build_swin_unet,
    "unet": build_unet,
    "unet3plus": build_unet3plus,
}


def build_network(model: ModelConfig, classes: int) -> Network:
    """Builds the network that `model.network` names, with the options of the field of that name.

    Raises:
      InputError: no network of that name.
    """
    if model.network not in NETWORKS:
        raise InputError(
            f"model.network must be one of {', '.join(NETWORKS)}; received {model.network!r}."
            f"{did_you_mean(model.network, NETWORKS)}"
        )
    return NETWORKS[model.network](getattr(model, model.network), classes, model.preprocess)
