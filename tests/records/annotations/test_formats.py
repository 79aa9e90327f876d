"""Every format comes back to the pixel, and what it cannot give is said."""

import base64
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from configs import InputError
from records import find_cases
from records.annotations import read_annotations, recognized_formats

EARLIER = Path(__file__).parents[2] / "pipeline" / "data" / "earlier_prediction.geojson"
FORMATS = (
    "cvat",
    "coco, a square for each pixel",
    "coco, runs",
    "coco, compressed runs",
    "labelme",
    "label_studio",
    "geojson",
    "ddr",
    "fgadr",
)


def feature(geometry: dict, **properties) -> dict:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def photograph(path: Path, height: int = 20, width: int = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 60, 30)).save(path)
    return path


def dump(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def labelme(path: Path, *shapes: dict, **members) -> Path:
    content = {"shapes": list(shapes), "imagePath": f"{path.stem}.png", "imageData": None, **members}
    return dump(path, content)


def painted(*boxes: tuple[int, int, int, int], height: int = 20, width: int = 30) -> np.ndarray:
    """A mask with boxes of (first column, first row, columns, rows)."""
    mask = np.zeros((height, width), bool)
    for x, y, columns, rows in boxes:
        mask[y : y + rows, x : x + columns] = True
    return mask


@pytest.mark.parametrize("form", FORMATS)
def test_masks_and_photographs_come_back_to_the_pixel(form, write, run, mask_of, photographs, tmp_path):
    source = write(form, tmp_path / "source", photographs)
    assert recognized_formats(source) == [form.partition(",")[0]]
    imported, failures, _ = run(source, tmp_path / "out")
    assert failures == []
    assert sum(imported.photographs.values()) == len(photographs)
    for case, one in photographs.items():
        (file,) = (tmp_path / "out").rglob(f"images/{case}.*")
        assert np.array_equal(np.asarray(Image.open(file)), one.photograph)
        for name, mask in one.masks.items():
            assert np.array_equal(mask_of(tmp_path / "out", name, case), mask), (case, name)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_lesions_of_idrid_come_back_to_the_pixel(form, write, run, mask_of, lesions_of_idrid, tmp_path):
    failures = run(write(form, tmp_path / "source", lesions_of_idrid), tmp_path / "out").failures
    assert failures == []
    for case, one in lesions_of_idrid.items():
        for name, mask in one.masks.items():
            assert np.array_equal(mask_of(tmp_path / "out", name, case), mask), (case, name)
    assert sum(mask.sum() for one in lesions_of_idrid.values() for mask in one.masks.values()) > 5_000


@pytest.mark.parametrize("form", FORMATS)
def test_shard_takes_what_was_imported_and_names_the_command_for_what_was_not(form, write, run, photographs, tmp_path):
    source = write(form, tmp_path / "source", photographs)
    with pytest.raises(InputError, match=rf"^--source={source}: .*scripts\.import_masks --source={source} --output="):
        find_cases(source, ("HE", "EX"))
    run(source, tmp_path / "out")
    layout, cases = find_cases(tmp_path / "out", ("HE", "EX"))
    assert layout == "paired_folders"
    assert [case.name for case in cases] == sorted(photographs)


def test_parts_of_ddr_are_splits(write, run, photographs, tmp_path):
    imported, _, _ = run(write("ddr", tmp_path / "source", photographs), tmp_path / "out")
    assert imported.photographs == {"train": 1, "validation": 1, "test": 1}
    splits = {case.name: case.split for case in find_cases(tmp_path / "out", ("HE", "EX"))[1]}
    assert splits == dict(zip(photographs, ("train", "validation", "test"), strict=True))


def test_several_coco_files_are_splits(write, run, photographs, tmp_path):
    source = write("coco, runs", tmp_path / "source", photographs)
    whole = json.loads((source / "annotations" / "instances_default.json").read_text())
    (source / "annotations" / "instances_default.json").unlink()
    for part, images in (("instances_train2017", whole["images"][:2]), ("instances_val2017", whole["images"][2:])):
        ids = {image["id"] for image in images}
        annotations = [one for one in whole["annotations"] if one["image_id"] in ids]
        dump(source / "annotations" / f"{part}.json", {**whole, "images": images, "annotations": annotations})
    imported, failures, notes = run(source, tmp_path / "out")
    assert (imported.photographs, failures, notes) == ({"train": 2, "validation": 1}, [], [])
    shutil.copy(source / "annotations" / "instances_val2017.json", source / "annotations" / "more.json")
    with pytest.raises(
        InputError, match=r"more\.json: one of several COCO files, whose names or folders must say train, val"
    ):
        run(source, tmp_path / "other")


def test_folders_of_roboflow_are_splits(write, run, photographs, tmp_path):
    source = write("coco, runs", tmp_path / "source", photographs)
    whole = json.loads((source / "annotations" / "instances_default.json").read_text())
    for part, image in zip(("train", "valid", "test"), whole["images"], strict=True):
        annotations = [one for one in whole["annotations"] if one["image_id"] == image["id"]]
        dump(source / part / "_annotations.coco.json", {**whole, "images": [image], "annotations": annotations})
        (source / "images" / "default" / image["file_name"]).rename(source / part / image["file_name"])
    for folder in ("annotations", "images"):
        shutil.rmtree(source / folder)
    assert recognized_formats(source) == ["coco"]
    imported, failures, notes = run(source, tmp_path / "out")
    assert (imported.photographs, failures, notes) == ({"train": 1, "validation": 1, "test": 1}, [], [])


def test_shapes_of_labelme(run, mask_of, tmp_path):
    photograph(tmp_path / "s" / "a.png")
    labelme(
        tmp_path / "s" / "a.json",
        {"label": "HE", "points": [[1, 2], [4, 2], [4, 6], [1, 6]]},  # without a type: a polygon
        {"label": "HE", "points": [[12, 9], [10, 5]], "shape_type": "rectangle"},
        {"label": "EX", "points": [[20.5, 10.5], [20.5, 12]], "shape_type": "circle"},
        {"label": "EX", "points": [[2, 2]], "shape_type": "point"},
    )
    _, failures, notes = run(tmp_path / "s", tmp_path / "out")
    assert failures == []
    assert notes == [f"{tmp_path / 's' / 'a.json'}: 1 points or lines, which cover no pixels."]
    assert np.array_equal(mask_of(tmp_path / "out", "HE", "a"), painted((1, 2, 3, 4), (10, 5, 2, 4)))
    assert np.array_equal(mask_of(tmp_path / "out", "EX", "a"), painted((19, 9, 3, 3)))


def test_windows_paths_and_photographs_inside_of_labelme(run, tmp_path):
    inside = io.BytesIO()
    Image.new("RGB", (30, 20)).save(inside, "JPEG")
    one = {"label": "HE", "points": square(1, 1, 3)}
    text = base64.b64encode(inside.getvalue()).decode()
    labelme(tmp_path / "s" / "a.json", one, imagePath="..\\pictures\\a.jpg", imageData=text)
    photograph(tmp_path / "pictures" / "b.png")
    labelme(tmp_path / "s" / "b.json", one, imagePath="..\\pictures\\b.png")
    _, failures, _ = run(tmp_path / "s", tmp_path / "out")
    assert failures == []
    assert sorted(path.name for path in (tmp_path / "out" / "images").iterdir()) == ["a.jpg", "b.png"]


def test_objects_of_qupath(run, mask_of, tmp_path):
    photograph(tmp_path / "s" / "a.jpg")
    ring, hole, part = square(2, 2, 8), square(4, 4, 3), square(20, 3, 2)
    child = feature({"type": "Polygon", "coordinates": [square(1, 14, 1)]}, classification={"names": ["HE", "small"]})
    collection = {
        "type": "FeatureCollection",
        "features": [
            feature({"type": "Polygon", "coordinates": [ring, hole]}, classification={"name": "HE"}, isLocked=True),
            feature(
                {"type": "MultiPolygon", "coordinates": [[part], [square(25, 3, 1)]]},
                classification={"name": "HE", "colorRGB": -65536},
                childObjects=[child],
            ),
            feature({"type": "Polygon", "coordinates": [square(12, 12, 2)]}, objectType="annotation"),
            feature({"type": "Point", "coordinates": [1, 1]}, classification={"name": "Fovea"}),
        ],
    }
    dump(tmp_path / "s" / "a.jpg.geojson", collection)
    _, failures, notes = run(tmp_path / "s", tmp_path / "out")
    assert failures == []
    assert len(notes) == 2
    assert "1 regions without a class; --classes=Unclassified:NAME would take them" in notes[0]
    assert "1 points or lines" in notes[1]
    expected = painted((2, 2, 8, 8), (20, 3, 2, 2), (25, 3, 1, 1)) & ~painted((4, 4, 3, 3))
    assert np.array_equal(mask_of(tmp_path / "out", "HE", "a"), expected)
    assert np.array_equal(mask_of(tmp_path / "out", "HE: small", "a"), painted((1, 14, 1, 1)))
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == ["HE", "HE: small"]

    run(tmp_path / "s", tmp_path / "all", classes=["HE", "HE: small:HE", "Unclassified:OD"])
    assert np.array_equal(mask_of(tmp_path / "all", "HE", "a"), expected | painted((1, 14, 1, 1)))
    assert np.array_equal(mask_of(tmp_path / "all", "OD", "a"), painted((12, 12, 2, 2)))


def test_records_of_earlier_versions_of_predict_say_their_classes_and_size(run, tmp_path):
    photograph(tmp_path / "photographs" / "old.tif", height=40, width=50)
    imported, failures, notes = run(EARLIER, tmp_path / "out", images=tmp_path / "photographs")
    assert (imported.regions, failures, notes) == ({"HE": (2, 1), "MA": (1, 1)}, [], [])
    photograph(tmp_path / "photographs" / "old.tif", height=50, width=40)
    with pytest.raises(InputError, match=r"annotated at 50x40 pixels, but .*old\.tif has 40x50"):
        run(EARLIER, tmp_path / "other", images=tmp_path / "photographs")


def test_an_empty_export_of_qupath_shows_no_lesion(run, mask_of, tmp_path):
    for name, features in (("a", []), ("b", [feature({"type": "Polygon", "coordinates": [square(1, 1, 2)]}, **HE)])):
        photograph(tmp_path / "s" / f"{name}.png")
        dump(tmp_path / "s" / f"{name}.geojson", features)
    run(tmp_path / "s", tmp_path / "out")
    assert not mask_of(tmp_path / "out", "HE", "a").any()


HE = {"classification": {"name": "HE"}}


def test_labels_of_cvat_may_be_the_values_of_a_grey_mask(write, run, mask_of, photographs, tmp_path):
    source = write("cvat", tmp_path / "source", photographs)
    one = photographs["EYE.7"]
    values = one.masks["HE"] + 2 * one.masks["EX"]
    Image.fromarray(values.astype(np.uint8)).save(source / "SegmentationClass" / "EYE.7.png")
    assert run(source, tmp_path / "out").failures == []
    for name, mask in one.masks.items():
        assert np.array_equal(mask_of(tmp_path / "out", name, "EYE.7"), mask)


def test_a_colour_that_no_label_of_cvat_has_leaves_the_photograph_out(write, run, photographs, tmp_path):
    source = write("cvat", tmp_path / "source", photographs)
    file = source / "SegmentationClass" / "eye 1.png"
    pixels = np.array(Image.open(file))
    pixels[3, 3] = (1, 2, 3)
    Image.fromarray(pixels).save(file)
    imported, failures, _ = run(source, tmp_path / "out")
    assert failures == [f"eye 1: {file}: colours that labelmap.txt does not have (010203)."]
    assert imported.photographs == {None: 2}
    assert not list((tmp_path / "out").rglob("eye 1*"))


def test_two_annotations_of_one_photograph_in_label_studio_are_not_mixed(write, run, photographs, tmp_path):
    source = write("label_studio", tmp_path / "source", photographs)
    file = next(source.glob("task-3-*.png"))
    shutil.copy(file, source / "task-3-annotation-99-by-2-tag-HE-0.png")
    failures = run(source, tmp_path / "out").failures
    assert failures == [f"{source}: task 3: annotations 7, 99 of one photograph; keep the PNGs of one of them."]


def test_pngs_of_label_studio_need_the_json_export(write, run, photographs, tmp_path):
    source = write("label_studio", tmp_path / "source", photographs)
    (source / "project.json").unlink()
    with pytest.raises(InputError, match="export the project as JSON, too"):
        run(source, tmp_path / "out")


def test_a_missing_png_of_label_studio_leaves_the_photograph_out(write, run, photographs, tmp_path):
    source = write("label_studio", tmp_path / "source", photographs)
    next(source.glob("task-4-*.png")).unlink()
    (line,) = run(source, tmp_path / "out").failures
    assert "eye 1.png: the JSON export has" in line


def write_e_ophtha(folder: Path) -> None:
    """One photograph is in both sets, one only in that of exudates, and one only among its healthy ones."""
    mask = Image.fromarray(painted((3, 4, 5, 6)).astype(np.uint8) * 255)
    for name, exam, stem, suffix in (
        ("EX", "E0000404", "C0000887", "_EX"),
        ("EX", "E0019457", "C0001273", "_EX"),
        ("MA", "E0000404", "C0000887", ""),
    ):
        part = folder / f"e_optha_{name}"
        photograph(part / name / exam / f"{stem}.jpg")
        (part / f"Annotation_{name}" / exam).mkdir(parents=True)
        mask.save(part / f"Annotation_{name}" / exam / f"{stem}{suffix}.png")
    photograph(folder / "e_optha_EX" / "healthy" / "E0000113" / "C0005625.JPG")
    (folder / "e_optha_EX" / "EX" / "E0000404" / "Thumbs.db").touch()


def test_e_ophtha_says_which_class_was_looked_for_in_which_photograph(run, mask_of, tmp_path):
    source = tmp_path / "e_ophtha"
    write_e_ophtha(source)
    assert recognized_formats(source) == ["e_ophtha"]
    imported, failures, notes = run(source, tmp_path / "out")
    assert (imported.photographs, imported.looked_for, failures, notes) == ({None: 3}, {"EX": 3, "MA": 1}, [], [])
    unknown = {case.name: set(case.unknown) for case in find_cases(tmp_path / "out", ("MA", "EX"))[1]}
    assert unknown == {"C0000887": set(), "C0001273": {"MA"}, "C0005625": {"MA"}}
    assert [file.name for file in (tmp_path / "out" / "masks" / "MA").iterdir()] == ["C0000887.png"]
    imported, failures, notes = run(source, tmp_path / "ex", classes=["EX"])
    assert (imported.photographs, failures, notes) == ({None: 3}, [], [])
    assert np.array_equal(mask_of(tmp_path / "ex", "EX", "C0000887"), painted((3, 4, 5, 6)))
    assert not mask_of(tmp_path / "ex", "EX", "C0005625").any() and not (tmp_path / "ex" / "labels.csv").exists()
    imported, failures, notes = run(source, tmp_path / "ma alone", classes=["MA:dots"])
    assert (imported.photographs, failures, len(notes)) == ({None: 1}, [], 2)
    assert "nobody looked for MA in it" in notes[0]
    imported = run(source, tmp_path / "red", classes=["EX:any", "MA:any"]).imported
    assert imported.photographs == {None: 1}  # where both were looked for
    assert run(source / "e_optha_MA", tmp_path / "ma").imported.photographs == {None: 1}


@pytest.mark.parametrize("form", ["ddr", "fgadr"])
def test_a_photograph_without_its_mask_and_a_mask_without_its_photograph_are_named(
    form, write, run, photographs, tmp_path
):
    source = write(form, tmp_path / "source", photographs)
    (mask,) = (path for path in source.rglob("eye 1.*") if path.parent.name in ("HE", "Hemohedge_Masks"))
    mask.rename(mask.with_stem("eye 11"))
    imported, failures, _ = run(source, tmp_path / "out")
    assert sum(imported.photographs.values()) == 2
    assert any("eye 1.png: no mask in" in line for line in failures)
    assert any(f"{mask.with_stem('eye 11')}: pairs with no photograph" in line for line in failures)


def test_polygons_around_the_middles_of_border_pixels_lose_at_most_the_border(
    write, run, mask_of, photographs, tmp_path
):
    """As masks that became contours by OpenCV do, such as those of many converters."""
    source = write("coco, runs", tmp_path / "source", photographs)
    file = source / "annotations" / "instances_default.json"
    content = json.loads(file.read_text())
    for one in content["annotations"]:
        runs = one["segmentation"]
        inside = np.arange(len(runs["counts"])) % 2 == 1
        region = np.repeat(inside, runs["counts"]).reshape(runs["size"], order="F").astype(np.uint8)
        contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        one["segmentation"] = [(contour[:, 0] + 0.5).ravel().tolist() for contour in contours if len(contour) > 2]
    content["annotations"] = [one for one in content["annotations"] if one["segmentation"]]
    dump(file, content)
    assert run(source, tmp_path / "out").failures == []
    for case, one in photographs.items():
        for name, mask in one.masks.items():
            found = mask_of(tmp_path / "out", name, case)
            filled = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9))).astype(bool)
            inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
            assert not (found & ~filled).any()  # nothing outside, but holes are lost
            assert not (inner.astype(bool) & ~found).any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segmentation": []}, "a box without an outline"),
        ({"segmentation": [[1, 2, 3, 4]]}, "three or more corners"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "three or more corners"),
        ({"segmentation": [[1, 2, 3, "4", 5, 6]]}, "three or more corners"),
        ({"segmentation": [[1, 2, 3, 4, float("nan"), 6]]}, "far outside"),
        ({"segmentation": [[1, 2, 3, 4, 1e9, 6]]}, "far outside"),
        ({"segmentation": {"size": [31, 45], "counts": [5, 3]}}, "do not add up"),
        ({"segmentation": {"size": [31, 45], "counts": [-1, 1396]}}, "do not add up"),
        ({"segmentation": {"size": [31, 45], "counts": "0"}}, "do not add up"),
        ({"segmentation": {"size": [31, 45], "counts": "zzzz"}}, "do not add up"),
        ({"segmentation": {"size": [31, 45]}}, "do not add up"),
        ({"segmentation": {"size": [45, 31], "counts": [1395]}}, "run lengths of the size"),
        ({"category_id": 77}, "category 77 is not listed"),
    ],
)
def test_a_damaged_annotation_leaves_its_photograph_out(change, reason, write, run, photographs, tmp_path):
    source = write("coco, runs", tmp_path / "source", photographs)
    file = source / "annotations" / "instances_default.json"
    content = json.loads(file.read_text())
    next(one for one in content["annotations"] if one["image_id"] == 6).update(change)
    dump(file, content)
    imported, failures, _ = run(source, tmp_path / "out")
    assert imported.photographs == {None: 2}
    (line,) = failures
    assert reason in line
    assert "eye 1" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"shapes": 3, "imagePath": "b.png"}',
        '{"shapes": [], "imagePath": 3}',
        '{"shapes": [{"points": 1}], "imagePath": "b.png"}',
    ],
)
def test_a_damaged_file_of_labelme_does_not_end_the_others(content, run, tmp_path):
    for name in ("a", "b"):
        photograph(tmp_path / "s" / f"{name}.png")
        labelme(tmp_path / "s" / f"{name}.json", {"label": "HE", "points": square(1, 1, 3)})
    (tmp_path / "s" / "b.json").write_text(content)
    imported, failures, _ = run(tmp_path / "s", tmp_path / "out")
    assert imported.photographs == {None: 1}
    assert len(failures) == 1
    assert "b.json" in failures[0]


def test_boxes_of_a_class_that_is_not_wanted_do_no_harm(write, run, photographs, tmp_path):
    source = write("coco, runs", tmp_path / "source", photographs)
    file = source / "annotations" / "instances_default.json"
    content = json.loads(file.read_text())
    for one in content["annotations"]:
        if one["category_id"] == 2:
            one["segmentation"] = []
    dump(file, content)
    assert len(run(source, tmp_path / "all").failures) == 2
    assert run(source, tmp_path / "he", classes=["HE"]).failures == []


def test_annotations_of_another_size_leave_the_photograph_out(write, run, photographs, tmp_path):
    source = write("coco, runs", tmp_path / "source", photographs)
    photograph(source / "images" / "default" / "eye 1.png", height=45, width=31)
    (line,) = run(source, tmp_path / "out").failures
    assert "annotated at 45x31 pixels, but" in line
    assert line.endswith("has 31x45.")


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_photograph_is_named_and_the_others_are_done(form, write, run, photographs, tmp_path):
    source = write(form, tmp_path / "source", photographs)
    (file,) = [path for path in source.rglob("EYE.7.png") if path.parent.name not in PLACES_OF_MASKS]
    file.write_bytes(file.read_bytes()[:-700])
    imported, failures, _ = run(source, tmp_path / "out")
    assert len(failures) == 1
    assert "EYE.7" in failures[0]
    assert "damaged or cut short" in failures[0]
    assert sum(imported.photographs.values()) == 2


PLACES_OF_MASKS = ("SegmentationClass", "SegmentationObject", "Hemohedge_Masks", "HardExudate_Masks")


def test_a_zip_archive_several_formats_and_none_are_refused(write, photographs, tmp_path):
    source = write("geojson", tmp_path / "source", photographs)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", source)
    with pytest.raises(InputError, match="a ZIP archive; unpack it"):
        read_annotations(Path(archive))
    labelme(source / "eye 1.json", {"label": "HE", "points": square(1, 1, 3)})
    with pytest.raises(InputError, match=r"several formats \(labelme, geojson\); choose one by --format"):
        read_annotations(source)
    assert read_annotations(source, chosen="geojson")[0].title.startswith("GeoJSON")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no annotations of a known format; known are cvat"):
        read_annotations(tmp_path / "empty")
    with pytest.raises(InputError, match="no such folder or file"):
        read_annotations(tmp_path / "nowhere")
    with pytest.raises(InputError, match="--format=voc: no such format"):
        read_annotations(source, chosen="voc")
