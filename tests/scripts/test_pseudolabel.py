"""The pseudolabel command: photographs become a source that shard and train take, and say what they are worth."""

import csv
import json

import pytest

from records import read_index

TINY = "--config=tests/scripts/tiny_preset.py"
ONE_STEP = ("--config.train.epochs=1", "--config.train.steps_per_epoch=1", "--config.train.batch_size=2")


@pytest.fixture(scope="module")
def labelled(run, way, tmp_path_factory):
    """Labels the test photographs by the model of the whole way; one is known to be healthy."""
    base = tmp_path_factory.mktemp("pseudolabel")
    photographs = next(way.source.glob("A*/1*/b*"))
    (base / "healthy.csv").write_text("case,absent\nSYN_06,HE\n")
    arguments = (
        f"--model={way.workdir / 'model'}",
        f"--source={photographs}",
        f"--output={base / 'labelled'}",
        f"--healthy={base / 'healthy.csv'}",
        "--confident=0.2,0.4",
    )
    done = run("pseudolabel", *arguments)
    assert done.returncode == 0, done.stderr
    return base / "labelled", arguments, done.stdout


def test_it_says_what_to_correct_and_does_nothing_twice(run, labelled):
    out, arguments, printed = labelled
    assert "lists first what is most worth it; look at overlays/NAME.jpg, edit masks/CLASS/NAME.png and" in printed
    with open(out / "review.csv", encoding="utf-8", newline="") as file:
        assert {row["case"] for row in csv.DictReader(file)} == {"SYN_06", "SYN_07"}
    masks = {path: path.stat().st_mtime_ns for path in out.glob("masks/*/*")}
    again = run("pseudolabel", *arguments)
    assert "2 photographs, 2 of them already labelled" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("masks/*/*")} == masks


@pytest.mark.slow
def test_what_the_model_has_seen_goes_into_records_and_into_anonymous_models_trained_on_them(
    run, way, labelled, tmp_path
):
    out, _, _ = labelled
    (tmp_path / "splits.csv").write_text("case,split\nSYN_06,train\nSYN_07,validation\n")
    records = tmp_path / "records"
    sharded = run("shard", TINY, f"--source={out}", f"--records={records}", f"--splits={tmp_path / 'splits.csv'}")
    assert sharded.returncode == 0, sharded.stderr
    assert "not used" not in sharded.stderr
    [fingerprint] = (labelled_by := read_index(records).labelled_by).models
    assert fingerprint == json.loads((out / "pseudolabels.json").read_text())["models"][0]["fingerprint"]
    seen = json.loads((way.workdir / "model" / "segmenter.json").read_text())["splits"]
    assert set(labelled_by.seen.names) == set(seen["train"])
    assert set(labelled_by.chosen_on.names) == set(seen["validation"])
    arguments = (TINY, *ONE_STEP, f"--records={records}", f"--workdir={tmp_path / 'run'}", "--anonymous")
    trained = run("train", *arguments)
    assert trained.returncode == 0, trained.stderr
    assert "1 photograph (SYN_07) for validation, labelled by a model" in trained.stderr
    written = (tmp_path / "run" / "model" / "segmenter.json").read_text()
    assert len(json.loads(written)["seen_before"]) == len(seen["train"])
    for path in (tmp_path / "run").rglob("*.json"):
        assert "SYN_" not in path.read_text(), path


def test_mistakes_of_the_user_are_one_line(run, labelled, tmp_path):
    _, arguments, _ = labelled
    model, source, *_ = arguments
    out = f"--output={tmp_path / 'out'}"
    for flags, message in {
        (model, source, out, "--confident=0.9,0.1"): "--confident=0.9,0.1: expected two probabilities",
        (model, source, out, "--absent=HE"): "--absent: says which classes",
        (model, source, source.replace("--source", "--output", 1)): "is --source itself; name another folder",
        (model, f"--source={tmp_path / 'none'}", out): "none: no such file or folder",
        (*arguments[:3], "--confident=0.1,0.9"): "by confident [0.2, 0.4] instead of [0.1, 0.9]; add --overwrite",
    }.items():
        done = run("pseudolabel", *flags)
        assert (done.returncode, done.stderr.count("error: ")) == (2, 1), done.stderr
        assert message in done.stderr
    assert not (tmp_path / "out").exists()
