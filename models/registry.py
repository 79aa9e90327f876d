"""The networks by name. To add one: its file here, its options in `configs.schema`, its line below."""

import difflib

from configs import InputError, ModelConfig
from models.network import Network
from models.unet import build_unet

NETWORKS = {
    "unet": build_unet,
}


def build_network(model: ModelConfig, classes: int) -> Network:
    """Builds the network that `model.network` names, with the options of the field of that name.

    Raises:
      InputError: no network of that name.
    """
    if model.network not in NETWORKS:
        near = difflib.get_close_matches(model.network, NETWORKS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"model.network must be one of {', '.join(NETWORKS)}; received {model.network!r}.{hint}")
    return NETWORKS[model.network](getattr(model, model.network), classes, model.preprocess)
