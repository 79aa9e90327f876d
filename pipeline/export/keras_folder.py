"""A model folder for others: to load with Keras alone, and to upload to the Hugging Face Hub."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import keras

from configs import InputError
from models import Network
from pipeline.export.versions import new_version
from pipeline.inference import SegmenterSpec, copy_network, load_model, save_spec
from records import new_salt

WEIGHTS_FILE, CARD_FILE = "model.safetensors", "README.md"
BESIDE = (".md", ".png", ".jpg")  # of a model folder, such as its card with its figures
CARD = """\
---
license: {license}
library_name: keras
pipeline_tag: image-segmentation
tags:
- fundus
- ophthalmology
- medical-imaging
- semantic-segmentation
{datasets}metrics:
- dice
- average_precision
---

# Lesions in fundus photographs: {classes}

A Keras network of {parameters:,} parameters that gives each pixel of a fundus photograph a probability of {classes}.
Made with fundus-tiles. Not a medical device.{more}

```bash
python load.py     # computes one tile; needs keras and TensorFlow or JAX (KERAS_BACKEND=jax), nothing else
```

```python
import load                    # registers the layers: keras.models.load_model("network.keras") works from here on

network = load.load_network()  # float32 RGB 0..255 [B, h, w, 3] → probabilities float32 [B, h, w, {count}]
```

Written with Keras {keras}; loading was tested with this version, on TensorFlow 2.21 and on JAX 0.10.

- **Input**: the photograph, resized by area averaging to {scale}. `h` and `w` are multiples of {stride}; photographs
  were cut into tiles of {tile} pixels. The network scales its input itself.
- **Output**: channel by channel, with the threshold from which a pixel counts as positive:

| channel | class | threshold |
| --- | --- | --- |
{rows}

`model.safetensors` has the same weights, float32, by their paths in the network:

```python
weights = safetensors.numpy.load_file("model.safetensors")
for weight in network.weights:
    weight.assign(weights[weight.path])
```

`segmenter.json` says the rest: tile, overlap, window, thresholds, how photographs are scaled. With fundus-tiles this
folder is a model folder (`--model=FOLDER` of each command), which takes whole photographs of any size.
"""


def export_keras(
    model_folder: Path,
    output: Path,
    *,
    version: int,
    overwrite: bool,
    license_name: str = "unknown",
    datasets: Sequence[str] = (),
    anonymous: bool = False,
) -> Path:
    """Writes `OUTPUT/VERSION/`, a model folder that others can load, completely or not at all.

    It has the files of a model folder, `load.py` among them, a README whose head the Hugging Face Hub reads, the
    weights as `model.safetensors`, and the model's own card and figures.

    Args:
      model_folder: a model folder, also one of an earlier version.
      output: folder of all versions.
      version: number of the version.
      overwrite: whether an existing export of this version is replaced.
      license_name: licence of the weights, as the Hub calls it ("cc-by-4.0").
      datasets: data sets that the model has learnt from, as the Hub calls them.
      anonymous: whether `segmenter.json` has salted digests in place of names, see `SegmenterSpec.anonymized`.

    Returns:
      `OUTPUT/VERSION`.

    Raises:
      InputError: the model cannot be loaded, safetensors is not installed, or see `new_version`.
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise InputError(
            '--format=keras needs safetensors; install it with pip install "fundus-tiles[hub]".'
        ) from error
    network, spec = load_model(model_folder)
    if anonymous:
        spec = spec.anonymized(new_salt())
    with new_version(output, version, overwrite=overwrite) as folder:
        copy_network(model_folder, folder)
        save_spec(folder, spec)
        weights = {weight.path: keras.ops.convert_to_numpy(weight) for weight in network.weights}
        (folder / WEIGHTS_FILE).write_bytes(save(weights, metadata={"format": "keras"}))
        others = [path for path in model_folder.iterdir() if path.suffix in BESIDE and path.name != CARD_FILE]
        for path in others:
            shutil.copy(path, folder / path.name)
        cards = [path.name for path in others if path.suffix == ".md"]
        (folder / CARD_FILE).write_text(
            _card(network, spec, license_name=license_name, datasets=datasets, cards=cards), encoding="utf-8"
        )
    return output / str(version)


def _card(
    network: Network, spec: SegmenterSpec, *, license_name: str, datasets: Sequence[str], cards: Sequence[str]
) -> str:
    listed = "".join(f"- {name}\n" for name in datasets)
    return CARD.format(
        license=license_name,
        datasets=f"datasets:\n{listed}" if datasets else "",
        classes=", ".join(spec.classes),
        count=len(spec.classes),
        parameters=network.count_params(),
        more="".join(f" Data, training and scores: [{name}]({name})." for name in cards),
        keras=keras.__version__,
        scale=spec.rule(),
        stride=network.stride,
        tile=spec.tile,
        rows="\n".join(
            f"| {number} | {name} | {threshold:g} |"
            for number, (name, threshold) in enumerate(zip(spec.classes, spec.thresholds, strict=True))
        ),
    )
