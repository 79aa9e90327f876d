"""Building blocks of networks: convolutions, normalisation, enlargement, local contrast, preprocessing."""

from models.layers.blocks import DepthToSpace, Enlarge, check_activation, convolve, drop_path, dropout, normalize
from models.layers.depthwise import DepthwiseConvolution
from models.layers.local_contrast import LocalContrast, LocalStandardization, TileStandardization
from models.layers.normalization import FusedBatchNormalization
from models.layers.preprocessing import preprocess

__all__ = [
    "DepthToSpace",
    "DepthwiseConvolution",
    "Enlarge",
    "FusedBatchNormalization",
    "LocalContrast",
    "LocalStandardization",
    "TileStandardization",
    "check_activation",
    "convolve",
    "drop_path",
    "dropout",
    "normalize",
    "preprocess",
]
