"""TiledSegmenter: one graph from a photograph to its probability map, and the model folder that holds all it needs.

The same graph is what eval scores, predict uses and export saves.
"""

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from configs import Config, InputError
from models import Network, fold_normalization
from pipeline.tiling import stitch
from records import complete_file, make_folder, stride_of_overlap, write_text

SCHEMA_VERSION = 1
# What Keras, zipfile, zlib, h5py and json were seen to raise on a .keras file with damaged bytes or foreign layers.
DAMAGE = (ValueError, OSError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)
NETWORK_FILE, SEGMENTER_FILE = "network.keras", "segmenter.json"


@dataclasses.dataclass(frozen=True)
class SegmenterSpec:
    """All that the graph depends on beside the network; `segmenter.json` of a model folder.

    Attributes:
      classes: names of the map's channels.
      scale: by which photographs are shrunk first.
      tile: side of the tiles, pixels of the scaled photograph.
      overlap: share of a tile that neighbours have in common.
      window: weight of a tile's pixels, a name of `records.grid.window`.
      tile_batch: tiles that go through the network at once.
      thresholds: operating threshold of each class.
      splits: the names of the cases that the network was trained, validated and is to be tested on.
      records_fingerprint: of the records that the network was trained on.
      config_fingerprint: of the whole config.
      colors: of the classes where the source has one coloured mask a photograph, else empty; see `DataConfig`.
      threshold_source: "validation" where the thresholds are the best on the validation photographs, else "config".
    """

    classes: tuple[str, ...]
    scale: float
    tile: int
    overlap: float
    window: str
    tile_batch: int
    thresholds: tuple[float, ...]
    splits: Mapping[str, Sequence[str]]
    records_fingerprint: str
    config_fingerprint: str
    colors: tuple[str, ...] = ()
    threshold_source: str = "config"

    @classmethod
    def from_config(
        cls, config: Config, splits: Mapping[str, Sequence[str]], thresholds: tuple[float, ...] | None = None
    ) -> "SegmenterSpec":
        """Takes what the config says; without `thresholds`, its threshold is that of every class."""
        return cls(
            classes=config.data.classes,
            scale=config.data.scale,
            tile=config.segment.tile or config.data.tile,
            overlap=config.segment.overlap,
            window=config.segment.window,
            tile_batch=config.segment.tile_batch,
            thresholds=thresholds or (config.evaluate.threshold,) * len(config.data.classes),
            splits=splits,
            records_fingerprint=config.fingerprint("data"),
            config_fingerprint=config.fingerprint(),
            colors=config.data.colors,
            threshold_source="validation" if thresholds else "config",
        )


class TiledSegmenter(tf.Module):
    """A photograph in, its probability map out, all on the device, one trace for all sizes.

    Example:
      >>> segmenter = load_segmenter(Path("WORKDIR/model"))
      >>> segmenter.segment(photograph)  # float32 [H, W, C], 0..1

    Keep the segmenter in a variable: TensorFlow holds a bound method's object weakly, so that
    `load_segmenter(folder).segment(photograph)` in one expression finds it gone.
    """

    def __init__(self, network: Any, spec: SegmenterSpec):
        """Args:
        network: float32 RGB 0..255 `[B, T, T, 3]` → float32 `[B, T, T, C]`; a `keras.Model` or any function.
        spec: geometry and classes.
        """
        super().__init__()
        self.network = network
        self.spec = spec

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")])
    def segment(self, photograph: tf.Tensor) -> tf.Tensor:
        """Maps uint8 RGB `[H, W, 3]` to probabilities, float32 `[H, W, C]`.

        The photograph is shrunk by area averaging, cut, run, blended, and the map scaled back bilinearly (half-pixel
        centres, no antialias).
        """
        spec = self.spec
        size = tf.shape(photograph)[:2]
        scaled_size = tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float64) * spec.scale), tf.int32), 1)
        scaled = photograph
        if spec.scale != 1:
            area = tf.image.resize(photograph, scaled_size, tf.image.ResizeMethod.AREA)
            scaled = tf.cast(tf.floor(area + 0.5), tf.uint8)  # as OpenCV rounds in the records; tf.round is to even
        probabilities = stitch(
            scaled,
            self.tiles,
            classes=len(spec.classes),
            tile=spec.tile,
            stride=stride_of_overlap(spec.tile, spec.overlap),
            window_name=spec.window,
            tile_batch=spec.tile_batch,
        )
        if spec.scale != 1:
            probabilities = tf.image.resize(probabilities, size)
        return tf.ensure_shape(probabilities, [None, None, len(spec.classes)])

    def tiles(self, images: tf.Tensor) -> tf.Tensor:
        """Maps a batch of tiles, float32 RGB 0..255 `[B, T, T, 3]`, to probabilities, float32 `[B, T, T, C]`."""
        if isinstance(self.network, keras.Model):
            return self.network(images, training=False)
        return self.network(images)


def check_tile(network: Network, tile: int, field: str) -> None:
    """Raises InputError where the network's stride does not divide the tile."""
    if tile % network.stride:
        raise InputError(f"{field} must be a multiple of the network's stride {network.stride}; received {tile}.")


def save_model(folder: Path, network: Network, spec: SegmenterSpec) -> None:
    """Writes the model folder: the network without its optimizer, and `segmenter.json` last."""
    make_folder(folder, flag="model")
    # A .keras file holds the optimizer's state too, two more numbers a weight, whatever `include_optimizer` says (seen
    # in Keras 3.15.1); a copy that was never compiled has none.
    bare = network.from_config(network.get_config())
    bare.set_weights(network.get_weights())
    with complete_file(folder / NETWORK_FILE) as temporary:
        bare.save(temporary)
    content = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(spec)}
    write_text(folder / SEGMENTER_FILE, json.dumps(content, indent=2) + "\n")


def load_segmenter(folder: Path) -> TiledSegmenter:
    """Loads a model folder, the normalisations of its network folded into its convolutions.

    Raises:
      InputError: not a model folder, files of another schema version, or damaged ones.
    """
    for file in (folder / NETWORK_FILE, folder / SEGMENTER_FILE):
        if not file.is_file():
            raise InputError(
                f"--model={folder}: no {file.name} there; expected a model folder, such as WORKDIR/model that "
                "python -m scripts.train leaves."
            )
    spec = _read_spec(folder / SEGMENTER_FILE)
    try:
        network = keras.models.load_model(folder / NETWORK_FILE, compile=False)
    except DAMAGE as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{folder / NETWORK_FILE}: damaged, or no network of this software ({first_line}).") from error
    return TiledSegmenter(fold_normalization(network), spec)  # the file keeps the network that can be trained on


def _read_spec(path: Path) -> SegmenterSpec:
    try:
        content = json.loads(path.read_text())
        version = content.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(f"{path}: schema version {version}, but this software reads {SCHEMA_VERSION}.")
        tuples = {name: tuple(content[name]) for name in ("classes", "thresholds", "colors")}
        return SegmenterSpec(**{**content, **tuples})
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}).") from error
