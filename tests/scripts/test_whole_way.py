"""All commands, one after the other on synthetic photographs: what they print and write."""

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from configs import loading
from records import read_index

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_command_prints_its_plan_first_and_where_to_look_last(way):
    for name, printed in way.printed.items():
        lines = printed.strip().splitlines()
        assert "→" in "".join(lines[:8]), f"{name} does not say where its result will be"
        assert "see:" in lines[-1], f"{name} does not say what to open"


def test_shard_left_an_index_that_agrees_with_its_files(way):
    index = read_index(way.records)
    assert {name: len(split.cases) for name, split in index.splits.items()} == {"train": 4, "validation": 1, "test": 2}
    for split in index.splits.values():
        for shard in split.shards:
            assert (way.records / shard.name).stat().st_size == shard.bytes
    assert loading.load_config(str(way.records / "config.json")).data == index.data
    assert not list(way.records.glob(".tmp*"))


def test_no_case_of_the_test_part_is_in_training(way):
    index = read_index(way.records)
    test = {file.stem for file in way.source.glob("A*/1*/b*/*.jpg")}
    assert set(index.splits["test"].cases) == test
    assert not test & set(index.splits["train"].cases + index.splits["validation"].cases)


def test_train_left_a_workdir_as_designed(way):
    names = {path.name for path in way.workdir.iterdir()}
    assert {"config.json", "environment.json", "history.csv", "curves.png", "checkpoints", "tensorboard"} <= names
    assert {"previews", "model"} <= names
    history = rows(way.workdir / "history.csv")
    assert [row["epoch"] for row in history] == ["1", "2"]
    assert all(np.isfinite(float(row["loss"])) and np.isfinite(float(row["val_loss"])) for row in history)
    assert all(0 <= float(row["val_photo_aupr"]) <= 1 for row in history)
    (case,) = read_index(way.records).splits["validation"].cases
    for name in (f"{case}.png", f"{case}/epoch_002.png"):
        assert cv2.imread(str(way.workdir / "previews" / name)) is not None
    environment = json.loads((way.workdir / "environment.json").read_text())
    assert environment["config_fingerprint"] == loading.load_config(str(way.workdir / "config.json")).fingerprint()


def test_the_model_folder_holds_all_that_inference_needs(way):
    spec = json.loads((way.workdir / "model" / "segmenter.json").read_text())
    wanted = {"schema_version", "classes", "scale", "tile", "overlap", "window", "thresholds"}
    assert wanted <= set(spec)
    assert spec["classes"] == ["HE"]
    assert spec["records_fingerprint"] == json.loads((way.records / "index.json").read_text())["fingerprint"]


def test_eval_wrote_scores_of_every_photograph_and_of_tiles(way):
    scores = json.loads((way.workdir / "scores.json").read_text())
    assert scores["photographs"] == 2
    assert 0 <= scores["scores"]["frame"]["HE"]["aupr"] <= 1
    low, high = scores["intervals"]["frame"]["HE"]["aupr"]
    assert low <= scores["scores"]["frame"]["HE"]["aupr"] <= high
    assert (scores["threshold_source"], scores["threshold_seen"]) == ("validation", False)
    photographs = rows(way.workdir / "photographs.csv")
    assert {row["case"] for row in photographs} == set(read_index(way.records).splits["test"].cases)
    assert len([row for row in rows(way.workdir / "lesions.csv") if row["kind"] == "lesion"]) == sum(
        int(row["lesions"]) for row in photographs if row["region"] == "frame"
    )
    assert {row["name"] for row in rows(way.workdir / "evaluation.csv")} == {"bce_dice", "dice_coef"}
    assert "colour threshold" in way.printed["eval"]
    assert "<h1>Evaluation on 2 test photographs</h1>" in (way.workdir / "report.html").read_text()
    assert re.search(r"segmenting [\d.]+ s, scoring [\d.]+ s \(\d+ %\)", way.printed["eval"])


def test_eval_scores_the_maps_of_predict_as_it_scores_the_model_and_compares_the_two(way, run, tmp_path):
    (threshold,) = json.loads((way.workdir / "model" / "segmenter.json").read_text())["thresholds"]
    maps = (f"--predictions={way.predictions}", f"--source={way.source}", "--split=test")
    done = run("eval", *maps, f"--threshold=HE={threshold}", f"--output={tmp_path / 'maps'}")
    assert done.returncode == 0, done.stderr
    assert "The thresholds are those given" in done.stdout
    ours, theirs = (json.loads((folder / "scores.json").read_text()) for folder in (way.workdir, tmp_path / "maps"))
    for key in ("aupr", "dice", "roc_auc"):  # their files hold float16
        one, other = (content["scores"]["field_of_view"]["HE"][key] for content in (ours, theirs))
        assert one == pytest.approx(other, abs=5e-3)
    compared = run("compare", way.workdir, tmp_path / "maps", f"--output={tmp_path / 'both'}")
    assert compared.returncode == 0, compared.stderr
    content = json.loads((tmp_path / "both" / "compare.json").read_text())
    assert content["photographs"] == 2
    assert content["pooled"]["frame"]["HE"]["aupr"]["difference"] == pytest.approx(0, abs=5e-3)
    assert len(rows(tmp_path / "both" / "compare.csv")) > 0


def test_predict_wrote_mask_overlay_map_and_rows_of_every_photograph(way):
    photographs = sorted(way.source.glob("A*/1*/b*/*.jpg"))
    (threshold,) = json.loads((way.workdir / "model" / "segmenter.json").read_text())["thresholds"]
    assert [row["case"] for row in rows(way.predictions / "predictions.csv")] == [file.stem for file in photographs]
    for file in photographs:
        size = cv2.imread(str(file)).shape[:2]
        mask = cv2.imread(str(way.predictions / "masks" / f"{file.stem}_HE.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == size
        assert set(np.unique(mask)) <= {0, 255}
        overlay = cv2.imread(str(way.predictions / "overlays" / f"{file.stem}.jpg"))
        assert overlay.shape[0] > size[0] and overlay.shape[1] == size[1]  # with a legend below
        kept = np.load(way.predictions / "probabilities" / f"{file.stem}.npz")
        assert kept["probabilities"].dtype == np.float16
        assert (list(kept["classes"]), tuple(kept["size"])) == (["HE"], size)
        enlarged = cv2.resize(kept["probabilities"].astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
        near = np.abs(enlarged - threshold) < 1e-3  # float16 may round across
        assert np.array_equal((mask > 0)[~near], (enlarged >= threshold)[~near])


CLIENT = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf

export, photographs, probabilities = map(Path, sys.argv[1:])
model = tf.saved_model.load(str(export))
files = sorted(photographs.glob("*.jpg"))
for file in files:
    served = model.signatures["serving_default"](tf.constant(file.read_bytes()))["probabilities"].numpy()
    predicted = np.load(probabilities / f"{file.stem}.npz")["probabilities"].astype(np.float32)
    predicted = tf.image.resize(predicted, served.shape[:2])
    np.testing.assert_allclose(served, predicted, rtol=0, atol=2.0**-11)  # float16 just below 1
print(len(files), "maps agree")
"""


def test_the_export_gives_predicts_maps_in_a_process_that_knows_only_tensorflow(way):
    photographs = way.source / "A. Segmentation" / "1. Original Images" / "b. Testing Set"
    words = [sys.executable, "-I", "-c", CLIENT, way.export / "1", photographs, way.predictions / "probabilities"]
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "2 maps agree\n"


def test_export_prints_what_a_client_gets(way):
    lines = [line for line in way.printed["export"].splitlines() if line.startswith("client: ")]
    assert "SYN_06.jpg → serving_default → probabilities [712, 1072, 1]; loading" in lines[0]
    assert lines[1].startswith("client: HE: ")
    assert "the same map as predict's: largest difference" in lines[2]


def test_a_run_is_the_same_one_with_its_own_config_json(way, run):
    """Presets and overrides are all in it; that a training starts from such a file is seen in test_resuming.py."""
    config = way.workdir / "config.json"
    written = config.read_text()
    folders = (f"--records={way.records}", f"--source={way.source}", f"--workdir={way.workdir}")
    done = run("train", f"--config={config}", *folders)
    assert done.returncode == 0, done.stderr
    assert "this training is already finished" in done.stdout
    assert config.read_text() == written


def test_predict_names_bad_photographs_and_does_the_others(way, run, tmp_path):
    good = sorted(way.source.glob("A*/1*/b*/*.jpg"))[0]
    folder = tmp_path / "photographs with ümlaut"
    folder.mkdir()
    (folder / good.name).write_bytes(good.read_bytes())
    (folder / "cut.jpg").write_bytes(good.read_bytes()[:20_000])
    maps = ("--probabilities", "--full_size", "--tiff")
    done = run("predict", f"--model={way.workdir / 'model'}", f"--output={tmp_path / 'out'}", *maps, folder)
    assert done.returncode == 1
    assert f"left out: {folder / 'cut.jpg'}: damaged or cut short" in done.stderr
    assert [row["case"] for row in rows(tmp_path / "out" / "predictions.csv")] == [good.stem]
    assert not list((tmp_path / "out").rglob("*cut*"))
    kept = np.load(tmp_path / "out" / "probabilities" / f"{good.stem}.npz")["probabilities"][..., 0]
    tiff = cv2.imread(str(tmp_path / "out" / "probabilities" / f"{good.stem}_HE.tif"), cv2.IMREAD_UNCHANGED)
    assert kept.shape == cv2.imread(str(good)).shape[:2]
    np.testing.assert_allclose(tiff / 65535, kept.astype(float), atol=3e-4)
    assert "Traceback" not in done.stderr


def test_a_stopped_predict_goes_on_with_what_is_left(way, run, tmp_path):
    originals = sorted(way.source.glob("A*/1*/b*/*.jpg"))
    copies = tmp_path / "copies"
    copies.mkdir()
    for number in range(3):
        shutil.copy(originals[0], copies / f"copy{number}.jpg")
    model, source, out = f"--model={way.workdir / 'model'}", f"--source={way.source}", tmp_path / "out"
    words = [model, source, f"--output={out}", str(copies), str(originals[0].parent)]
    command = [sys.executable, "-m", "scripts.predict", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    while not list(out.glob("geojson/copy*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 143
    finished = list(out.glob("geojson/*.geojson"))
    assert (
        f"stopped by SIGTERM; the same command continues with the remaining {5 - len(finished)} photographs" in printed
    )
    assert {row["case"] for row in rows(out / "predictions.csv")} == {file.stem for file in finished}
    assert not list(out.rglob(".tmp*"))

    done = run("predict", *words)
    assert done.returncode == 0, done.stderr
    assert f"5 photographs, {len(finished)} of them already finished" in done.stdout
    assert "s spent segmenting" in done.stdout
    first, second, *copied = rows(out / "predictions.csv")
    assert [first, second] == rows(way.predictions / "predictions.csv")
    for row in copied:
        assert {**row, "case": originals[0].stem, "file": str(originals[0])} == first
    height, width = cv2.imread(str(originals[0])).shape[:2]
    alone, beside = (cv2.imread(str(out / "overlays" / name)).shape[:2] for name in ("copy0.jpg", originals[0].name))
    assert height < alone[0] < 1.05 * height and alone[1] == width  # with a legend below
    assert beside[0] > alone[0]
    assert 2 * width <= beside[1] <= 2 * width + 10


@pytest.mark.slow
def test_what_predict_writes_at_an_operating_point_has_the_scores_of_eval_at_the_same(way, run, tmp_path):
    model, point = f"--model={way.workdir / 'model'}", ("--threshold=0.3", "--min_area=HE=12")
    source = (f"--source={way.source}", "--split=test")
    photographs = next(way.source.glob("A*/1*/b*"))
    for name, arguments in {
        "predict": (model, *point, f"--output={tmp_path / 'masks'}", photographs),
        "eval": (model, *point, *source, f"--output={tmp_path / 'maps'}"),
    }.items():
        done = run(name, *arguments)
        assert done.returncode == 0, done.stderr
    assert "classes HE at 0.3 (threshold: given), least areas HE 12 pixels" in done.stdout
    assert "Detections of fewer pixels than --min_area were dropped (HE 12)" in done.stdout
    done = run("eval", f"--predictions={tmp_path / 'masks'}", *source, f"--output={tmp_path / 'scored'}")
    assert done.returncode == 0, done.stderr
    assert "maps: of 8 bits, 255 means 1, and of 16 bits, 65535" in done.stdout
    maps, masks = (json.loads((tmp_path / name / "scores.json").read_text()) for name in ("maps", "scored"))
    assert (maps["thresholds"], maps["min_area"], masks["min_area"]) == ({"HE": 0.3}, {"HE": 12}, {"HE": 1})
    for key in ("dice", "iou", "sensitivity", "ppv", "specificity", "found_pixels"):
        assert maps["scores"]["frame"]["HE"][key] == masks["scores"]["frame"]["HE"][key]
    for key in ("lesions", "found", "findings", "false_positives"):
        assert maps["lesions"]["HE"][key] == masks["lesions"]["HE"][key]
    stays = json.loads((way.workdir / "scores.json").read_text())  # at the model's operating point
    assert maps["scores"]["frame"]["HE"]["aupr"] == stays["scores"]["frame"]["HE"]["aupr"]


def test_eval_names_bad_photographs_and_scores_the_others(way, run, tmp_path):
    source = Path(shutil.copytree(way.source, tmp_path / "source"))
    short, good = sorted(source.glob("A*/1*/b*/*.jpg"))
    short.write_bytes(short.read_bytes()[:-5000])
    arguments = (
        f"--model={way.workdir / 'model'}",
        f"--source={source}",
        "--split=test",
        f"--output={tmp_path / 'out'}",
    )
    done = run("eval", *arguments)
    assert done.returncode == 1
    assert f"left out: {short}: damaged or cut short" in done.stderr
    assert {row["case"] for row in rows(tmp_path / "out" / "photographs.csv")} == {good.stem}
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["left_out"][0]["case"] == short.stem


def test_eval_names_photographs_without_a_mask_or_a_map_and_scores_the_others(run, tmp_path):
    for folder in ("images", "masks", "maps"):
        (tmp_path / folder).mkdir()
    for name in "abcd":
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((60, 80, 3), 120, np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), np.eye(60, 80, dtype=np.uint8) * 255)
        cv2.imwrite(str(tmp_path / "maps" / f"{name}_HE.png"), np.eye(60, 80 - (name == "c"), dtype=np.uint8) * 255)
    (tmp_path / "masks" / "a.png").unlink()
    (tmp_path / "maps" / "b_HE.png").unlink()
    arguments = (f"--predictions={tmp_path / 'maps'}", f"--source={tmp_path}", "--split=all")
    done = run("eval", *arguments, f"--output={tmp_path / 'out'}")
    assert done.returncode == 1
    for line in ("a.png: no mask of class HE", "case b: no map of class HE", "c_HE.png: 79x60 pixels, but"):
        assert line in done.stderr
    assert {row["case"] for row in rows(tmp_path / "out" / "photographs.csv")} == {"d"}
    assert "masks, not probability maps" in done.stdout
    assert "one photograph: no intervals" in done.stdout
    (tmp_path / "masks" / "d.png").unlink()
    done = run("eval", *arguments, f"--output={tmp_path / 'none'}")
    assert done.returncode == 2
    assert "none of the 4 photographs could be scored" in done.stderr
    assert not list((tmp_path / "none").iterdir())


def test_shard_names_bad_cases_and_does_the_others(way, run, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "pairs" / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / "pairs" / "images" / f"{name}.png"), rng.integers(50, 200, (300, 300, 3)))
        cv2.imwrite(
            str(tmp_path / "pairs" / "masks" / f"{name}.png"), np.full((300, 300 - (name == "b")), 255, np.uint8)
        )
    source, records = f"--source={tmp_path / 'pairs'}", f"--records={tmp_path / 'records'}"
    done = run("shard", *("--config=configs/demo.py",), source, records)
    assert done.returncode == 1
    assert "b.png: 299x300 pixels, but its photograph b.png has 300x300" in done.stderr
    assert set(read_index(tmp_path / "records").cases) == {"a", "c"}
    strict = run("shard", "--config=configs/demo.py", source, f"--records={tmp_path / 'strict'}", "--strict")
    assert strict.returncode == 2
    assert not (tmp_path / "strict").exists()


def test_a_calibrated_model_in_half_precision_predicts_the_same_lesions(way, run, tmp_path):
    model, calibrated = way.workdir / "model", tmp_path / "calibrated"
    done = run("calibrate", f"--model={model}", f"--results={way.workdir}", f"--output={calibrated}", "--half")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^HE +\d+\.\d+ +-?\d+\.\d+ .* → ", done.stdout, re.MULTILINE)
    assert (calibrated / "network.keras").stat().st_size < 0.75 * (model / "network.keras").stat().st_size
    spec = json.loads((calibrated / "segmenter.json").read_text())
    assert (spec["threshold_source"], spec["calibrated_on"]) == ("held out", ["SYN_06", "SYN_07"])
    out = tmp_path / "scores"
    done = run("eval", f"--model={calibrated}", f"--source={way.source}", "--split=test", f"--output={out}")
    assert done.returncode == 0, done.stderr
    before, after = (json.loads((folder / "scores.json").read_text()) for folder in (way.workdir, out))
    assert after["threshold_seen"] is True
    one, other = (content["scores"]["frame"]["HE"] for content in (before, after))
    assert other["aupr"] == pytest.approx(one["aupr"], abs=0.02)
    assert other["dice"] >= one["dice"] - 0.01  # of all thresholds it is the best on these photographs
    assert other["ece"] < one["ece"]


def test_eval_recognises_photographs_by_their_files_not_by_their_names(way, run, tmp_path):
    """The files of validation photographs under other names, and another photograph under the name of one of them."""
    model = way.workdir / "model"
    listed = json.loads((model / "segmenter.json").read_text())
    assert {one["case"] for one in listed["photographs"]["validation"]} == set(listed["splits"]["validation"])
    name = listed["splits"]["validation"][0]
    photograph = next(way.source.glob(f"A*/1*/*/{name}.jpg"))
    (images := tmp_path / "source" / "images").mkdir(parents=True)
    (masks := tmp_path / "source" / "masks").mkdir()
    shutil.copy(photograph, images / "renamed.jpg")
    with Image.open(photograph) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(images / f"{name}.jpg")
        mask = Image.new("L", image.size)
        mask.paste(255, (300, 300, 320, 320))
    for stem in ("renamed", name):
        mask.save(masks / f"{stem}.png")
    out = tmp_path / "out"
    done = run("eval", f"--model={model}", f"--source={tmp_path / 'source'}", "--split=all", f"--output={out}")
    assert done.returncode == 0, done.stderr
    scores = json.loads((out / "scores.json").read_text())
    assert (scores["threshold_seen"], scores["threshold_seen_on"]) == (True, ["renamed"])
    assert (scores["named_alike"], scores["seen_by_name"]) == ([name], [])
    assert "The thresholds were chosen on 1 of these 2 photographs" in done.stdout
    assert f"1 photograph has a name that the model lists, but is another photograph: {name}" in done.stdout
