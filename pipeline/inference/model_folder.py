"""The model folder: a network and `segmenter.json`, everything that a `TiledSegmenter` needs."""

import contextlib
import dataclasses
import hashlib
import json
import math
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import keras

from configs import InputError, SegmentConfig
from configs.schema import check_scaling
from models import Network, fold_normalization, halve_kernels, of_classes, standalone_code
from pipeline.inference.segmenter import TiledSegmenter
from pipeline.inference.spec import SegmenterSpec
from records import (
    UNKNOWN_CAMERA,
    Camera,
    PhotographIdentity,
    ScaleRule,
    complete_file,
    make_folder,
    sha256_of,
    write_text,
)

SCHEMA_VERSION = 1
NETWORK_FILE, SEGMENTER_FILE, LOAD_FILE = "network.keras", "segmenter.json", "load.py"
# Observed from Keras, zipfile, zlib, h5py and json for .keras files with damaged bytes or unknown layers.
DAMAGE = (ValueError, OSError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)
# Fields that are lists in JSON.
TUPLES = ("classes", "thresholds", "colors", "seen_before", "calibrated_on", "min_areas", "members")
# Values of fields that older files lack, where they differ from the defaults of `SegmenterSpec`.
MISSING = {"threshold_source": "unknown", "seen_before": (), "calibrated_on": (), "min_areas": (), "members": ()}


class SegmenterOptions(TypedDict):
    """What a user chooses of a model, as `load_segmenter` reads it."""

    classes: Sequence[str] | None
    camera: Camera
    max_pixels: int | None


def check_tile(network: Network, tile: int, field: str) -> None:
    """Raises InputError if a tile's side, given by a config field, is not a multiple of the network's stride."""
    if tile % network.stride:
        raise InputError(f"{field} must be a multiple of the network's stride {network.stride}; received {tile}.")


def save_model(folder: Path, network: Network, spec: SegmenterSpec, *, half: bool = False) -> None:
    """Writes a model folder: `load.py`, the network without its optimizer, and `segmenter.json` last.

    Args:
      folder: the folder, created if it does not exist.
      network: a network of any backend.
      spec: the content of `segmenter.json`.
      half: whether the file stores kernels as float16, see `models.halve_kernels`.
    """
    make_folder(folder, flag="model")
    # Keras 3.15.1 saves the optimizer's state, two more numbers per weight, whatever `include_optimizer` says; a copy
    # that was never compiled has none.
    with _on_this_host_alone():
        bare = network.from_config(network.get_config())
        bare.set_weights(network.get_weights())
    with complete_file(folder / NETWORK_FILE) as temporary:
        bare.save(temporary)
        if half:
            halve_kernels(temporary)
    _write_loader(folder)
    save_spec(folder, spec)


@contextlib.contextmanager
def _on_this_host_alone() -> Iterator[None]:
    """Keeps JAX from distributing new variables over several hosts, of which the others would have to join in."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def copy_network(model: Path, folder: Path) -> None:
    """Copies the network of a model folder to another folder, with the `load.py` that belongs to it."""
    with complete_file(folder / NETWORK_FILE) as temporary:
        shutil.copy(model / NETWORK_FILE, temporary)
    _write_loader(folder)


def _write_loader(folder: Path) -> None:
    """Writes the `load.py` of a model folder, by which Keras alone can load its network."""
    write_text(folder / LOAD_FILE, standalone_code(folder / NETWORK_FILE))


def save_spec(folder: Path, spec: SegmenterSpec) -> None:
    """Writes the `segmenter.json` of a model folder, whose network is there already."""
    content = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(spec)}
    write_text(folder / SEGMENTER_FILE, json.dumps(content, indent=2) + "\n")


def load_segmenter(
    folder: Path,
    *,
    fold: bool = True,
    classes: Sequence[str] | None = None,
    camera: Camera = UNKNOWN_CAMERA,
    max_pixels: int | None = None,
) -> TiledSegmenter:
    """Loads the segmenter of a model folder.

    Args:
      folder: a folder that `save_model` wrote.
      fold: whether normalization layers are folded into the convolutions before them, which is faster; otherwise the
        network is as saved, so that other weights of it can be set.
      classes: classes of the probability map, in this order; None: all classes of the model.
      camera: what the user knows about the camera of the photographs.
      max_pixels: largest number of pixels of a photograph; None: as the model folder says.

    Raises:
      InputError: the folder is no model folder, its files are damaged or of another schema version, the model lacks
        one of the classes, an angle of view is given but the model does not scale by it, or Keras runs on another
        backend than TensorFlow.
    """
    network, spec = load_model(folder)
    options: SegmenterOptions = {"classes": classes, "camera": camera, "max_pixels": max_pixels}
    return make_segmenter(network, spec, name=f"the model in {folder}", fold=fold, **options)


def make_segmenter(
    network: Network,
    spec: SegmenterSpec,
    *,
    name: str,
    fold: bool = True,
    classes: Sequence[str] | None = None,
    camera: Camera = UNKNOWN_CAMERA,
    max_pixels: int | None = None,
) -> TiledSegmenter:
    """Makes the segmenter of a model that was loaded; `name` is what messages call it, see `load_segmenter`."""
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"KERAS_BACKEND is {keras.backend.backend()!r}, but photographs are segmented with 'tensorflow', whichever "
            "backend the model was trained on; unset the variable for this command."
        )
    spec = dataclasses.replace(spec, max_pixels=max_pixels or spec.max_pixels)
    network = fold_normalization(network) if fold else network  # the file keeps the network that can be trained further
    rule = _rule(spec, name, camera)
    if classes is None or tuple(classes) == spec.classes:
        return TiledSegmenter(network, spec, rule)
    for one in classes:
        if one not in spec.classes or list(classes).count(one) > 1:
            raise InputError(
                f"--classes={','.join(classes)}: {name} has the classes {', '.join(spec.classes)}; name some of them, "
                "each once."
            )
    return TiledSegmenter(
        of_classes(network, [spec.classes.index(one) for one in classes]), spec.of_classes(classes), rule
    )


def _rule(spec: SegmenterSpec, name: str, camera: Camera) -> ScaleRule:
    if camera.degrees is not None and spec.field_diameter is None:
        raise InputError(
            f"--field_degrees={camera.degrees:g}: {name} scales all photographs by {spec.scale:.4g}, "
            "whatever their field of view; give --scale instead."
        )
    return spec.rule(camera)


def load_model(folder: Path, *, flag: str = "--model") -> tuple[Network, SegmenterSpec]:
    """Loads a model folder's network as it was saved, on any backend, and its spec.

    Args:
      folder: a folder that `save_model` wrote.
      flag: the flag that names the folder, for messages.

    Raises:
      InputError: the folder is no model folder, or its files are damaged or of another schema version.
    """
    spec = spec_of(folder, flag=flag)
    try:
        return keras.models.load_model(folder / NETWORK_FILE, compile=False), spec
    except DAMAGE as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{folder / NETWORK_FILE}: damaged, or not a network of this software ({first_line})."
        ) from error


def spec_of(folder: Path, *, flag: str = "--model") -> SegmenterSpec:
    """Reads the spec of a model folder, without its network, as `load_model` does."""
    for file in (folder / NETWORK_FILE, folder / SEGMENTER_FILE):
        if not file.is_file():
            raise InputError(
                f"{flag}={folder}: contains no {file.name}; expected a model folder, such as WORKDIR/model of "
                "python -m scripts.train."
            )
    return read_spec(folder / SEGMENTER_FILE)


def fingerprint_of(folder: Path, classes: Sequence[str]) -> str:
    """Returns 16 hexadecimal digits that depend on the files of a model folder and on the classes taken from it."""
    parts = [*(sha256_of(folder / name) for name in (NETWORK_FILE, SEGMENTER_FILE)), *classes]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def read_spec(path: Path) -> SegmenterSpec:
    """Reads a `segmenter.json`, also one of an earlier version.

    Raises:
      InputError: the file is damaged, of another schema version, or has values that are not allowed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(f"schema version {version}, but this software reads {SCHEMA_VERSION}.")
        content = MISSING | content
        tuples = {name: tuple(content[name]) for name in TUPLES}
        content["photographs"] = {
            use: tuple(PhotographIdentity(**one) for one in identities)
            for use, identities in content.get("photographs", {}).items()
        }
        spec = SegmenterSpec(**{"scale": None} | content | tuples)
        check_scaling("", scale=spec.scale, field_diameter=spec.field_diameter, field_degrees=spec.field_degrees)
        spec.data()
        _check_areas(spec)
        SegmentConfig(**{field.name: getattr(spec, field.name) for field in dataclasses.fields(SegmentConfig)})
        return spec
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}).") from error


def _check_areas(spec: SegmenterSpec) -> None:
    if len(spec.min_areas) not in (0, len(spec.classes)) or not all(0 <= area < math.inf for area in spec.min_areas):
        raise InputError(
            f"min_areas {list(spec.min_areas)}: expected a number of pixels of at least 0 for each of the "
            f"{len(spec.classes)} classes, or none."
        )
