"""TiledSegmenter: one graph from a photograph to its probability map, and the model folder that holds all it needs.

The same graph is what eval scores, predict uses and export saves.
"""

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from configs import Config, EvaluateConfig, InputError, SegmentConfig
from models import Network, fold_normalization, halve_kernels, of_classes
from pipeline.inference.background import tiles_with_retina
from pipeline.inference.compiling import compiles
from pipeline.inference.orientations import average_over
from pipeline.inference.scaling import enlarge, shrink
from pipeline.inference.tiling import Tiling, stitch, tile_starts
from records import complete_file, make_folder, stride_of_overlap, write_text

SCHEMA_VERSION = 1
# What Keras, zipfile, zlib, h5py and json were seen to raise on a .keras file with damaged bytes or foreign layers.
DAMAGE = (ValueError, OSError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)
NO_NUMBERS = (
    "the network's map has pixels that are no number (NaN): its weights, or what its layers make of this photograph, "
    "have grown too large. Train it with a lower train.learning_rate, with train.global_clipnorm, or in float32."
)
TUPLES = ("classes", "thresholds", "colors", "seen_before", "calibrated_on")  # fields that JSON has as lists
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
      flips, skip_background, trim, xla: see `SegmentConfig`. A folder that was written before there were such fields
        has none of them, and means the values that stand here.
      threshold_source: "validation" where the thresholds are the best on the validation photographs, "held out" on
        photographs that were scored by other networks which had not seen them (`pipeline.evaluation.calibration`),
        else "config"; "unknown" of a folder that does not say.
      bins: of the histograms that eval counts into.
      seen_before: names of the photographs that the weights were trained on with which training began.
      calibrated_on: names of the photographs that thresholds and calibration were chosen on, where they are "held out".
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
    flips: int = 1
    skip_background: bool = False
    trim: bool = False
    xla: str = "auto"
    threshold_source: str = "config"
    bins: int = EvaluateConfig().bins
    seen_before: tuple[str, ...] = ()
    calibrated_on: tuple[str, ...] = ()

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
            flips=config.segment.flips,
            skip_background=config.segment.skip_background,
            trim=config.segment.trim,
            xla=config.segment.xla,
            threshold_source="validation" if thresholds else "config",
            bins=config.evaluate.bins,
        )

    def of_classes(self, names: Sequence[str]) -> "SegmenterSpec":
        """Returns the same of some of the classes, in the order given."""
        places = [self.classes.index(name) for name in names]
        return dataclasses.replace(
            self,
            classes=tuple(names),
            thresholds=tuple(self.thresholds[place] for place in places),
            colors=tuple(self.colors[place] for place in places) if self.colors else (),
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
        scaled = photograph if spec.scale == 1 else shrink(photograph, self._scaled_size(size))
        probabilities = stitch(
            scaled,
            average_over(spec.flips, self._compiled_tiles()),
            self._tiling(),
            kept=self.kept_tiles(photograph) if spec.skip_background else None,
        )
        if spec.scale != 1:
            probabilities = enlarge(probabilities, size)
        return tf.ensure_shape(probabilities, [None, None, len(spec.classes)])

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name="photograph")])
    def kept_tiles(self, photograph: tf.Tensor) -> tf.Tensor:
        """Says which tiles `skip_background` keeps, of all that there are: bool `[rows, columns]`."""
        size, tiling = self._scaled_size(tf.shape(photograph)[:2]), self._tiling()
        rows, columns = (tile_starts(length, tiling.tile, tiling.stride) for length in tf.unstack(size))
        return tiles_with_retina(photograph, size, rows, columns=columns, tile=tiling.tile)

    def tiles(self, images: tf.Tensor) -> tf.Tensor:
        """Maps a batch of tiles, float32 RGB 0..255 `[B, T, T, 3]`, to probabilities, float32 `[B, T, T, C]`."""
        if isinstance(self.network, keras.Model):
            return self.network(images, training=False)
        return self.network(images)

    def _compiled_tiles(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns `tiles` as a function of its own, which is traced once, however many orientations it runs for."""
        spec = self.spec
        fixed = [spec.tile_batch, spec.tile, spec.tile, 3]
        with tf.init_scope():  # outside of the graph that is being traced
            compiled = not spec.trim and compiles(spec.xla, self.tiles, fixed)
        images = tf.TensorSpec([spec.tile_batch, None, None, 3] if spec.trim else fixed, tf.float32)
        return tf.function(self.tiles, input_signature=[images], autograph=False, jit_compile=compiled)

    def _tiling(self) -> Tiling:
        spec = self.spec
        stride = stride_of_overlap(spec.tile, spec.overlap)
        trim_to = getattr(self.network, "stride", 1) if spec.trim else None
        return Tiling(len(spec.classes), spec.tile, stride, spec.window, spec.tile_batch, trim_to)

    def _scaled_size(self, size: tf.Tensor) -> tf.Tensor:
        """Does what `records.scaled_size` does: int32 `[2]`."""
        return tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float64) * self.spec.scale), tf.int32), 1)


def check_tile(network: Network, tile: int, field: str) -> None:
    """Raises InputError where the network's stride does not divide the tile."""
    if tile % network.stride:
        raise InputError(f"{field} must be a multiple of the network's stride {network.stride}; received {tile}.")


def save_model(folder: Path, network: Network, spec: SegmenterSpec, *, half: bool = False) -> None:
    """Writes the model folder: the network without its optimizer, and `segmenter.json` last.

    Args:
      folder: is made where it is missing.
      network: of any backend.
      spec: what stands beside it.
      half: keeps kernels as float16 in the file, see `models.halve_kernels`.
    """
    make_folder(folder, flag="model")
    # A .keras file holds the optimizer's state too, two more numbers a weight, whatever `include_optimizer` says (seen
    # in Keras 3.15.1); a copy that was never compiled has none.
    bare = network.from_config(network.get_config())
    bare.set_weights(network.get_weights())
    with complete_file(folder / NETWORK_FILE) as temporary:
        bare.save(temporary)
        if half:
            halve_kernels(temporary)
    content = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(spec)}
    write_text(folder / SEGMENTER_FILE, json.dumps(content, indent=2) + "\n")


def load_segmenter(folder: Path, *, fold: bool = True, classes: Sequence[str] | None = None) -> TiledSegmenter:
    """Loads a model folder.

    Args:
      folder: that `save_model` wrote.
      fold: the normalisations of its network into the convolutions before them, which is faster; else it is the
        network as saved, that other weights of it fit.
      classes: those that the map is to have, in their order; None: all of the model.

    Raises:
      InputError: not a model folder, files of another schema version, or damaged ones; a class that the model lacks; or
        Keras does not run on TensorFlow, whose graph this is.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"KERAS_BACKEND is {keras.backend.backend()!r}, but photographs are segmented on 'tensorflow', whatever a "
            "model was trained on; unset it for this command."
        )
    network, spec = load_model(folder)
    network = fold_normalization(network) if fold else network  # the file keeps the network that can be trained on
    if classes is None or tuple(classes) == spec.classes:
        return TiledSegmenter(network, spec)
    for name in classes:
        if name not in spec.classes or list(classes).count(name) > 1:
            raise InputError(
                f"--classes={','.join(classes)}: the model in {folder} has the classes {', '.join(spec.classes)}; name "
                "some of these, each once."
            )
    return TiledSegmenter(of_classes(network, [spec.classes.index(name) for name in classes]), spec.of_classes(classes))


def load_model(folder: Path, *, flag: str = "--model") -> tuple[Network, SegmenterSpec]:
    """Loads the network of a model folder as saved, on any backend, and what stands beside it.

    Args:
      folder: that `save_model` wrote.
      flag: by which the user named it.

    Raises:
      InputError: not a model folder, files of another schema version, or damaged ones.
    """
    for file in (folder / NETWORK_FILE, folder / SEGMENTER_FILE):
        if not file.is_file():
            raise InputError(
                f"{flag}={folder}: no {file.name} there; expected a model folder, such as WORKDIR/model that "
                "python -m scripts.train leaves."
            )
    spec = _read_spec(folder / SEGMENTER_FILE)
    try:
        return keras.models.load_model(folder / NETWORK_FILE, compile=False), spec
    except DAMAGE as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{folder / NETWORK_FILE}: damaged, or no network of this software ({first_line}).") from error


def _read_spec(path: Path) -> SegmenterSpec:
    try:
        content = json.loads(path.read_text())
        version = content.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(f"schema version {version}, but this software reads {SCHEMA_VERSION}.")
        content = {"threshold_source": "unknown", "seen_before": (), "calibrated_on": (), **content}
        tuples = {name: tuple(content[name]) for name in TUPLES}
        spec = SegmenterSpec(**content | tuples)
        SegmentConfig(**{field.name: getattr(spec, field.name) for field in dataclasses.fields(SegmentConfig)})
        return spec
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}).") from error
