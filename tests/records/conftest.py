"""Fixtures of the records' tests: photographs and masks, writers of image files, and one set of shards."""

import io
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from configs import DataConfig
from records import Case, Index, Survey, assign_validation, find_cases, survey_case

# No deadline, as the machine may be busy; no random seed, so that a failure can be repeated.
settings.register_profile("records", deadline=None, derandomize=True)
settings.load_profile("records")

IDRID = "FUNDUS_TILES_IDRID"
PARTS = ("a. Training Set", "b. Testing Set")
CLASS_FOLDERS = {"MA": "1. Microaneurysms", "HE": "2. Haemorrhages"}


class Photographed(NamedTuple):
    """A photograph, uint8 RGB `[H, W, 3]`, and its masks by class, bool `[H, W]`; a class without lesions is absent."""

    photograph: np.ndarray
    masks: dict[str, np.ndarray]


class RecordsSet(NamedTuple):
    """A set of records as `scripts.shard` writes it, and its source."""

    source: Path
    folder: Path
    data: DataConfig
    cases: list[Case]
    surveys: dict[str, Survey]
    index: Index
    failures: dict[str, str]
    photographed: dict[str, Photographed]


@pytest.fixture(scope="session")
def idrid() -> Path:
    """The folder of the IDRiD data set; skips the test if there is none."""
    if IDRID not in os.environ:
        pytest.skip(f"{IDRID} is not set to IDRiD's folder")
    return Path(os.environ[IDRID])


@pytest.fixture(scope="session")
def random_photograph() -> Callable[..., np.ndarray]:
    """Draws uint8 RGB `[height, width, 3]` that no turn or flip leaves as it is: smooth, over the whole range."""

    def draw(height: int, width: int, *, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    return draw


@pytest.fixture(scope="session")
def blobs() -> Callable[..., np.ndarray]:
    """Draws bool `[height, width]`: lesions of one pixel and more, some of which touch."""

    def draw(height: int, width: int, *, seed: int = 0, lesions: int = 6, largest: float = 8) -> np.ndarray:
        rng = np.random.default_rng(seed)
        ys, xs = np.mgrid[:height, :width]
        mask = np.zeros((height, width), bool)
        for _ in range(lesions):
            y, x, radius = rng.integers(height), rng.integers(width), rng.uniform(0, largest)
            mask |= np.hypot(ys - y, (xs - x) / rng.uniform(0.5, 2)) <= radius
        return mask

    return draw


@pytest.fixture(scope="session")
def fundus(random_photograph) -> Callable[..., np.ndarray]:
    """Draws a bright retina, uint8 RGB `[height, width, 3]`, in a black surround at both sides."""

    def draw(height: int, width: int, *, seed: int = 0) -> np.ndarray:
        ys, xs = np.mgrid[:height, :width]
        retina = np.hypot(ys - height / 2, xs - width / 2) <= 0.6 * height
        return np.where(retina[..., None], 100 + random_photograph(height, width, seed=seed) // 2, 2).astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def tiff() -> Callable[..., bytes]:
    """Writes an uncompressed TIFF byte by byte, its directory before its pixels.

    It follows the TIFF 6.0 specification, because Pillow or OpenCV could misread a file the way they miswrote it.
    """

    def lay_out(
        pixels: np.ndarray,
        photometric: int,
        *,
        bits: int = 8,
        order: str = "<",
        tags: Mapping[int, list[int]] = MappingProxyType({}),
    ) -> bytes:
        height, width, samples = (*pixels.shape, 1)[:3]
        packed = np.packbits(pixels.astype(bool), axis=1) if bits == 1 else pixels.astype(f"{order}u{bits // 8}")
        body = packed.tobytes()
        entries = {
            256: [width],
            257: [height],
            258: [bits] * samples,
            259: [1],  # not compressed
            262: [photometric],  # 0: 0 is white; 1: 0 is black; 2: RGB; 3: palette
            273: [0],  # where the pixels begin, filled in below
            277: [samples],
            278: [height],
            279: [len(body)],
            **tags,
        }
        after = 8 + 2 + 12 * len(entries) + 4  # the directory; then come values that do not fit into it
        entries[273] = [after + sum(2 * len(values) for values in entries.values() if len(values) > 2)]
        directory, values_after = struct.pack(f"{order}H", len(entries)), b""
        for tag, values in sorted(entries.items()):
            kind, letter = (4, "I") if max(values) > 65535 else (3, "H")  # LONG or SHORT
            field = struct.pack(f"{order}{len(values)}{letter}", *values)
            if len(values) > 2:
                field, values_after = struct.pack(f"{order}I", after + len(values_after)), values_after + field
            directory += struct.pack(f"{order}HHI", tag, kind, len(values)) + field.ljust(4, b"\0")
        start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
        return start + directory + bytes(4) + values_after + body

    return lay_out


@pytest.fixture(scope="session")
def dicom() -> Callable[..., bytes]:
    """Writes a DICOM file of uint8 or uint16 `[H, W]` or `[H, W, 3]`; `data` replaces the encoded pixels."""
    from pydicom import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, OphthalmicPhotography8BitImageStorage

    def write(
        pixels: np.ndarray,
        photometric: str,
        *,
        syntax: str = ExplicitVRLittleEndian,
        data: bytes | None = None,
        **elements: object,
    ) -> bytes:
        bits = 8 * pixels.dtype.itemsize
        file = Dataset()
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = syntax
        file.SOPClassUID = OphthalmicPhotography8BitImageStorage
        file.SOPInstanceUID = "1.2.3"
        file.Rows, file.Columns = pixels.shape[:2]
        file.SamplesPerPixel = (*pixels.shape, 1)[2]
        file.PhotometricInterpretation = photometric
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = bits, bits, bits - 1, 0
        if pixels.ndim == 3:
            file.PlanarConfiguration = 0
        for name, value in elements.items():
            setattr(file, name, value)
        if data is None:
            data = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
        file.PixelData = encapsulate([data]) if UID(syntax).is_encapsulated else data + bytes(len(data) % 2)
        file["PixelData"].VR = "OB" if UID(syntax).is_encapsulated or bits == 8 else "OW"
        with io.BytesIO() as written:
            file.save_as(written, enforce_file_format=True)
            return written.getvalue()

    return write


@pytest.fixture(scope="session")
def write_idrid() -> Callable[..., None]:
    """Writes photographs (PNG) and masks (palette TIFF, black and red) in IDRiD's layout."""

    def write(folder: Path, photographed: Mapping[str, Photographed], *, part: str = PARTS[0]) -> None:
        photographs = folder / "A. Segmentation" / "1. Original Images" / part
        photographs.mkdir(parents=True, exist_ok=True)
        for name, (photograph, masks) in photographed.items():
            Image.fromarray(photograph).save(photographs / f"{name}.png")
            for class_name, class_folder in CLASS_FOLDERS.items():
                place = folder / "A. Segmentation" / "2. All Segmentation Groundtruths" / part / class_folder
                place.mkdir(parents=True, exist_ok=True)
                if class_name in masks:
                    indices = Image.fromarray(masks[class_name].astype(np.uint8))
                    indices.putpalette((0, 0, 0, 255, 0, 0))
                    indices.save(place / f"{name}_{class_name}.tif")

    return write


@pytest.fixture(scope="session")
def shard() -> Callable[..., RecordsSet]:
    """Turns a source into records, as `scripts.shard` does; `order` sorts the cases."""

    def make(
        source: Path, folder: Path, data: DataConfig, *, order: Callable[[list[Case]], list[Case]] = list
    ) -> RecordsSet:
        from records.shards import building, sharding  # import tensorflow, which most tests here do not need

        layout, found = find_cases(source, data.classes)
        cases = order(found)
        surveys = {case.name: survey_case(case, data) for case in cases}
        fractions = {name: survey.lesion_fraction for name, survey in surveys.items()}
        cases = assign_validation(cases, fractions, fraction=data.validation_fraction, seed=data.seed)
        folder.mkdir(parents=True, exist_ok=True)
        plans = sharding.plan_shards(cases, data, surveys)
        index, failures = building.build_records(layout, plans, surveys, folder=folder, workers=2)
        return RecordsSet(source, folder, data, cases, surveys, index, failures, {})

    return make


@pytest.fixture(scope="session")
def records_set(tmp_path_factory, fundus, blobs, write_idrid, shard) -> RecordsSet:
    """Seven training and two test photographs of two classes in tiles of 32 pixels at half size; one has no lesion."""
    base = tmp_path_factory.mktemp("records")
    photographed = {}
    for number in range(1, 10):
        height, width = ((151, 220), (130, 171), (60, 190))[number % 3]  # at half size, the last is lower than a tile
        masks = {name: blobs(height, width, seed=10 * number + shift) for name, shift in (("HE", 0), ("MA", 1))}
        if number == 2:
            del masks["HE"]
        if number == 3:
            masks = {}
        photographed[f"P{number}"] = Photographed(fundus(height, width, seed=number), masks)
    names = list(photographed)
    write_idrid(base / "source", {name: photographed[name] for name in names[:7]}, part=PARTS[0])
    write_idrid(base / "source", {name: photographed[name] for name in names[7:]}, part=PARTS[1])
    data = DataConfig(
        classes=("HE", "MA"),
        scale=0.5,
        tile=32,
        stride=24,
        empty_per_nonempty=0.5,
        validation_fraction=0.3,
        photographs_per_shard=2,
        seed=3,
    )
    return shard(base / "source", base / "records", data)._replace(photographed=photographed)
