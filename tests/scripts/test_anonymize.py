"""What is anonymous names no photograph, nor a path of whoever made it, in any byte; leaks are found all the same."""

import json
import shutil
import socket
import zipfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.evaluation.seen import compare_with_model
from pipeline.inference import read_spec
from records import PhotographIdentity, read_index

TINY = ("--config=tests/scripts/tiny_preset.py", "--config.data.photographs_per_shard=3")
PRETRAINED = Path(__file__).parents[2] / "pretrained" / "idrid_lesions"


def contents(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Yields the path below a folder of everything in it, and its content, that of members of archives too."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        yield name, path.read_bytes() if path.is_file() else b""
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{name}: {member}", archive.read(member)) for member in archive.namelist())


def named(folder: Path, words: Iterable[str]) -> set[tuple[str, str]]:
    """Returns the words that occur in a folder, in names or contents, each with where; NumPy's text is UTF-32."""
    return {
        (word, where)
        for where, content in contents(folder)
        for word in words
        if word in where or any(word.encode(encoding) in content for encoding in ("utf-8", "utf-32-le"))
    }


@pytest.fixture(scope="module")
def clean(run, tmp_path_factory):
    """The pretrained model without names."""
    folder = tmp_path_factory.mktemp("anonymous") / "clean"
    done = run("anonymize", f"--model={PRETRAINED}", f"--output={folder}")
    assert done.returncode == 0, done.stderr
    assert "427 train" in done.stdout
    assert "not copied, as nothing is known of what is in them: MODEL_CARD.md, curves.png, examples.jpg" in done.stdout
    return folder


def test_a_clean_model_folder_has_no_name_digest_or_hash_of_its_photographs(clean):
    known = [one for identities in read_spec(PRETRAINED / "segmenter.json").photographs.values() for one in identities]
    words = [word for one in known for word in (one.case, one.sha256, one.perceptual_hash)]
    assert named(PRETRAINED, words[:1]) and not named(clean, words)
    assert (clean / "network.keras").read_bytes() == (PRETRAINED / "network.keras").read_bytes()


def test_all_else_of_a_clean_model_folder_is_as_it_was(clean):
    before, after = (json.loads((folder / "segmenter.json").read_text()) for folder in (PRETRAINED, clean))
    differing = {name for name in after if name not in before or after[name] != before[name]}
    seen = {"splits", "seen_before", "calibrated_on", "photographs"}
    assert differing - {"max_pixels", "members", "min_areas"} == seen
    for use in ("train", "validation", "calibrated_on"):
        assert len(after["photographs"].get(use, ())) == len(before["photographs"].get(use, ()))


def test_a_model_is_neither_replaced_unasked_nor_cleaned_in_place(clean, run):
    for output, message in ((clean, "holds a model already"), (PRETRAINED, "is the model folder itself")):
        done = run("anonymize", f"--model={PRETRAINED}", f"--output={output}")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and message in done.stderr


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """Photographs with telling names: one lacks a mask, the mask of another has soft edges, one is broken."""
    folder = tmp_path_factory.mktemp("dr_smith")
    for index, name in enumerate(("meier_1950", "mueller_1961", "schulz_1972", "weber_1983")):
        photograph = np.random.default_rng(index).integers(60, 200, (60, 80, 3), dtype=np.uint8)
        mask = np.zeros((60, 80), np.uint8)
        mask[10 + index : 20, 10:30] = 255
        mask[40:50, 10:30] = 90 if name == "mueller_1961" else 0
        files = {f"images/{name}.png": photograph, f"masks/HE/{name}.png": mask, f"maps/{name}_HE.png": mask}
        for file, picture in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / file), picture)
    (folder / "masks" / "HE" / "schulz_1972.png").unlink()
    (folder / "images" / "weber_1983.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return folder


WORDS = ("dr_smith", "meier", "mueller", "schulz", "weber")


@pytest.fixture(scope="module")
def results(run, annotated, tmp_path_factory):
    """Two anonymous results and one with names, of the same photographs."""
    base = tmp_path_factory.mktemp("results")
    folders = {name: base / name for name in ("anonymous", "again", "named")}
    given = (f"--predictions={annotated / 'maps'}", f"--source={annotated}", "--split=all")
    for name, folder in folders.items():
        done = run("eval", *given, f"--output={folder}", *(() if name == "named" else ("--anonymous",)))
        assert done.returncode == 1, done.stderr  # two could not be scored
        assert "left out:" in done.stderr and "schulz_1972" in done.stderr  # who runs it must know which
    return folders


def test_an_anonymous_result_names_no_photograph_and_no_folder(results):
    assert {word for word, _ in named(results["named"], WORDS)} == set(WORDS)
    assert not named(results["anonymous"], WORDS)
    assert "data:image" in (results["named"] / "report.html").read_text()
    assert "data:image" not in (results["anonymous"] / "report.html").read_text()


def test_an_anonymous_result_says_all_else(results):
    scores = {name: json.loads((folder / "scores.json").read_text()) for name, folder in results.items()}
    one, other = scores["anonymous"], scores["named"]
    assert (one["anonymous"], one["source"], one["model"]) == (True, "anonymous", None)
    assert [one[key] for key in ("scores", "lesions", "photographs")] == [
        other[key] for key in ("scores", "lesions", "photographs")
    ]
    assert len(one["left_out"]) == len(other["left_out"]) == 2
    assert one["mask_warnings"].keys() == other["mask_warnings"].keys() != set()
    rows = [row.split(",")[0] for row in (results["anonymous"] / "photographs.csv").read_text().splitlines()[1:]]
    assert len(set(rows)) == 2 and rows == sorted(rows)
    assert all(one["case"].startswith("anonymous-") for one in one["left_out"])


def test_anonymous_results_on_the_same_photographs_can_be_compared(results, run, tmp_path):
    done = run("compare", results["anonymous"], results["again"], f"--output={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "compare.json").read_text())["photographs"] == 2


@pytest.fixture(scope="module")
def trained(run, way, tmp_path_factory):
    """An anonymous training that starts from another model, and was continued for its end; and an export of it."""
    workdir, export = (tmp_path_factory.mktemp("trained") / name for name in ("run", "export"))
    given = (
        *TINY,
        "--config.train.epochs=1",
        "--config.train.steps_per_epoch=1",
        "--config.train.validation_steps=1",
        f"--config.train.initial_model={way.workdir / 'model'}",
        f"--records={way.records}",
        f"--workdir={workdir}",
    )
    done = run("train", *given, "--anonymous")
    assert done.returncode == 0, done.stderr
    first = (workdir / "model" / "segmenter.json").read_text()
    shutil.rmtree(workdir / "model")
    refused = run("train", *given)
    assert refused.returncode == 2 and "holds a run with --anonymous" in refused.stderr
    again = run("train", *given, "--anonymous")
    assert again.returncode == 0 and "continues after epoch 1" in again.stdout, again.stderr
    assert (workdir / "model" / "segmenter.json").read_text() == first
    exported = run("export", f"--model={way.workdir / 'model'}", f"--output={export}", "--anonymous")
    assert exported.returncode == 0, exported.stderr
    return workdir, export


@pytest.mark.slow
def test_an_anonymous_run_and_export_name_no_photograph_and_no_path(trained, way):
    words = ["SYN_0", str(way.source.parent), str(Path(__file__).parents[2])]
    assert {word for word, _ in named(way.workdir, words)} >= set(words[:2])  # else the test would see nothing
    for folder in trained:
        assert not named(folder, words)
    files = [file.name for file in (trained[0] / "tensorboard").rglob("events.*")]
    assert len(files) >= 3 and all(".anonymous." in name and socket.gethostname() not in name for name in files)
    assert not list((trained[0] / "previews").iterdir())


@pytest.mark.slow
def test_a_model_of_an_anonymous_training_knows_what_it_has_seen(trained, way):
    index = read_index(way.records)
    scored = [
        PhotographIdentity(f"renamed {name}", one.photograph_digest, one.perceptual_hash)
        for name, one in index.cases.items()
    ]
    for spec in (read_spec(trained[0] / "model" / "segmenter.json"), read_spec(trained[1] / "1" / "segmenter.json")):
        seen = compare_with_model(scored, spec, threshold_source="validation")
        for split, pairs in (("train", seen.trained), ("validation", seen.thresholds_on)):
            assert {pair.one for pair in pairs} == {f"renamed {name}" for name in index.splits[split].cases}
            assert {pair.by for pair in pairs} == {"file"}
