"""The page's answers: photographs, maps, results to take away, windows, and what is left at the end."""

import csv
import gzip
import io
import json
import threading
import time
import zipfile

import cv2
import numpy as np
import pytest

from configs import InputError
from pipeline.operating_point import OperatingPoint
from pipeline.prediction import detect
from pipeline.viewer.library import Library, Viewed
from pipeline.viewer.maps import expected_wrong, probability_map
from pipeline.viewer.pictures import Pictures
from pipeline.viewer.takeaway import TakeAway
from pipeline.viewer.windows import SECONDS, Windows
from records import find_regions, measure_quality, read_photograph
from tests.specs import make_spec


def test_the_page_and_all_it_loads_is_served_from_here(page):
    start = page.ask("GET", "/")
    assert start.headers["Content-Type"].startswith("text/html")
    assert b"http://" not in start.body + page.ask("GET", "/static/style.css").body
    for name, kind in (("main.js", "text/javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")):
        assert page.ask("GET", f"/static/{name}").headers["Content-Type"].startswith(kind)


def test_maps_are_those_of_the_segmenter_in_8_bits(page, segmenter):
    for name, case in page.cases().items():
        photograph = read_photograph(page.photographs / f"{name}.png", max_pixels=10**6)
        scaled = segmenter.segment_measured(segmenter.measure(photograph)).scaled
        height, width = case["facts"]["map_size"]
        answer = page.ask("GET", f"/api/photographs/{case['number']}/map")
        levels = np.frombuffer(gzip.decompress(answer.body), np.uint8).reshape(2, height, width)
        assert np.abs(np.moveaxis(levels, 0, -1) / 255 - scaled).max() <= 0.5 / 255 + 1e-6


def test_lesions_are_counted_as_predict_counts_them(page, segmenter):
    for case in page.cases().values():
        facts = case["facts"]
        body = page.ask("GET", f"/api/photographs/{case['number']}/map").body
        levels = np.frombuffer(gzip.decompress(body), np.uint8).reshape(2, *facts["map_size"])
        point = OperatingPoint(segmenter.spec.thresholds)
        masks = detect(probability_map(levels, tuple(facts["size"])), point).masks
        assert case["lesions"] == [len(find_regions(masks[..., index]).area) for index in range(2)]


def test_photographs_and_thumbnails_are_upright_jpeg_files(page):
    for name, (height, width) in {"left": (96, 130), "right": (80, 110)}.items():
        number = page.cases()[name]["number"]
        shown = cv2.imdecode(np.frombuffer(page.ask("GET", f"/api/photographs/{number}/photograph").body, np.uint8), 1)
        original = cv2.imread(str(page.photographs / f"{name}.png"))
        assert shown.shape == (height, width, 3)
        assert np.abs(shown.astype(int) - original).mean() < 6  # the photograph is noisy, which JPEG is not good at
        assert page.ask("GET", f"/api/photographs/{number}/thumbnail").body.startswith(b"\xff\xd8")


def test_a_dropped_photograph_is_segmented_and_removed_again(page, fundus):
    content = cv2.imencode(".png", fundus(60, 70, seed=9).photograph)[1].tobytes()
    first, second = (page.ask("POST", "/api/photographs?name=left.png", content).json for _ in range(2))
    assert [first["name"], second["name"]] == ["left_2", "left_3"]
    assert page.wait_for("left_2", "left_3")["left_2"]["facts"]["size"] == [60, 70]
    for case in (first, second):
        assert page.ask("DELETE", f"/api/photographs/{case['number']}").status == 204
        assert page.ask("GET", f"/api/photographs/{case['number']}/map").status == 404
    assert not list((page.folder / "uploads").iterdir())
    assert len(list((page.folder / "maps").iterdir())) == 2


def test_a_photograph_that_cannot_be_read_is_said_to_be(page, tmp_path):
    content = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    number = page.ask("POST", "/api/photographs?name=cut.png", content[: len(content) // 2]).json["number"]
    case = page.wait_for("cut")["cut"]
    assert case["state"] == "failed"
    assert case["message"]
    assert page.ask("GET", f"/api/photographs/{number}/photograph").status == 409
    page.ask("DELETE", f"/api/photographs/{number}")


def test_large_photographs_are_shown_shrunk_and_their_tiles_are_whole(tmp_path, monkeypatch, fundus):
    photograph = fundus(250, 330, seed=5).photograph
    cv2.imwrite(str(tmp_path / "eye.png"), photograph[..., ::-1])
    (tmp_path / "made").mkdir()
    monkeypatch.setattr("pipeline.viewer.pictures.MOST_SHOWN", 20_000)
    monkeypatch.setattr("pipeline.viewer.pictures.TILE_SIDE", 128)
    pictures, case = Pictures(tmp_path / "made", max_pixels=10**6), Viewed(3, "eye", tmp_path / "eye.png")
    shown = cv2.imdecode(np.frombuffer(pictures.shown(case), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[0] * shown.shape[1] == pytest.approx(20_000, rel=0.02)
    rows = [
        np.hstack([cv2.imread(str(pictures.tile(case, row, column))) for column in range(3)])[..., ::-1]
        for row in range(2)
    ]
    assert np.abs(np.vstack(rows).astype(int) - photograph).mean() < 6
    assert pictures.tile(case, 2, 0) is None
    pictures.remove(3)
    assert not list((tmp_path / "made").iterdir())


def test_results_are_those_of_the_thresholds_that_the_page_gives(page, operating_query):
    answer = page.ask(
        "GET", f"/api/take_away?{operating_query((0.9, 0.01), parts='masks,overlays,geojson,coco,table')}"
    )
    assert answer.status == 200
    with zipfile.ZipFile(io.BytesIO(answer.body)) as file:
        assert file.testzip() is None
        content = {name: file.read(name) for name in file.namelist()}
    masks = [f"masks/{name}_{one}.png" for name in ("left", "right") for one in ("HE", "MA")]
    overlays = [f"overlays/{name}.jpg" for name in ("left", "right")]
    outlines = [f"geojson/{name}.geojson" for name in ("left", "right")]
    assert sorted(content) == sorted([*masks, *overlays, *outlines, "lesions.csv", "lesions.json", "predictions.csv"])
    rows = {row["case"]: row for row in csv.DictReader(io.StringIO(content["predictions.csv"].decode()))}
    for name, case in {name: page.cases()[name] for name in ("left", "right")}.items():
        body = page.ask("GET", f"/api/photographs/{case['number']}/map").body
        levels = np.frombuffer(gzip.decompress(body), np.uint8).reshape(2, *case["facts"]["map_size"])
        expected = detect(probability_map(levels, tuple(case["facts"]["size"])), OperatingPoint((0.9, 0.01))).masks
        for index, one in enumerate(("HE", "MA")):
            mask = cv2.imdecode(np.frombuffer(content[f"masks/{name}_{one}.png"], np.uint8), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(mask > 0, expected[..., index])
            assert int(rows[name][f"{one}_pixels"]) == expected[..., index].sum()
        features = json.loads(content[f"geojson/{name}.geojson"])["features"]
        assert len(features) == sum(int(rows[name][f"{one}_lesions"]) for one in ("HE", "MA"))
    coco = json.loads(content["lesions.json"])
    assert len(coco["annotations"]) == len(content["lesions.csv"].splitlines()) - 1


def test_only_what_is_asked_for_is_taken_away(page, operating_query):
    number = page.cases()["left"]["number"]
    answer = page.ask("GET", f"/api/take_away?{operating_query(parts='masks', case=number)}")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as file:
        assert sorted(file.namelist()) == ["masks/left_HE.png", "masks/left_MA.png"]
    assert page.ask("GET", f"/api/take_away?{operating_query(parts='passwords')}").status == 400
    assert page.ask("GET", f"/api/take_away?{operating_query((0.5, 1.5), parts='masks')}").status == 400


def test_measures_that_are_taken_away_are_at_the_scale_of_the_map_whatever_decided_it(fundus, tmp_path):
    photograph = fundus(96, 128, seed=0).photograph
    cv2.imwrite(str(tmp_path / "eye.png"), photograph[..., ::-1])
    spec = make_spec(scale=None, field_diameter=60.0)
    take_away = TakeAway(spec, maps=None, drawn=lambda case: None, max_pixels=10**6)
    found = [take_away._measured(Viewed(0, "eye", tmp_path / "eye.png"), photograph, factor) for factor in (0.37, 0.9)]
    assert [one.scale.factor for one in found] == [0.37, 0.9]
    circle = found[0].scale.circle
    assert [one.quality for one in found] == [measure_quality(photograph, circle, factor) for factor in (0.37, 0.9)]


def test_corrections_take_the_place_of_detections_in_what_is_taken_away(serve, ask_at, operating_query):
    opened, _, _ = serve()
    with opened as page:
        served = ask_at(page.url)
        case = served.wait_for("left")["left"]
        height, width = case["facts"]["size"]
        lesion = np.zeros((height, width), np.uint8)
        lesion[5:9, 7:20] = 1
        assert served.save(case["number"], lesion.tobytes() + bytes(height * width)).status == 200
        query = operating_query(parts="masks,table", case=case["number"])
        answer = served.ask("GET", f"/api/take_away?{query}")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as file:
        mask = cv2.imdecode(np.frombuffer(file.read("masks/left_HE.png"), np.uint8), cv2.IMREAD_UNCHANGED)
        (row,) = csv.DictReader(io.StringIO(file.read("predictions.csv").decode()))
    np.testing.assert_array_equal(mask, lesion * 255)
    assert (row["HE_lesions"], row["HE_pixels"], row["MA_pixels"]) == ("1", "52", "0")
    assert "corrected by a person" in row["warnings"]


@pytest.mark.parametrize("keep", [False, True])
def test_uploads_are_removed_at_the_end_unless_they_are_kept(serve, ask_at, fundus, keep):
    opened, photographs, _ = serve(keep=keep)
    with opened as page:
        content = cv2.imencode(".png", fundus(60, 70, seed=9).photograph)[1].tobytes()
        assert ask_at(page.url).ask("POST", "/api/photographs?name=a.png", content).status == 201
        (upload,) = (page.folder / "uploads").iterdir()
    assert upload.exists() == keep
    assert page.folder.exists() == keep
    assert len(list(photographs.iterdir())) == 2


def test_a_port_that_is_taken_is_named(page, serve):
    port = int(page.url.rstrip("/").rpartition(":")[2])
    opened, _, _ = serve(port=port)
    with pytest.raises(InputError, match=f"--port={port}: cannot be listened on"), opened:
        pass


def test_a_model_that_cannot_be_loaded_ends_the_page(serve, monkeypatch):
    opened, _, _ = serve()

    def fail(*_: object, **__: object) -> None:
        raise InputError("the model is damaged.")

    monkeypatch.setattr("pipeline.prediction.SegmenterPool.warm_up", fail)
    with opened as page, pytest.raises(InputError, match="the model is damaged"):
        page.wait()


def test_windows_of_one_photograph_know_of_each_other():
    windows = Windows()
    assert windows.note("a", 3, now=0) == 0
    assert windows.note("b", 3, now=1) == 1
    assert windows.note("b", 4, now=2) == 0
    assert windows.note("b", 3, now=3) == 1
    assert windows.note("b", None, now=4) == 0
    assert windows.note("b", 3, now=SECONDS + 3) == 0


def test_the_photograph_that_somebody_looks_at_is_segmented_first(tmp_path):
    library = Library({name: tmp_path / name for name in "abcd"})
    library.want(2)
    assert [library.take().name for _ in range(4)] == ["c", "a", "b", "d"]
    library.close()
    assert library.take() is None


def test_news_are_only_what_has_changed(tmp_path):
    library = Library({name: tmp_path / name for name in "abc"})
    version = library.news(0)["version"]
    assert library.news(version)["cases"] == []
    library.update(1, corrected=True)
    news = library.news(version)
    assert [case["name"] for case in news["cases"]] == ["b"]
    assert str(tmp_path) not in json.dumps(news)


def test_a_question_for_news_is_answered_when_there_are_some(tmp_path):
    library = Library({"a": tmp_path / "a"})
    version = library.news(0)["version"]
    threading.Timer(0.05, lambda: library.update(0, corrected=True)).start()
    began = time.monotonic()
    assert library.news(version, patience=30)["cases"]
    assert time.monotonic() - began < 10
    library.close()
    assert library.news(version + 1, patience=30)["cases"] == []


def test_expected_wrong_pixels_are_those_of_the_photograph():
    levels = np.zeros((1, 4, 5), np.uint8)
    levels[0, 0] = 204  # 0.8: detected, and wrong with 0.2
    levels[0, 1] = 51  # 0.2: not detected
    assert expected_wrong(levels, (8, 10), (0.5,)) == pytest.approx(4 * (5 * 0.2 + 5 * 0.2), rel=1e-5)
