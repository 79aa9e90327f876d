"""Which photographs are predicted; masks, overlays and measurements agree with the probability map."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import scipy.ndimage

from pipeline.inference import TiledSegmenter
from pipeline.operating_point import OperatingPoint
from pipeline.prediction.detections import detect
from pipeline.prediction.landmarks import find_landmarks
from pipeline.prediction.measurements import lesion_features, summarize, summary_columns
from pipeline.prediction.pictures import legend, output_files, write_pictures
from records import CLASS_COLORS, field_of_view

CLASSES = ("HE", "MA")
THRESHOLDS = (0.5, 0.85)


@pytest.fixture(scope="module")
def segmenter(spec):
    """Two classes that follow from the pixels: how dark a pixel is in green, and in red."""
    geometry = spec(classes=CLASSES, thresholds=THRESHOLDS, tile=32, overlap=0.25, window="hann")
    return TiledSegmenter(lambda images: 1 - images[..., 1::-1] / 255, geometry)


@pytest.fixture(scope="module")
def photograph():
    """Uint8 `[90, 130, 3]`: dark discs in green on a bright ground, some of which touch by a corner alone."""
    rng = np.random.default_rng(4)
    ys, xs = np.mgrid[:90, :130]
    dark = np.zeros((90, 130), bool)
    for _ in range(12):
        y, x, radius = rng.uniform(0, 90), rng.uniform(0, 130), rng.uniform(0.5, 9)
        dark |= np.hypot(ys - y, xs - x) <= radius
    dark[60:63, 80:83] = dark[63:66, 83:86] = True
    picture = rng.integers(150, 256, (90, 130, 3))
    picture[..., 1][dark] = rng.integers(0, 120, dark.sum())
    picture[..., 0][rng.random((90, 130)) < 0.01] = 10
    return picture.astype(np.uint8)


@pytest.fixture(scope="module")
def predicted(segmenter, photograph, tmp_path_factory):
    """A prediction, the folder it was written to, and the probability map it must agree with."""
    folder = tmp_path_factory.mktemp("prediction")
    for name in ("masks", "overlays"):
        (folder / name).mkdir()
    prediction = predict(segmenter, "eye", photograph, folder)
    return prediction, folder, segmenter.segment(photograph).numpy()


class Prediction(NamedTuple):
    """A row of predictions.csv, and GeoJSON features."""

    summary: dict
    features: list[dict]


def predict(segmenter: TiledSegmenter, case: str, photograph: np.ndarray, folder: Path) -> Prediction:
    spec, measured = segmenter.spec, segmenter.measure(photograph)
    operating_point, visible = OperatingPoint(spec.thresholds), field_of_view(photograph)
    detections = detect(segmenter.segment_measured(measured).map, operating_point)
    landmarks = find_landmarks(measured, visible, classes=spec.classes, detected=detections.masks)
    features = lesion_features(spec.classes, detections, landmarks=landmarks)
    write_pictures(
        spec,
        case,
        photograph,
        detected=detections.masks,
        entries=legend(spec.classes, operating_point, features),
        notes=[],
        output=folder,
        masks=None,
    )
    arrays = {"visible": visible, "detections": detections}
    arrays |= {"quality": measured.quality, "scale": measured.scale, "warnings": []}
    return Prediction(summarize(spec.classes, case, folder / f"{case}.png", **arrays, features=features), features)


def measurements(prediction: Prediction, name: str) -> list[dict]:
    properties = [feature["properties"] for feature in prediction.features]
    return [one["measurements"] for one in properties if one["classification"]["name"] == name]


def test_masks_are_0_and_255_where_the_map_reaches_the_threshold(predicted):
    _, folder, maps = predicted
    for index, name in enumerate(CLASSES):
        mask = cv2.imread(str(folder / "masks" / f"eye_{name}.png"), cv2.IMREAD_UNCHANGED)
        assert (mask.dtype, mask.shape) == (np.uint8, (90, 130))
        assert set(np.unique(mask)) == {0, 255}
        assert np.array_equal(mask == 255, maps[..., index] >= np.float32(THRESHOLDS[index]))


def test_the_overlay_is_the_photograph_with_the_outlines_of_the_detections_above_a_white_legend(predicted, photograph):
    _, folder, maps = predicted
    whole = cv2.imread(str(folder / "overlays" / "eye.jpg"))[..., ::-1].astype(int)
    height, width = photograph.shape[:2]
    overlay, below = whole[:height, :width], whole[height:]
    assert 2 * 15 < len(below) < 2 * 25  # an entry of each class in a line of its own
    assert np.median(below) > 250
    found = maps[..., 0] >= THRESHOLDS[0]
    edge = found & ~scipy.ndimage.binary_erosion(found, border_value=1)
    far = ~scipy.ndimage.binary_dilation(found | (maps[..., 1] >= THRESHOLDS[1]), iterations=9)
    green = overlay[..., 1] - (overlay[..., 0] + overlay[..., 2]) / 2
    assert green[edge].mean() > 0 > -80 > green[found & ~edge].mean()  # the lesions are magenta, their outlines green
    assert abs(green[far].mean()) < 10
    assert abs(overlay[far] - photograph[far].astype(int)).mean() < 25  # JPEG of noise


def test_the_files_of_a_photograph_are_its_masks_and_its_overlay(predicted):
    _, folder, _ = predicted
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {"masks/eye_HE.png", "masks/eye_MA.png", "overlays/eye.jpg"}
    assert written == {str(file) for file in output_files("eye", CLASSES)}


@pytest.mark.parametrize("index", [0, 1])
def test_lesions_are_the_8_connected_regions_that_scipy_finds(predicted, index):
    prediction, _, maps = predicted
    found = maps[..., index] >= np.float32(THRESHOLDS[index])
    labels, number = scipy.ndimage.label(found, structure=np.ones((3, 3)))
    rows = measurements(prediction, CLASSES[index])
    assert number > 5
    assert number < scipy.ndimage.label(found)[1] or index == 1  # some regions are joined by a corner alone
    assert [row["lesion"] for row in rows] == list(range(1, number + 1))

    expected = []
    for region, (ys, xs) in enumerate(scipy.ndimage.find_objects(labels), start=1):
        values = maps[..., index][labels == region]
        center_y, center_x = scipy.ndimage.center_of_mass(labels == region)
        size = (len(values), values.mean(), values.max())
        expected.append((xs.start, ys.start, xs.stop - xs.start, ys.stop - ys.start, center_x, center_y, *size))
    names = ("box_x", "box_y", "box_width", "box_height", "center_x", "center_y", "area_pixels")
    given = [tuple(row[name] for name in (*names, "mean_probability", "maximum_probability")) for row in rows]
    for one, other in zip(sorted(given), sorted(expected), strict=True):
        assert one[:4] == other[:4]
        assert one[4:6] == pytest.approx(other[4:6], abs=0.051)  # written with one decimal
        assert one[6] == other[6]
        assert one[7:] == pytest.approx(other[7:], abs=0.6e-4)


def test_the_summary_counts_what_the_rows_list(predicted, photograph):
    prediction, folder, maps = predicted
    summary = prediction.summary
    retina = int(field_of_view(photograph).sum())
    assert (summary["case"], summary["file"]) == ("eye", str(folder / "eye.png"))
    assert list(summary) == summary_columns(CLASSES)
    assert (summary["height"], summary["width"], summary["retina_pixels"]) == (90, 130, retina)
    for index, name in enumerate(CLASSES):
        rows = measurements(prediction, name)
        pixels = int((maps[..., index] >= np.float32(THRESHOLDS[index])).sum())
        assert summary[f"{name}_lesions"] == len(rows)
        assert summary[f"{name}_pixels"] == sum(row["area_pixels"] for row in rows) == pixels
        assert summary[f"{name}_share_of_retina"] == pytest.approx(pixels / retina, abs=1e-6)
        assert summary[f"{name}_maximum"] == pytest.approx(maps[..., index].max(), abs=1e-4)


def test_the_legend_has_threshold_least_area_and_number_of_detections_of_each_class(predicted):
    prediction, _, _ = predicted
    counts = [prediction.summary[f"{name}_lesions"] for name in CLASSES]
    every = legend(CLASSES, OperatingPoint(THRESHOLDS), prediction.features)
    assert every == [f"HE from 0.5: {counts[0]} detections", f"MA from 0.85: {counts[1]} detections"]
    one = legend(CLASSES, OperatingPoint((0.12345, 0.5), (20, 1)), prediction.features[:1])
    assert one == ["HE from 0.123 and 20 px: 1 detection", "MA from 0.5: 0 detections"]


def test_a_photograph_that_shows_nothing_has_no_lesions_and_no_share(spec, tmp_path):
    for name in ("masks", "overlays"):
        (tmp_path / name).mkdir()
    segmenter = TiledSegmenter(lambda images: images[..., :1] / 255, spec())
    prediction = predict(segmenter, "black", np.zeros((20, 30, 3), np.uint8), tmp_path)
    assert prediction.features == []
    assert (prediction.summary["retina_pixels"], prediction.summary["HE_share_of_retina"]) == (0, "")
    assert not cv2.imread(str(tmp_path / "masks" / "black_HE.png"), cv2.IMREAD_UNCHANGED).any()


def test_features_are_what_qupath_reads_as_annotations(predicted):
    prediction, _, _ = predicted
    assert {feature["geometry"]["type"] for feature in prediction.features} == {"Polygon", "MultiPolygon"}
    for feature in prediction.features:
        assert (feature["type"], feature["properties"]["objectType"]) == ("Feature", "annotation")
        classification = feature["properties"]["classification"]
        assert classification["color"] == CLASS_COLORS[CLASSES.index(classification["name"])]
        assert all(isinstance(value, int | float) for value in feature["properties"]["measurements"].values())
        polygons = feature["geometry"]["coordinates"]
        if feature["geometry"]["type"] == "Polygon":
            polygons = [polygons]
        assert all(ring[0] == ring[-1] for polygon in polygons for ring in polygon)
        xs, ys = np.concatenate([polygon[0] for polygon in polygons]).T
        measured = feature["properties"]["measurements"]
        assert (xs.min(), ys.min()) == (measured["box_x"], measured["box_y"])
        assert (np.ptp(xs), np.ptp(ys)) == (measured["box_width"], measured["box_height"])
