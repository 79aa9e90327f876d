"""Corrections are saved as a source that shard reads, to the pixel, and nobody's are lost to a second window."""

import contextlib
import gzip
import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from configs import DataConfig, InputError
from pipeline.viewer import Corrections
from pipeline.viewer.corrections import Drawn, masks_of
from pipeline.viewer.library import Viewed
from records import find_cases, pack_classes, read_labels
from records.shards.record import decode_record
from records.together import STAGING

CLASSES = ("HE", "MA")
SIZE = (48, 80)
LEVELS = np.arange(2 * 5 * 8, dtype=np.uint8).reshape(2, 5, 8)
POINT = {"thresholds": [0.5, 0.5], "min_area": [1, 1]}


@pytest.fixture
def photograph(tmp_path) -> Viewed:
    path = tmp_path / "eye.png"
    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8))
    return Viewed(0, "eye", path)


@pytest.fixture
def drawn() -> Drawn:
    rng = np.random.default_rng(2)
    lesion, ignored = (rng.integers(0, 4, SIZE).astype(np.uint8) * (rng.random(SIZE) < 0.2) for _ in range(2))
    return Drawn(lesion.astype(np.uint8), ignored.astype(np.uint8), ("HE", "MA"))


@pytest.fixture
def corrections(tmp_path) -> Corrections:
    (tmp_path / "out").mkdir()
    return Corrections(tmp_path / "out", CLASSES, max_pixels=10**6, model="f" * 16)


def save(corrections: Corrections, case: Viewed, drawn: Drawn, revision: int = 0, by: str = "Ada"):
    return corrections.save(case, drawn, revision=revision, by=by, levels=LEVELS, started_from=POINT)


def test_bits_are_masks_and_back():
    masks = np.random.default_rng(3).random((*SIZE, 8)) < 0.3
    np.testing.assert_array_equal(masks_of(pack_classes(masks), 8), masks)


def test_what_was_saved_is_what_shard_cuts_to_the_pixel(corrections, photograph, drawn, shard, tmp_path):
    save(corrections, photograph, drawn)
    lines: list[str] = []
    _, cases = find_cases(corrections.output, CLASSES, warn=lines.append)
    assert lines == []
    data = DataConfig(classes=CLASSES, scale=1.0, tile=80, stride=80, validation_fraction=0)
    shard(tmp_path / "records", cases, data)
    (file,) = (tmp_path / "records").glob("*train*")
    (tile,) = [decode_record(record) for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()]
    mask, known = (cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_UNCHANGED) for one in (tile.mask, tile.known))
    np.testing.assert_array_equal(known[: SIZE[0]], 3 - drawn.ignored)
    np.testing.assert_array_equal(mask[: SIZE[0]], drawn.lesion & ~drawn.ignored)


def test_a_class_that_is_not_complete_is_unknown(corrections, photograph, drawn):
    save(corrections, photograph, Drawn(drawn.lesion, drawn.ignored, ("MA",)))
    _, (case,) = find_cases(corrections.output, CLASSES, warn=lambda line: None)
    labels = read_labels(case, SIZE, DataConfig(classes=CLASSES))
    assert not labels.known[..., 0].any()
    np.testing.assert_array_equal(labels.known[..., 1], (drawn.ignored >> 1 & 1) == 0)


def test_it_is_read_back_as_it_was_saved(corrections, photograph, drawn):
    assert corrections.read("eye", SIZE) is None
    save(corrections, photograph, drawn)
    again = Corrections(corrections.output, CLASSES, max_pixels=10**6, model="f" * 16)
    read = again.read("eye", SIZE)
    np.testing.assert_array_equal(read.lesion, drawn.lesion)
    np.testing.assert_array_equal(read.ignored, drawn.ignored)
    assert read.complete == drawn.complete


def test_the_sidecar_says_who_and_when_and_the_map_of_the_model_stays(corrections, photograph, drawn):
    first = save(corrections, photograph, drawn)
    second = save(corrections, photograph, Drawn(drawn.lesion * 0, drawn.ignored * 0, ()), 1, by="  Grace \n Hopper ")
    content = json.loads((corrections.output / "corrections" / "eye.json").read_text())
    assert (first.revision, second.revision, content["revision"]) == (1, 2, 2)
    assert (content["by"], content["model"], content["started_from"]) == ("Grace Hopper", "f" * 16, POINT)
    assert content["saved"].endswith("+00:00")
    with np.load(corrections.output / "corrections" / "eye_model.npz") as kept:
        np.testing.assert_array_equal(np.moveaxis(kept["levels"], -1, 0), LEVELS)
        assert kept["classes"].tolist() == list(CLASSES)
    assert not list(corrections.output.glob("masks/*_ignore/*"))


def test_nothing_is_left_half_written(corrections, photograph, drawn, monkeypatch):
    save(corrections, photograph, drawn)
    before = {path: path.read_bytes() for path in corrections.output.rglob("*") if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("records.files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        save(corrections, photograph, Drawn(drawn.lesion * 0, drawn.ignored, ()), 1)
    assert {path: path.read_bytes() for path in corrections.output.rglob("*") if path.is_file()} == before


def test_a_save_that_was_interrupted_is_finished_and_no_half_of_it_is_read(corrections, photograph, drawn, monkeypatch):
    save(corrections, photograph, drawn)
    moved = []

    def interrupted(source: Path, target: Path) -> None:
        if STAGING not in target.parts:
            moved.append(target)
            if len(moved) == 3:
                raise KeyboardInterrupt
        source.rename(target)

    monkeypatch.setattr("records.together.os.replace", interrupted)
    after = Drawn(drawn.lesion * 0, drawn.ignored, ("MA",))
    with pytest.raises(KeyboardInterrupt):
        save(corrections, photograph, after, 1)
    monkeypatch.undo()
    with pytest.raises(InputError, match="view is saving corrections there, or was killed"):
        find_cases(corrections.output, CLASSES)
    again = Corrections(corrections.output, CLASSES, max_pixels=10**6, model="f" * 16)
    assert again.sidecar("eye").revision == 2
    read = again.read("eye", SIZE)
    assert not read.lesion.any() and read.complete == ("MA",)
    find_cases(corrections.output, CLASSES)


def test_rows_of_other_photographs_stay_in_the_table(corrections, photograph, drawn):
    save(corrections, photograph, drawn)
    cv2.imwrite(str(corrections.output / "images" / "other.png"), np.zeros((8, 8, 3), np.uint8))
    table = corrections.output / "labels.csv"
    table.write_text("case,labelled,absent\neye,HE EX,MA\nother,SE,HE\n")
    save(corrections, photograph, Drawn(drawn.lesion & 1, drawn.ignored, ("HE",)), 1)
    assert table.read_text() == "case,labelled,absent\neye,HE EX,MA\nother,SE,HE\n"
    save(corrections, photograph, Drawn(drawn.lesion | 2, drawn.ignored, ("HE", "MA")), 2)
    assert table.read_text() == "case,labelled,absent\neye,HE MA EX,\nother,SE,HE\n"


def test_another_photograph_of_the_same_name_is_refused(corrections, photograph, drawn):
    (corrections.output / "images").mkdir()
    cv2.imwrite(str(corrections.output / "images" / "eye.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match=r"eye\.png: is another photograph of the same name"):
        save(corrections, photograph, drawn)
    assert not list((corrections.output / "corrections").iterdir())  # nor its map, which would stay beside the other


@pytest.mark.parametrize("file", ["notes.txt", "masks/eye_HE.png"])
def test_folders_of_something_else_are_refused(tmp_path, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(InputError, match="expected an empty folder, or one with"):
        Corrections(tmp_path, CLASSES, max_pixels=100, model="")


def test_soft_labels_are_refused_as_a_save_would_make_them_hard(tmp_path):
    (tmp_path / "images").mkdir()
    for soft in (False, True):
        (tmp_path / "pseudolabels.json").write_text(json.dumps({"settings": {"soft": soft}}))
        refused = pytest.raises(InputError, match=r"masks hold probabilities \(pseudolabel --soft\)")
        with refused if soft else contextlib.nullcontext():
            Corrections(tmp_path, CLASSES, max_pixels=10**6, model="")


def test_a_damaged_sidecar_is_named(corrections, photograph, drawn):
    save(corrections, photograph, drawn)
    (corrections.output / "corrections" / "eye.json").write_text("{}")
    with pytest.raises(InputError, match=r"eye\.json: damaged"):
        corrections.sidecar("eye")


def test_corrections_of_another_photograph_of_the_same_name_are_never_shown_nor_taken_away(
    serve, ask_at, operating_query, drawn, tmp_path
):
    opened, _, output = serve()
    theirs = tmp_path / "left.png"
    cv2.imwrite(str(theirs), np.random.default_rng(9).integers(0, 256, (*SIZE, 3), np.uint8))
    corrections = Corrections(output, CLASSES, max_pixels=10**6, model="f" * 16)
    save(corrections, Viewed(0, "left", theirs), drawn)
    with opened as page:
        served = ask_at(page.url)
        case = served.wait_for("left")["left"]
        assert not case["corrected"]
        refused = served.ask("GET", f"/api/photographs/{case['number']}/labels?{operating_query()}")
        assert refused.status == 409 and b"left.png: is another photograph of the same name" in refused.body
        taken = served.ask("GET", f"/api/take_away?{operating_query(parts='masks,table', case=case['number'])}")
    with zipfile.ZipFile(io.BytesIO(taken.body)) as file:
        mask = cv2.imdecode(np.frombuffer(file.read("masks/left_HE.png"), np.uint8), cv2.IMREAD_UNCHANGED)
        assert mask.shape == tuple(case["facts"]["size"])
        assert "corrected by a person" not in file.read("predictions.csv").decode()


def test_the_page_saves_what_it_was_given_and_tells_a_second_window(serve, ask_at, operating_query):
    opened, _, output = serve()
    with opened as page:
        served = ask_at(page.url)
        case = served.wait_for("left")["left"]
        number, (height, width) = case["number"], case["facts"]["size"]
        address = f"/api/photographs/{number}/labels?{operating_query()}"
        told = served.ask("GET", address)
        planes = gzip.decompress(told.body)
        assert json.loads(told.headers["X-Labels"]) == {
            "revision": 0, "by": "", "saved": "", "complete": [], "there": False,
        }  # fmt: skip
        lesion = np.frombuffer(planes, np.uint8)[: height * width].reshape(height, width).copy()
        assert len(planes) == 2 * height * width
        lesion[10:20, 30:40] |= 2
        changed = lesion.tobytes() + bytes(height * width)
        saved = served.save(number, changed)
        assert (saved.status, saved.json["revision"], saved.json["by"]) == (200, 1, "Ada")
        for name, bit in (("HE", 0), ("MA", 1)):
            mask = cv2.imread(str(output / "masks" / name / "left.png"), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(mask, (lesion >> bit & 1) * 255)
        second = served.save(number, planes, by="Grace")
        assert (second.status, second.json["by"], second.json["revision"]) == (409, "Ada", 1)
        again = served.ask("GET", address)
        assert gzip.decompress(again.body) == changed
        assert json.loads(again.headers["X-Labels"])["complete"] == ["HE"]
        assert served.cases()["left"]["corrected"]
