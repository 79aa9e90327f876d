"""The source that pseudolabel writes: what is in it, what a second start does and leaves, and what is refused."""

import csv
import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs import DataConfig, InputError
from pipeline.labelling import LabelSettings, PseudolabelFolder
from pipeline.labelling import folder as folder_module
from pipeline.labelling.ensemble import MeasuredByAll, SegmentedByAll
from pipeline.labelling.labels import Confidence
from records import (
    LabelledBy,
    PhotographScale,
    SeenPhotographs,
    find_cases,
    read_hard_negatives,
    read_labelled_by,
    read_labels,
    sha256_of,
)

CLASSES = ("HE", "MA")
SIZE = (40, 50)
ABSENT = {"c": frozenset({"HE"})}
CONFIDENCE = Confidence(0.25, 0.75)
SEEN = LabelledBy(("0123",), SeenPhotographs(("X",)), SeenPhotographs(("Y",)))


class Measured:
    """In place of a measured photograph."""

    def __init__(self, pixels):
        self.pixels = pixels


class Segmented:
    """In place of a segmented photograph, whose map its first pixel draws."""

    scale, seconds = PhotographScale(0.5, "fixed"), 0.1

    def __init__(self, pixels):
        self.map = np.random.default_rng(int(pixels[0, 0, 0])).random((*SIZE, 2), np.float32) ** 4
        self.map[:5] = 0


@dataclasses.dataclass
class Spec:
    """In place of a segmenter's spec."""

    classes: tuple[str, ...] = CLASSES
    scale: float = 0.5


@dataclasses.dataclass
class Model:
    """In place of a `LabellingModel`."""

    fingerprint: str
    folder: Path = Path("models/model")
    spec: Spec = dataclasses.field(default_factory=Spec)


class Ensemble:
    """In place of an `Ensemble`: random maps."""

    classes, max_pixels, labelled_by = CLASSES, 10**6, SEEN

    def __init__(self, fingerprint="0123"):
        self.models = (Model(fingerprint),)

    def measure(self, photograph, degrees=None):
        return MeasuredByAll((Measured(photograph),))

    def strips(self, segmented):
        return iter([(0, segmented.by_model[0].map)])

    def warnings(self, photograph, segmented=None):
        return ["dark: brightness"] if photograph.pixels[0, 0, 0] == 70 else []


@pytest.fixture
def photographs(tmp_path) -> dict[str, Path]:
    (tmp_path / "photographs").mkdir()
    found = {case: tmp_path / "photographs" / f"{case}.png" for case in ("a", "b", "c")}
    for number, path in enumerate(found.values()):
        pixels = np.random.default_rng(number).integers(60, 256, (*SIZE, 3), np.uint8)
        pixels[0, 0] = 70 + number
        cv2.imwrite(str(path), pixels)
    return found


@pytest.fixture
def label(tmp_path, photographs):
    """Labels the photographs into the folder `out`, as the command does, and returns the folder and what was done."""

    def run(*, ensemble=None, absent=ABSENT, overwrite=False, output="out", cases=("a", "b", "c"), **settings):
        (tmp_path / output).mkdir(exist_ok=True)
        made = LabelSettings(**{"confidence": CONFIDENCE, **settings})
        folder = PseudolabelFolder(tmp_path / output, ensemble or Ensemble(), made, absent=absent)
        todo = folder.begin({case: photographs[case] for case in cases}, overwrite=overwrite)
        for case, path in todo.items():
            measured = folder.read(case, path)
            segmented = SegmentedByAll((Segmented(measured.pixels),))
            folder.write(case, path, measured, segmented=segmented)
        folder.finish()
        return tmp_path / output, list(todo)

    return run


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def map_of(photograph: Path) -> np.ndarray:
    return Segmented(cv2.imread(str(photograph))).map


def mask(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_of_photographs_that_are_not_labelled_again_stay_as_a_person_changed_them(label):
    out, _ = label()
    changed = (out / "labels.csv").read_text().replace("b,HE MA,", "b,HE,").replace("a,HE MA,", "a,MA,")
    (out / "labels.csv").write_text(changed)
    label(overwrite=True, cases=("a",))
    assert {row["case"]: row["labelled"] for row in table(out / "labels.csv")} == {
        "a": "HE MA", "b": "HE", "c": "HE MA",
    }  # fmt: skip
    label(overwrite=True)
    assert {row["labelled"] for row in table(out / "labels.csv")} == {"HE MA"}


def test_a_correction_of_labels_that_are_made_anew_is_removed_with_them(label):
    out, _ = label()
    for name in ("a.json", "a_model.npz", "b.json"):
        (out / "corrections").mkdir(exist_ok=True)
        (out / "corrections" / name).write_text("{}")
    assert label()[1] == [] and len(list((out / "corrections").iterdir())) == 3
    label(overwrite=True, cases=("a",))
    assert [file.name for file in (out / "corrections").iterdir()] == ["b.json"]


def test_the_output_is_a_source_whose_masks_are_the_confident_parts_of_the_maps(label, photographs):
    out, _ = label()
    layout, cases = find_cases(out, CLASSES, warn=lambda line: None)
    assert (layout, [case.name for case in cases]) == ("paired_folders", ["a", "b", "c"])
    for case in cases:
        found = map_of(photographs[case.name])
        if case.name == "c":
            found[..., 0] = 0
        read = read_labels(case, SIZE, DataConfig(classes=CLASSES))
        np.testing.assert_array_equal(read.masks, found >= np.float32(0.75))
        for index, name in enumerate(CLASSES):
            unknown = (found[..., index] > 0.25) & (found[..., index] < np.float32(0.75))
            ignored = out / "masks" / f"{name}_ignore" / f"{case.name}.png"
            assert ignored.exists() == unknown.any()
            if unknown.any():
                np.testing.assert_array_equal(mask(ignored), unknown * np.uint8(255))
        assert case.photograph.read_bytes() == photographs[case.name].read_bytes()
    assert table(out / "labels.csv")[1:] == [
        {"case": "b", "labelled": "HE MA", "absent": ""},
        {"case": "c", "labelled": "HE MA", "absent": "HE"},
    ]
    assert read_labelled_by(out, soft=False) == SEEN


def test_what_the_models_mistake_where_a_class_is_absent_becomes_boxes(label, photographs):
    out, _ = label()
    assert [path.name for path in (out / "hard_negatives").iterdir()] == ["c.csv"]
    boxes = read_hard_negatives(out / "hard_negatives" / "c.csv", CLASSES, size=SIZE)
    covered, found = np.zeros(SIZE, bool), map_of(photographs["c"])[..., 0]
    for box in boxes:
        assert box.name == "HE"
        inside = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
        covered[inside] = True
        assert found[inside].max() >= box.probability - 1e-4
    assert covered[found >= 0.75].all()
    [row] = [row for row in table(out / "review.csv") if row["case"] == "c"]
    assert (row["mistakes"], row["why"].split(";")[0]) == (str(len(boxes)), f"HE: {len(boxes)} where it is absent")


def test_soft_labels_are_levels_and_leave_nothing_out(label, photographs, monkeypatch):
    out, _ = label(soft=True)
    assert not list(out.glob("masks/*_ignore"))
    levels = mask(out / "masks" / "MA" / "a.png")
    np.testing.assert_array_equal(levels, np.rint(map_of(photographs["a"])[..., 1] * 255).astype(np.uint8))
    assert not mask(out / "masks" / "HE" / "c.png").any()
    [case, *_] = find_cases(out, CLASSES, warn=lambda line: None)[1]
    read = read_labels(case, SIZE, DataConfig(classes=CLASSES, soft_labels=True))
    np.testing.assert_array_equal(read.levels[..., 1], levels)
    with pytest.raises(InputError, match=r"soft labels of a model.*data\.soft_labels=True"):
        read_labelled_by(out, soft=False)


def test_a_soft_mask_of_the_levels_0_and_1_is_not_written_as_it_would_be_read_as_full_lesion():
    faint = np.array([[0, 1], [1, 0]], np.uint8)
    assert not folder_module._soft(faint).any()
    np.testing.assert_array_equal(folder_module._soft(faint * 2), faint * 2)


def test_a_second_start_changes_nothing_and_keeps_what_a_person_corrected(label):
    out, done = label()
    assert done == ["a", "b", "c"]
    before = content(out)
    assert label()[1] == []
    assert content(out) == before
    corrected = np.zeros(SIZE, np.uint8)
    corrected[3:9, 4:8] = 255
    cv2.imwrite(str(out / "masks" / "MA" / "a.png"), corrected)
    (out / "masks" / "HE_ignore" / "b.png").unlink()
    text = (out / "labels.csv").read_text().replace("b,HE MA,", "b,HE,")
    (out / "labels.csv").write_text(text)
    kept = content(out)
    assert label()[1] == []
    after = content(out)
    assert {name for name in kept if kept[name] != after[name]} == {"review.csv"}
    assert {row["case"]: row["corrected"] for row in table(out / "review.csv")} == {"a": "yes", "b": "yes", "c": "no"}


def test_a_corrected_row_stays_however_a_spreadsheet_writes_it_and_its_name(label, photographs):
    decomposed = "u\u0308"
    photographs[decomposed] = photographs["b"].rename(photographs["b"].with_name(f"{decomposed}.png"))
    out, _ = label(cases=(decomposed,))
    (out / "labels.csv").write_text("Case;Labelled\n\u00fc.png;HE\n", encoding="utf-8")
    assert label(cases=(decomposed,))[1] == []
    assert table(out / "labels.csv") == [{"case": decomposed, "labelled": "HE", "absent": ""}]


def test_the_row_of_a_photograph_that_somebody_added_with_its_masks_stays(label, photographs):
    out, _ = label(cases=("a",))
    (out / "images" / "own.png").write_bytes(photographs["b"].read_bytes())
    with open(out / "labels.csv", "a", encoding="utf-8") as file:
        file.write("own,HE,\n")
    assert label(cases=("a", "c"))[1] == ["c"]
    assert [(row["case"], row["labelled"]) for row in table(out / "labels.csv")][-1] == ("own", "HE")


def test_new_photographs_are_added_to_those_that_are_there(label):
    label(cases=("a",))
    out, done = label()
    assert done == ["b", "c"]
    assert content(out) == content(label(output="at once")[0])


@pytest.fixture
def kill(label, monkeypatch):
    """Labels photographs until the process dies, at the last but one file of the second one."""
    place = PseudolabelFolder._place

    def killed(self, path, target):
        if target.stem == "b":
            raise KeyboardInterrupt
        place(self, path, target)

    def run():
        with monkeypatch.context() as patched:
            patched.setattr(PseudolabelFolder, "_place", killed)
            label()

    return run


def test_the_start_after_a_kill_completes_the_same_files(label, kill):
    with pytest.raises(KeyboardInterrupt):
        kill()
    out, done = label()
    assert done == ["b", "c"]
    assert content(out) == content(label(output="undisturbed")[0])


def test_a_folder_that_is_not_finished_is_no_source(kill, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        kill()
    with pytest.raises(InputError, match=r"out: pseudolabel has not finished there; run the same command again"):
        find_cases(tmp_path / "out", CLASSES)
    (tmp_path / "out" / "pseudolabels.json").unlink()
    with pytest.raises(InputError, match="has not finished"):
        find_cases(tmp_path / "out", CLASSES)


def test_nothing_is_left_of_a_photograph_that_fails(label, tmp_path, photographs):
    folder = PseudolabelFolder(label(cases=("a",))[0], Ensemble(), LabelSettings(CONFIDENCE), absent={})
    todo = folder.begin(photographs, overwrite=False)
    folder.read("b", todo["b"])
    folder.finish()
    assert {path.stem for path in (tmp_path / "out").rglob("*.png")} == {"a"}
    assert json.loads((tmp_path / "out" / "pseudolabels.json").read_text())["finished"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ensemble": Ensemble("4567")}, "by other models; add --overwrite"),
        ({"confidence": Confidence(0.1, 0.9)}, r"by confident \[0.25, 0.75\] instead of \[0.1, 0.9\]; add --overwrite"),
        ({"soft": True}, "by soft False instead of True"),
        ({"absent": {}}, "c: free of nothing by --healthy, but labelled as free of HE"),
    ],
)
def test_labels_by_anything_else_are_not_mixed_in_but_overwritten_if_asked_to(label, change, message):
    out, _ = label()
    before = content(out)
    with pytest.raises(InputError, match=message):
        label(**change)
    assert content(out) == before
    if "absent" not in change:  # what is known of each photograph is its own
        with pytest.raises(InputError, match="labels of 1 photographs, such as c, .*; give these photographs as well"):
            label(**change, cases=("a", "b"), overwrite=True)
        assert content(out) == before
    _, done = label(**change, overwrite=True)
    assert done == ["a", "b", "c"]
    assert content(out) == content(label(**change, output="fresh")[0])


def test_another_photograph_of_the_same_name_is_refused(label, photographs):
    label()
    cv2.imwrite(str(photographs["b"]), np.full((*SIZE, 3), 90, np.uint8))
    with pytest.raises(InputError, match=r"b.png: .*contains labels of another photograph of this name"):
        label()


def test_a_folder_of_somebody_else_is_refused(label, tmp_path, photographs):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "grades.csv").touch()
    with pytest.raises(InputError, match=r"--output=.*out: holds grades.csv, which pseudolabel did not write"):
        label()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["grades.csv"]
    out, _ = label(output="mine", cases=("a",))
    (out / "images" / "b.jpg").write_bytes(photographs["a"].read_bytes())
    with pytest.raises(InputError, match=r"b.jpg, which pseudolabel did not write, has the same name"):
        label(output="mine")


def test_photographs_are_linked_if_asked_to(label, photographs):
    out, _ = label(link=True)
    for name, path in photographs.items():
        assert (out / "images" / f"{name}.png").stat().st_ino == path.stat().st_ino
    assert [path.name for path in (out / "images").iterdir() if path.name.startswith(".")] == []


def test_a_photograph_that_does_not_suit_is_an_error_only_if_strict(label, photographs):
    out, _ = label()
    assert {row["case"]: row["warnings"] for row in table(out / "review.csv")}["a"] == "dark: brightness"
    with pytest.raises(InputError, match=r"a.png: does not suit the model \(dark: brightness\)"):
        label(output="strict", strict=True)


def test_an_entry_says_what_its_photograph_is_recognised_by(label, photographs):
    out, _ = label()
    entry = json.loads((out / "pseudolabels" / "a.json").read_text())
    assert (entry["sha256"], entry["height"], entry["width"]) == (sha256_of(photographs["a"]), *SIZE)
    assert len(entry["perceptual_hash"]) == 64
    assert entry["classes"]["HE"]["unknown_fraction"] == pytest.approx(
        mask(out / "masks" / "HE_ignore" / "a.png").astype(bool).mean(), abs=1e-6
    )


def test_the_most_doubtful_photographs_come_first(label):
    out, _ = label()
    rows = table(out / "review.csv")
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    values = [float(row["uncertainty"]) for row in rows]
    assert values == sorted(values, reverse=True)
    wrong = [int(row["doubtful"]) + int(row["mistakes"]) for row in rows]
    expected = [one**2 / (one + int(row["lesions"])) for one, row in zip(wrong, rows, strict=True)]
    assert values == pytest.approx(expected, rel=0.01)
