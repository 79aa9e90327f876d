"""The networks, one per file, and the encoders that some of them share."""

from models.networks.attention_unet import build_attention_unet
from models.networks.deeplabv3plus import build_deeplabv3plus
from models.networks.efficient_unet import build_efficient_unet
from models.networks.encoders import encoder_layers
from models.networks.fast import build_fast
from models.networks.lite_unet import build_lite_unet
from models.networks.multires_unet import build_multires_unet
from models.networks.swin_unet import build_swin_unet
from models.networks.unet import build_unet
from models.networks.unet3plus import build_unet3plus

__all__ = [
    "build_attention_unet",
    "build_deeplabv3plus",
    "build_efficient_unet",
    "build_fast",
    "build_lite_unet",
    "build_multires_unet",
    "build_swin_unet",
    "build_unet",
    "build_unet3plus",
    "encoder_layers",
]
