"""The output folder: what counts as finished, what is repeated or refused, and tables made from records."""

import csv
import dataclasses
import itertools
import json
import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs import InputError
from pipeline.inference import MeasuredPhotograph, ProbabilityMap, Segmented, fingerprint_of
from pipeline.operating_point import OperatingPoint
from pipeline.prediction.folder import PredictionFolder
from records import (
    UNKNOWN_CAMERA,
    Camera,
    Case,
    PhotographScale,
    choose_classes,
    import_annotations,
    read_annotations,
    sha256_of,
)

CLASSES = ("HE", "MA")
TABLES = ("predictions.csv", "lesions.csv", "lesions.json")
THRESHOLDS = (0.5, 0.85)  # of the model
EARLIER = Path(__file__).parents[1] / "data" / "earlier_prediction.geojson"  # as version 1 of the records had it
HALF = PhotographScale(0.5, "fixed")


@pytest.fixture
def photographs(tmp_path) -> dict[str, Path]:
    rng = np.random.default_rng(3)
    (tmp_path / "photographs").mkdir()
    found = {case: tmp_path / "photographs" / f"{case}.png" for case in ("a", "b", "c")}
    for path in found.values():
        cv2.imwrite(str(path), rng.integers(60, 256, (40, 50, 3), np.uint8))
    return found


@pytest.fixture
def folder(spec, tmp_path):
    """Makes the folder `out` for a model whose files contain some text."""

    def make(
        *,
        output="out",
        model="a model",
        camera=UNKNOWN_CAMERA,
        annotated=None,
        map_forms=(),
        thresholds=THRESHOLDS,
        min_area=(),
        min_areas=(),
        of_model=(),
        uncertainty=None,
    ) -> PredictionFolder:
        files = tmp_path / "model"
        files.mkdir(exist_ok=True)
        (files / "network.keras").write_text("weights")
        (files / "segmenter.json").write_text(model)
        geometry = spec(classes=CLASSES, thresholds=THRESHOLDS, min_areas=of_model or min_areas)
        return PredictionFolder(
            tmp_path / output,
            geometry,
            model=fingerprint_of(files, CLASSES),
            measure=lambda photograph, _: MeasuredPhotograph(photograph, HALF),
            operating_point=OperatingPoint(thresholds, min_area, min_areas=min_areas),
            camera=camera,
            annotated=annotated or {},
            map_forms=map_forms,
            uncertainty=uncertainty,
        )

    return make


def predict(folder: PredictionFolder, photographs: dict[str, Path], *, overwrite: bool = False, say=print) -> list[str]:
    """Does what the command does, with maps that the pixels give; returns the cases that were not finished."""
    todo = folder.begin(photographs, overwrite=overwrite, say=say)
    for case, path in todo.items():
        measured = folder.read(case, path)
        maps = cv2.blur(measured.pixels[..., :2], (3, 3)).astype(np.float32) / 255
        folder.write(case, path, measured, segmented=segmented(maps, with_spread=folder.uncertainty is not None))
    folder.write_tables()
    return list(todo)


def segmented(maps: np.ndarray, *, with_spread: bool = False) -> Segmented:
    """Returns a photograph with a probability map, float32 `[H, W, C]`, which the network made at twice the size."""
    finer = maps.repeat(2, axis=0).repeat(2, axis=1)
    spread = ProbabilityMap(finer * (1 - finer), maps.shape[:2]) if with_spread else None
    return Segmented(ProbabilityMap(finer, maps.shape[:2]), HALF, seconds=0.5, spread=spread)


def rows(folder: PredictionFolder, table: str) -> list[dict[str, str]]:
    with open(folder.output / table, newline="") as file:
        return list(csv.DictReader(file))


def tables(folder: PredictionFolder) -> dict[str, bytes]:
    return {name: (folder.output / name).read_bytes() for name in TABLES}


def test_a_second_run_finds_all_finished_and_writes_the_same_tables(folder, photographs):
    assert predict(folder(), photographs) == ["a", "b", "c"]
    before = tables(folder())
    assert predict(folder(), photographs) == []
    assert tables(folder()) == before


@pytest.mark.parametrize("until", ["nothing", "masks", "overlays", "the record"])
def test_what_a_kill_left_is_repaired(folder, photographs, until):
    predict(folder(output="undisturbed"), photographs)
    killed = folder()
    predict(killed, {"a": photographs["a"]})
    todo = killed.begin(photographs, overwrite=False)
    assert list(todo) == ["b", "c"]
    if until != "nothing":
        for name in CLASSES:
            (killed.output / "masks" / f"b_{name}.png").write_bytes(b"other pixels")
    if until in ("overlays", "the record"):
        (killed.output / "overlays" / "b.jpg").write_bytes(b"other pixels")
    if until == "the record":
        (killed.output / "geojson" / ".tmp-999999-b.geojson").write_text("{")
    assert predict(folder(), photographs) == ["b", "c"]
    assert tables(killed) == tables(folder(output="undisturbed"))
    assert not list(killed.output.rglob(".tmp*"))
    for file in (killed.output.parent / "undisturbed" / "masks").iterdir():
        assert (killed.output / "masks" / file.name).read_bytes() == file.read_bytes()


def test_runs_over_several_photographs_add_up(folder, photographs):
    predict(folder(output="at once"), photographs)
    for case in ("c", "a", "b"):
        predict(folder(), {case: photographs[case]})
    assert tables(folder()) == tables(folder(output="at once"))


def test_a_changed_photograph_and_a_missing_file_are_done_again(folder, photographs):
    predict(folder(), photographs)
    cv2.imwrite(str(photographs["b"]), np.full((40, 50, 3), 200, np.uint8))
    assert predict(folder(), photographs) == ["b"]
    (folder().output / "masks" / "c_MA.png").unlink()
    assert predict(folder(), photographs) == ["c"]


def test_a_moved_photograph_is_finished_and_another_of_its_name_is_refused(folder, photographs, tmp_path):
    predict(folder(), photographs)
    (tmp_path / "elsewhere").mkdir()
    moved = photographs["a"].rename(tmp_path / "elsewhere" / "a.png")
    assert predict(folder(), {"a": moved}) == []
    cv2.imwrite(str(moved), np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(InputError, match=r"another photograph of this name, .*photographs/a\.png; choose another"):
        folder().begin({"a": moved}, overwrite=False)
    assert predict(folder(), {"a": moved}, overwrite=True) == ["a"]


def test_probability_maps_are_added_by_a_later_run_and_kept_by_runs_without(folder, photographs):
    predict(folder(), photographs)
    assert predict(folder(map_forms=("scaled",)), photographs) == ["a", "b", "c"]
    assert predict(folder(), photographs) == []


def maps_of(folder: PredictionFolder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder.output / "probabilities").iterdir()}


def test_each_form_of_probability_maps_is_written_once_and_beside_what_is_there(folder, photographs):
    one = {"a": photographs["a"]}
    sizes = []
    for forms, done, files in (
        (("scaled",), ["a"], {"a.npz"}),
        (("tiff",), ["a"], {"a.npz", "a_HE.tif", "a_MA.tif"}),
        (("scaled", "tiff"), [], {"a.npz", "a_HE.tif", "a_MA.tif"}),
        (("full_size",), ["a"], {"a.npz", "a_HE.tif", "a_MA.tif"}),
        (("full_size", "tiff"), [], {"a.npz", "a_HE.tif", "a_MA.tif"}),
        (("scaled",), ["a"], {"a.npz", "a_HE.tif", "a_MA.tif"}),
    ):
        assert predict(folder(map_forms=forms), one) == done
        assert maps_of(folder()).keys() == files
        with np.load(folder().output / "probabilities" / "a.npz") as kept:
            sizes.append(kept["probabilities"].shape[:2])
            assert kept["size"].tolist() == [40, 50]
    assert sizes == [(80, 100)] * 3 + [(40, 50)] * 2 + [(80, 100)]


@pytest.mark.parametrize("changed", ["photograph", "model", "camera"])
def test_probability_maps_of_another_photograph_model_or_camera_do_not_stay(folder, photographs, changed):
    one = {"a": photographs["a"]}
    predict(folder(map_forms=("scaled", "tiff")), one)
    if changed == "photograph":
        cv2.imwrite(str(photographs["a"]), np.full((40, 50, 3), 200, np.uint8))
    now = {"model": {"model": "other thresholds"}, "camera": {"camera": Camera(degrees=45)}}.get(changed, {})
    assert predict(folder(map_forms=("full_size",), **now), one, overwrite=changed == "model") == ["a"]
    assert maps_of(folder()).keys() == {"a.npz"}
    assert predict(folder(**now), one) == []
    assert predict(folder(**now), one, overwrite=True) == ["a"]  # of the same photograph and model
    assert maps_of(folder()).keys() == {"a.npz"}


def test_another_model_is_refused_unless_everything_is_overwritten(folder, photographs):
    predict(folder(), photographs)
    before = tables(folder())
    other = folder(model="other thresholds")
    with pytest.raises(InputError, match="predictions of another model for 3 photographs, such as a; add --overwrite"):
        other.begin(photographs, overwrite=False)
    with pytest.raises(InputError, match="for 2 photographs, such as b; pass these photographs as well"):
        other.begin({"a": photographs["a"]}, overwrite=True)
    assert tables(other) == before
    assert predict(other, photographs, overwrite=True) == ["a", "b", "c"]
    assert predict(folder(model="other thresholds"), photographs) == []


def test_another_operating_point_is_refused_with_its_flags_unless_everything_is_overwritten(folder, photographs):
    predict(folder(), photographs)
    before = tables(folder())
    for point in ({"thresholds": (0.5, 0.8)}, {"min_area": (1, 4)}):
        other = folder(**point)
        own = r"another operating point \(without --threshold and --min_area\)"
        with pytest.raises(InputError, match=f"{own} for 3 photographs, such as a; add --overwrite, or choose"):
            other.begin(photographs, overwrite=False)
        with pytest.raises(InputError, match="for 2 photographs, such as b; pass these photographs as well"):
            other.begin({"a": photographs["a"]}, overwrite=True)
    assert tables(folder()) == before
    other = {"thresholds": (0.625, 0.8), "min_area": (6, 1)}
    assert predict(folder(**other), photographs, overwrite=True) == ["a", "b", "c"]
    assert tables(folder()) != before
    assert predict(folder(**other), photographs) == []
    with pytest.raises(InputError, match=r"\(--threshold=HE=0.625,MA=0.8 --min_area=HE=6,MA=1\) for 3 photographs"):
        folder().begin(photographs, overwrite=False)
    assert predict(folder(), photographs, overwrite=True) == ["a", "b", "c"]
    assert tables(folder()) == before
    assert predict(folder(min_area=(1, 1)), photographs) == []


def test_areas_of_the_model_are_converted_for_each_photograph_and_a_flag_in_their_place_is_refused(folder, photographs):
    """Photographs are scaled by a half, so that 1.5 pixels at the network's scale are 6 of the photograph."""
    model = folder(min_areas=(1.5, 0.0), output="model")
    predict(model, photographs)
    predict(folder(min_area=(6, 1), output="pixels"), photographs)
    assert tables(model) == tables(folder(output="pixels"))
    for file in (model.output / "overlays").iterdir():  # with the legend, in pixels of the photograph
        assert file.read_bytes() == (model.output.parent / "pixels" / "overlays" / file.name).read_bytes()
    assert predict(folder(min_areas=(1.5, 0.0), output="model"), photographs) == []
    given = folder(min_area=(6, 1), of_model=(1.5, 0.0), output="model")
    with pytest.raises(InputError, match=r"another operating point \(without --threshold and --min_area\) for 3"):
        given.begin(photographs, overwrite=False)
    predict(given, photographs, overwrite=True)
    with pytest.raises(InputError, match=r"another operating point \(--min_area=HE=6,MA=1\) for 3 photographs"):
        folder(min_areas=(1.5, 0.0), output="model").begin(photographs, overwrite=False)


def test_detections_of_too_few_pixels_are_in_no_file(folder, photographs):
    predict(folder(output="all"), photographs)
    predict(folder(output="large", min_area=(6, 1)), photographs)
    (every, large) = (rows(folder(output=name), "lesions.csv") for name in ("all", "large"))
    kept = [row for row in every if row["class"] == "MA" or int(row["area_pixels"]) >= 6]
    assert 0 < len(kept) == len(large) < len(every)
    numbered = [{name: value for name, value in row.items() if name != "lesion"} for row in kept]
    assert [{name: value for name, value in row.items() if name != "lesion"} for row in large] == numbered
    output = folder(output="large").output
    coco = json.loads((output / "lesions.json").read_text())
    assert [annotation["area"] for annotation in coco["annotations"]] == [int(row["area_pixels"]) for row in large]
    for summary in rows(folder(output="large"), "predictions.csv"):
        areas = [int(row["area_pixels"]) for row in large if (row["case"], row["class"]) == (summary["case"], "HE")]
        mask = cv2.imread(str(output / "masks" / f"{summary['case']}_HE.png"), cv2.IMREAD_UNCHANGED)
        assert int(summary["HE_pixels"]) == np.count_nonzero(mask) == sum(areas)


@pytest.mark.parametrize("maps", [False, True])
def test_a_photograph_of_an_earlier_version_stays_in_the_tables_until_it_is_given_and_predicted_again(
    folder, photographs, maps
):
    predict(folder(), photographs)
    one, said, path = folder(map_forms=("scaled",) if maps else ()), [], photographs["a"].with_name("old.png")
    cv2.imwrite(str(path), np.full((40, 50, 3), 120, np.uint8))
    record = json.loads(EARLIER.read_text())
    own = record["fundus_tiles"]
    own["origin"] |= {"model": one.model, "file": str(path), "sha256": sha256_of(path), "probabilities": maps}
    own["row"]["file"] = str(path)
    (one.output / "geojson" / "old.geojson").write_text(json.dumps(record))
    files = ["masks/old_HE.png", "masks/old_MA.png", "overlays/old.jpg"] + ["probabilities/old.npz"] * maps
    for file in files:
        (one.output / file).write_bytes(b"of the earlier version")

    assert one.begin({}, overwrite=False, say=said.append) == {}
    one.write_tables()
    assert said.pop().endswith("and are not given now; their new columns stay empty.")
    row = rows(one, "predictions.csv")[3]
    assert {name: row[name] for name in own["row"]} == {name: str(value) for name, value in own["row"].items()}
    assert {row[name] for name in row.keys() - own["row"].keys()} == {""}
    earlier = [row for row in rows(one, "lesions.csv") if row["case"] == "old"]
    assert [row["area_pixels"] for row in earlier] == ["89", "160", "37"]
    assert {(row["equivalent_diameter"], row["quadrant"]) for row in earlier} == {("", "")}

    with pytest.raises(InputError, match=r"at another operating point \(without --threshold and --min_area\) for 4"):
        folder(min_area=(4, 4)).begin({"old": path}, overwrite=False)
    assert predict(folder(), {"old": path}, say=said.append) == ["old"]
    (line,) = said
    assert line.startswith("1 photographs were predicted in ") and line.endswith("; they are predicted again.")
    kept = json.loads((one.output / "geojson" / "old.geojson").read_text())["fundus_tiles"]["origin"]["map_forms"]
    assert kept == ["full_size"] * maps
    assert rows(folder(), "predictions.csv")[3]["HE_upper_left"] == "0"
    assert predict(folder(), {"old": path}) == []


def test_another_photograph_of_the_name_of_an_earlier_record_is_refused(folder, photographs):
    one = folder()
    record = json.loads(EARLIER.read_text())
    record["fundus_tiles"]["origin"]["model"] = one.model
    (one.output / "geojson" / "a.geojson").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"another photograph of this name, /photographs/old\.png; choose another"):
        one.begin(photographs, overwrite=False)


def test_what_the_user_says_of_the_camera_is_what_a_photograph_is_finished_with(folder, photographs):
    predict(folder(), photographs)
    assert predict(folder(camera=Camera(scale=0.5)), {"a": photographs["a"]}) == ["a"]
    assert predict(folder(camera=Camera(scale=0.5)), photographs) == ["b", "c"]
    assert predict(folder(camera=Camera(scale=0.5, degrees=45)), photographs) == ["a", "b", "c"]
    assert predict(folder(camera=Camera(scale=0.5, degrees=45)), photographs) == []


def test_a_damaged_record_is_refused_by_its_name(folder, photographs):
    predict(folder(), photographs)
    for content in ("{", "[]", '{"type": "FeatureCollection", "features": []}'):
        (folder().output / "geojson" / "b.geojson").write_text(content)
        with pytest.raises(InputError, match=r"b\.geojson: damaged, or written by another version"):
            folder().begin(photographs, overwrite=False)


def test_a_full_disk_is_reported_with_the_file_and_leaves_no_partial_file(folder, photographs, monkeypatch):
    one = folder()
    predict(one, {"a": photographs["a"]})
    full = iter([False, False, True])  # the disk, when b's masks are there and its overlay is to come
    syncing = os.fsync

    def fsync(descriptor):
        if next(full, True):
            raise OSError(28, "No space left on device")
        syncing(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"No space left on device: '.*overlays/b\.jpg'"):
        predict(one, photographs)
    monkeypatch.undo()
    assert not list(one.output.rglob(".tmp*"))
    assert not (one.output / "overlays" / "b.jpg").exists()
    assert predict(folder(), photographs) == ["b", "c"]


def test_a_probability_map_with_nan_is_refused(folder, photographs):
    one = folder()
    measured = one.read("a", photographs["a"])
    maps = np.full((40, 50, 2), np.nan, np.float32)
    with pytest.raises(InputError, match="the probability map contains NaN"):
        one.write("a", photographs["a"], measured, segmented=segmented(maps))


@pytest.fixture
def annotated(tmp_path, photographs) -> dict[str, Case]:
    """Photograph a, grey and without detections, with an HE lesion and no mask of MA."""
    cv2.imwrite(str(photographs["a"]), np.full((40, 50, 3), 100, np.uint8))
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 5:20] = 255
    cv2.imwrite(str(tmp_path / "a_HE.png"), mask)
    return {"a": Case("a", photographs["a"], {"HE": tmp_path / "a_HE.png", "MA": None}, "train")}


def test_the_ground_truth_is_shown_on_the_left_and_only_where_it_is_known(folder, photographs, annotated):
    predict(folder(), photographs)
    alone = cv2.imread(str(folder().output / "overlays" / "a.jpg"))
    assert np.all(alone[:40, 50:] > 240)  # white beside a photograph that is narrower than its legend
    alone = alone[:40, :50]
    assert predict(folder(annotated=annotated), photographs) == ["a"]
    other = cv2.imread(str(folder().output / "overlays" / "b.jpg"))
    assert np.abs(other[:40, :50].astype(int) - cv2.imread(str(photographs["b"]))).mean() < 60
    assert np.all(other[:40, 50 + 8 :] > 240)
    beside = cv2.imread(str(folder().output / "overlays" / "a.jpg")).astype(int)
    assert np.all(beside[:40, 50 + 6 + 50 + 8 :] > 240)
    (top,) = (row for row in range(len(beside) - 39) if np.abs(beside[row : row + 40, 56:106] - alone).max() < 30)
    edge = np.zeros((40, 50), bool)
    edge[5:20, 5:20] = True
    edge[6:19, 6:19] = False
    left = beside[top : top + 40, :50]
    green = left[..., 1] - (left[..., 0] + left[..., 2]) / 2
    far = cv2.dilate(edge.astype(np.uint8), np.ones((7, 7))) == 0  # JPEG halves the colours' resolution
    assert green[edge].mean() > 50
    assert np.abs(green[far]).max() < 20
    assert predict(folder(annotated=annotated), photographs) == []
    assert predict(folder(), photographs) == []  # a later run without a source removes nothing


def test_what_is_not_labelled_is_striped_in_the_ground_truth_or_named_below_it(
    folder, photographs, annotated, tmp_path
):
    predict(folder(annotated=annotated), {"a": photographs["a"]})
    before = cv2.imread(str(folder().output / "overlays" / "a.jpg")).astype(int)
    ignored = np.zeros((40, 50), np.uint8)
    ignored[25:, 25:] = 255
    cv2.imwrite(str(tmp_path / "ignored.png"), ignored)
    partly = dataclasses.replace(annotated["a"], ignored={"HE": (tmp_path / "ignored.png",)}, unknown=frozenset({"MA"}))
    one = folder(annotated={"a": partly})
    assert one.bytes_of("a", photographs["a"]) > folder(annotated=annotated).bytes_of("a", photographs["a"])
    predict(one, {"a": photographs["a"]}, overwrite=True)
    after = cv2.imread(str(one.output / "overlays" / "a.jpg")).astype(int)
    assert len(after) > len(before)  # the notes
    assert (after[len(before) :] < 100).any()
    changed = np.abs(after[: len(before)] - before).max(axis=-1) > 60
    rows, columns = np.nonzero(changed[: len(before) - 40, :50])
    assert len(rows) and columns.min() >= 25 - 8 and np.ptp(rows) <= 15 + 8  # JPEG blocks
    assert not changed[: len(before) - 40, 56:].any()  # the prediction is as it was


def test_ground_truth_of_another_size_is_refused_and_if_changed_is_drawn_again(
    folder, photographs, annotated, tmp_path
):
    predict(folder(annotated=annotated), photographs)
    cv2.imwrite(str(tmp_path / "a_HE.png"), np.zeros((40, 50), np.uint8))
    assert predict(folder(annotated=annotated), photographs) == ["a"]
    cv2.imwrite(str(tmp_path / "a_HE.png"), np.zeros((40, 51), np.uint8))
    with pytest.raises(InputError, match="a_HE"):
        predict(folder(annotated=annotated), photographs)


def test_coco_contains_every_lesion_and_its_pixels(folder, photographs):
    one = folder()
    predict(one, photographs)
    coco = json.loads((one.output / "lesions.json").read_text())
    assert [category["name"] for category in coco["categories"]] == list(CLASSES)
    assert [image["file_name"] for image in coco["images"]] == ["a.png", "b.png", "c.png"]
    assert [annotation["id"] for annotation in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    kinds = Counter(annotation["iscrowd"] for annotation in coco["annotations"])
    assert kinds[0] > 5
    assert kinds[1] > 0
    for image in coco["images"]:
        for category in coco["categories"]:
            mask = np.zeros((image["height"], image["width"]), int)
            for annotation in coco["annotations"]:
                if (annotation["image_id"], annotation["category_id"]) == (image["id"], category["id"]):
                    pixels = decoded(annotation, image["height"], image["width"])
                    x, y, width, height = annotation["bbox"]
                    rows, columns = np.nonzero(pixels)
                    assert annotation["area"] == pixels.sum()
                    assert (x, y) == (columns.min(), rows.min())
                    assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
                    mask += pixels
            name = f"{Path(image['file_name']).stem}_{category['name']}.png"
            written = cv2.imread(str(one.output / "masks" / name), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(mask, written // 255)


def decoded(annotation: dict, height: int, width: int) -> np.ndarray:
    """Turns polygons or runs into bool `[H, W]`, by the definition of the format."""
    segmentation = annotation["segmentation"]
    if annotation["iscrowd"]:
        assert segmentation["size"] == [height, width]
        inside = np.arange(len(segmentation["counts"])) % 2 == 1
        return np.repeat(inside, segmentation["counts"]).reshape((height, width), order="F")
    ys, xs = np.mgrid[:height, :width] + 0.5
    pixels = np.zeros((height, width), bool)
    for polygon in segmentation:
        corners = np.reshape(polygon, (-1, 2))
        inside = np.zeros((height, width), bool)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if x0 == x1:
                inside ^= (ys > min(y0, y1)) & (ys < max(y0, y1)) & (xs > x0)
        pixels |= inside
    return pixels


def test_tables_and_geojson_agree(folder, photographs):
    one = folder()
    predict(one, photographs)
    with open(one.output / "lesions.csv", newline="") as file:
        lesions = list(csv.DictReader(file))
    with open(one.output / "predictions.csv", newline="") as file:
        summaries = {row["case"]: row for row in csv.DictReader(file)}
    assert list(summaries) == ["a", "b", "c"]
    for case in summaries:
        features = json.loads((one.output / "geojson" / f"{case}.geojson").read_text())["features"]
        rows = [row for row in lesions if row["case"] == case]
        assert [row["class"] for row in rows] == [one["properties"]["classification"]["name"] for one in features]
        for row, feature in zip(rows, features, strict=True):
            measured = feature["properties"]["measurements"]
            assert {name: row[name] for name in measured} == {name: str(value) for name, value in measured.items()}
        for name in CLASSES:
            areas = [int(row["area_pixels"]) for row in rows if row["class"] == name]
            assert (int(summaries[case][f"{name}_lesions"]), int(summaries[case][f"{name}_pixels"])) == (
                len(areas),
                sum(areas),
            )


def test_without_any_photograph_the_tables_have_headers_alone(folder):
    one = folder()
    assert one.write_tables() == []
    assert (one.output / "predictions.csv").read_text().startswith("case,file,height,width,retina_pixels,HE_lesions,")
    assert json.loads((one.output / "lesions.json").read_text())["annotations"] == []


@pytest.mark.parametrize("source", ["lesions.json", "geojson", "geojson of QuPath"])
def test_what_was_predicted_is_imported_to_the_pixel(folder, photographs, tmp_path, source):
    one = folder()
    predict(one, photographs)
    if source == "geojson of QuPath":  # which exports lists, drops members that it does not know, and may turn rings
        for path in one.output.glob("geojson/*.geojson"):
            features = json.loads(path.read_text())["features"]
            for feature in features:
                polygons = feature["geometry"]["coordinates"]
                for polygon in polygons if feature["geometry"]["type"] == "MultiPolygon" else [polygons]:
                    polygon[:] = [ring[::-1] for ring in polygon]
            path.write_text(json.dumps(features))
    _, annotated = read_annotations(one.output / source.split()[0], images=tmp_path / "photographs")
    output = tmp_path / "imported"
    imported = import_annotations(
        annotated,
        output,
        choose_classes(annotated, ()),
        keep=[one.output],
        max_pixels=10**6,
        progress=lambda results, total, what: results,
    )
    assert [*annotated.failures, *imported.failures, *annotated.notes, *imported.notes] == []
    for case in photographs:
        for name in CLASSES:
            masks = one.output / "masks" / f"{case}_{name}.png", output / "masks" / name / f"{case}.png"
            before, after = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in masks)
            assert np.array_equal(before, after), (case, name)


def test_a_run_that_asks_how_sure_the_model_is_writes_files_columns_and_a_ranking(folder, photographs):
    unsure = folder(uncertainty="orientations")
    assert predict(unsure, photographs) == ["a", "b", "c"]
    for case, name in itertools.product(photographs, CLASSES):
        levels = cv2.imread(str(unsure.output / "spread" / f"{case}_{name}.png"), cv2.IMREAD_UNCHANGED)
        assert levels.shape == (80, 100) and levels.dtype == np.uint8
    for row in rows(unsure, "predictions.csv"):
        assert 0 <= float(row["HE_expected_dice"]) <= 1
        assert int(row["MA_area_low"]) <= int(row["MA_area_high"])
    assert all(0 <= float(row["spread"]) <= 0.25 for row in rows(unsure, "lesions.csv"))
    record = json.loads((unsure.output / "geojson" / "a.geojson").read_text())
    assert "spread" in record["features"][0]["properties"]["measurements"]
    assert {row["case"] for row in rows(unsure, "review.csv") if row["kind"] == "photograph"} == set(photographs)


def test_what_is_asked_later_is_added_and_stays(folder, photographs):
    """A run without the flag keeps what is there; one with it does again what lacks it."""
    predict(folder(), photographs)
    assert "spread" not in rows(folder(), "lesions.csv")[0]
    unsure = folder(uncertainty="orientations")
    assert predict(unsure, {"a": photographs["a"]}) == ["a"]
    by_case = {row["case"]: row for row in rows(unsure, "predictions.csv")}
    assert by_case["a"]["HE_expected_dice"] != "" == by_case["b"]["HE_expected_dice"]
    assert predict(folder(uncertainty="orientations"), photographs) == ["b", "c"]
    before = [(unsure.output / table).read_bytes() for table in (*TABLES, "review.csv")]
    assert predict(folder(), photographs) == []
    assert [(unsure.output / table).read_bytes() for table in (*TABLES, "review.csv")] == before
    (unsure.output / "spread" / "b_HE.png").unlink()
    assert predict(folder(uncertainty="orientations"), photographs) == ["b"]


def test_nothing_is_left_of_a_spread_when_its_photograph_is_done_again_without(folder, photographs):
    predict(folder(uncertainty="both"), photographs)
    plain = folder()
    predict(plain, photographs, overwrite=True)
    assert not list((plain.output / "spread").iterdir())
    assert not (plain.output / "review.csv").exists()
    assert tables(plain) == _tables_of(folder, photographs)


def _tables_of(folder, photographs) -> dict[str, bytes]:
    untouched = folder(output="untouched")
    predict(untouched, photographs)
    return tables(untouched)


def test_spreads_over_other_things_are_not_mixed(folder, photographs):
    predict(folder(uncertainty="orientations"), photographs)
    with pytest.raises(
        InputError, match="with --uncertainty=orientations for 3 photographs, such as a; add --overwrite"
    ):
        predict(folder(uncertainty="members"), photographs)
    assert predict(folder(uncertainty="members"), photographs, overwrite=True) == ["a", "b", "c"]


def test_a_photograph_in_a_folder_whose_name_is_not_utf_8_is_in_the_tables(folder, photographs, tmp_path):
    place = tmp_path / os.fsdecode(b"M\xfcller")
    place.mkdir()
    file = photographs["a"].rename(place / "a.png")
    out = folder()
    assert predict(out, {"a": file}) == ["a"]
    assert "M\\udcfcller" in (out.output / "predictions.csv").read_text()
