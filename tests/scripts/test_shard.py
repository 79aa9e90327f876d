"""The shard command: no leaks between splits, checks of a source and of a set, and sets that are kept or replaced."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from records import find_cases, read_index
from records.shards.verifying import verify_records

ROOT = Path(__file__).parents[2]
SHARD = ("shard", "--config=configs/demo.py", "--config.data.photographs_per_shard=2")


@pytest.fixture(scope="module")
def pairs(way, tmp_path_factory) -> Path:
    """The synthetic photographs as paired folders, with train/ and test/ above them."""
    base = tmp_path_factory.mktemp("pairs")
    for case in find_cases(way.source, ("HE",))[1]:
        for folder in ("images", "masks"):
            (base / case.split / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(case.photograph, base / case.split / "images" / case.photograph.name)
        mask = case.masks["HE"]
        if mask is not None:
            shutil.copy(mask, base / case.split / "masks" / f"{case.name}.tif")
        else:
            with Image.open(case.photograph) as photograph:
                size = photograph.size
            Image.new("1", size).save(base / case.split / "masks" / f"{case.name}.tif")
    return base


@pytest.fixture
def source(pairs, tmp_path) -> Path:
    return Path(shutil.copytree(pairs, tmp_path / "source"))


def test_equal_files_in_two_splits_are_refused_with_both_names(run, source, tmp_path):
    photograph = next((source / "test" / "images").iterdir())
    shutil.copy(photograph, source / "train" / "images" / "copy.jpg")
    shutil.copy(source / "test" / "masks" / f"{photograph.stem}.tif", source / "train" / "masks" / "copy.tif")
    done = run(*SHARD, f"--source={source}", f"--records={tmp_path / 'records'}")
    assert done.returncode == 2
    assert "copy.jpg (train)" in done.stderr or "copy.jpg (validation)" in done.stderr
    assert f"{photograph.name} (test)" in done.stderr
    assert "are the same file" in done.stderr
    assert not (tmp_path / "records" / "index.json").exists()


def test_equal_pixels_in_different_files_are_refused_with_both_names(run, source, tmp_path):
    photograph = next((source / "test" / "images").iterdir())
    with Image.open(photograph) as image:
        image.save(source / "train" / "images" / "copy.png")
    shutil.copy(source / "test" / "masks" / f"{photograph.stem}.tif", source / "train" / "masks" / "copy.tif")
    done = run(*SHARD, f"--source={source}", f"--records={tmp_path / 'records'}")
    assert done.returncode == 2
    assert "copy.png (" in done.stderr
    assert f"{photograph.name} (test)" in done.stderr
    assert "show the same pixels" in done.stderr
    assert not (tmp_path / "records" / "index.json").exists()


def test_masks_that_are_not_plausible_are_named_in_warnings_and_in_the_check(run, source, tmp_path):
    mask, other = sorted((source / "train" / "masks").iterdir())[:2]
    with Image.open(mask) as image:
        inverted = image.convert("L").point(lambda value: 0 if value else 255)
    inverted.save(mask)
    with Image.open(other) as image:
        labels = Image.new("L", image.size)
    labels.putpixel((5, 5), 1)
    labels.putpixel((9, 9), 2)
    labels.save(other)
    done = run(*SHARD, "--check", f"--source={source}", f"--records={tmp_path / 'records'}")
    assert done.returncode == 0
    check = json.loads((tmp_path / "records" / "check.json").read_text())
    assert set(check["mask_warnings"]) == {"inverted", "labels"}
    for name, file in (("inverted", mask), ("labels", other)):
        (line,) = check["mask_warnings"][name]
        assert line.startswith(f"{file}: ") and f"warning: {line}" in done.stderr


def test_nearly_equal_photographs_are_listed_in_a_warning_and_in_the_index(run, source, tmp_path):
    photograph = next((source / "test" / "images").iterdir())
    with Image.open(photograph) as image:
        image.save(source / "train" / "images" / "copy.jpg", quality=40)
    shutil.copy(source / "test" / "masks" / f"{photograph.stem}.tif", source / "train" / "masks" / "copy.tif")
    done = run(*SHARD, f"--source={source}", f"--records={tmp_path / 'records'}")
    assert done.returncode == 0, done.stderr
    assert "look the same" in done.stderr
    pairs = {(pair.one, pair.other) for pair in read_index(tmp_path / "records").nearly_equal}
    assert pairs == {tuple(sorted((photograph.stem, "copy")))}


def test_a_patient_stays_in_one_split(run, source, tmp_path):
    names = sorted(file.stem for file in (source / "train" / "images").iterdir())
    patients = tmp_path / "patients.csv"
    patients.write_text("case,patient\n" + "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names)))
    done = run(*SHARD, f"--source={source}", f"--records={tmp_path / 'records'}", f"--patients={patients}")
    assert done.returncode == 0, done.stderr
    splits: dict[str, set[str]] = {}
    for name, case in read_index(tmp_path / "records").cases.items():
        if name in names:
            splits.setdefault(str(case.patient), set()).add(case.split)
    assert sorted(splits) == ["a", "b"]
    assert sorted(next(iter(split)) for split in splits.values()) == ["train", "validation"]
    assert all(len(split) == 1 for split in splits.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,patient\na,b\n", "expected the columns case and patient"),
        ("case,patient\nnobody,p\n", "none of its 1 rows names a photograph; it has cases such as 'nobody'"),
        ("case,patient\nSYN_01,p\nSYN_01,q\n", "case 'SYN_01' needs exactly one patient"),
        ("case,patient\nSYN_01,p\nSYN_06,p\n", "patient 'p' has SYN_01 in train and SYN_06 in test"),
    ],
)
def test_an_invalid_table_of_patients_is_refused(run, pairs, tmp_path, content, message):
    (tmp_path / "patients.csv").write_text(content)
    done = run(*SHARD, f"--source={pairs}", f"--records={tmp_path / 'r'}", f"--patients={tmp_path / 'patients.csv'}")
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "r").exists()


def test_check_describes_the_source_and_writes_no_shards(run, source, tmp_path):
    bad = source / "train" / "images" / "bad.jpg"
    bad.write_text("no image")
    mask = source / "train" / "masks" / "bad.tif"
    Image.new("1", (10, 10)).save(mask)
    records = tmp_path / "records"
    done = run(*SHARD, "--check", f"--source={source}", f"--records={records}")
    assert done.returncode == 1
    assert [file.name for file in records.iterdir()] == ["check.json"]
    found = json.loads((records / "check.json").read_text())
    assert found["photographs"] == 8
    assert list(found["cannot_be_read"]) == ["bad"]
    assert sum(found["sizes"].values()) == 7
    assert sum(case["nonempty_tiles"] for case in found["cases"].values()) > 0
    assert any("{0, 1}" in line for line in found["mask_values"])
    bad.unlink()
    mask.unlink()
    assert run(*SHARD, f"--source={source}", f"--records={records}").returncode == 0
    size = sum(shard.bytes for split in read_index(records).splits.values() for shard in split.shards)
    assert 0.5 * size < found["estimated_bytes"] < 2 * size


def test_verify_lists_everything_that_differs_from_the_index(run, way, tmp_path):
    records = Path(shutil.copytree(way.records, tmp_path / "records"))
    clean = run("shard", "--verify", f"--records={records}")
    assert clean.returncode == 0, clean.stderr
    shards = sorted(records.glob("*tfrecord*"))
    flipped = bytearray(shards[0].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    shards[0].write_bytes(flipped)
    shards[1].write_bytes(shards[1].read_bytes()[:-100])
    (records / "fundus_tiles-train.tfrecord-00007-of-00008").write_bytes(b"")
    done = run("shard", "--verify", f"--records={records}")
    assert done.returncode == 1
    first, second = shards[0].name, shards[1].name
    for name, message in ((first, "sha256"), (first, "damaged"), (second, "bytes, the index")):
        assert any(name in line and message in line for line in done.stderr.splitlines()), (name, message, done.stderr)
    assert "00007-of-00008: not in the index" in done.stderr


def test_a_failed_write_is_told_in_one_line_and_the_old_set_stays_usable(way, tmp_path):
    records = Path(shutil.copytree(way.records, tmp_path / "records"))
    before = {file.name: file.read_bytes() for file in records.iterdir() if file.is_file()}

    def no_file_larger_than_a_shard() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "scripts.shard", *SHARD[1:], "--config.data.stride=128", "--overwrite"]
    done = subprocess.run(
        [*command, f"--source={way.source}", f"--records={records}"],
        cwd=ROOT, preexec_fn=no_file_larger_than_a_shard, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "writing failed" in done.stderr
    assert "An earlier set is unchanged, and finished shards are kept; raise the limit and start again." in done.stderr
    assert {file.name: file.read_bytes() for file in records.iterdir() if file.is_file()} == before
    assert verify_records(records, read_index(records)) == []


def test_a_field_given_under_its_old_name_is_answered_with_the_new_one(run, tmp_path):
    done = run(*SHARD, "--config.train.warmup_share=0.1", f"--source={tmp_path}", f"--records={tmp_path / 'records'}")
    assert done.returncode == 2
    assert done.stderr == "error: --config.train.warmup_share is now called --config.train.warmup_fraction.\n"


def test_overwrite_replaces_a_set_and_leaves_nothing_of_the_old_one(run, way, tmp_path):
    records = Path(shutil.copytree(way.records, tmp_path / "records"))
    old = {file.name for file in records.glob("*tfrecord*")}
    done = run("shard", "--config=configs/demo.py", f"--source={way.source}", f"--records={records}", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert verify_records(records, read_index(records)) == []
    assert old != {file.name for file in records.glob("*tfrecord*")}


def test_overwrite_replaces_a_set_whose_index_is_damaged(run, way, tmp_path):
    records = Path(shutil.copytree(way.records, tmp_path / "records"))
    (records / "index.json").write_text("{")
    arguments = ("shard", "--config=configs/demo.py", f"--source={way.source}", f"--records={records}")
    refused = run(*arguments)
    assert refused.returncode == 2
    assert "index.json: damaged" in refused.stderr
    assert run(*arguments, "--overwrite").returncode == 0
    assert verify_records(records, read_index(records)) == []


def test_a_coloured_mask_holds_all_classes(run, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "source" / folder).mkdir(parents=True)
    for name in "abcd":
        mask = np.zeros((300, 300, 3), np.uint8)
        mask[20:40, 20:60] = (255, 0, 0)
        mask[100:130, 50:60] = (0, 255, 0)
        mask[200:, 200:] = (0, 0, 255)  # of no class
        Image.fromarray(rng.integers(60, 200, (300, 300, 3), np.uint8)).save(
            tmp_path / "source" / "images" / f"{name}.png"
        )
        Image.fromarray(mask).save(tmp_path / "source" / "masks" / f"{name}.png")
    done = run(
        *SHARD, f"--source={tmp_path / 'source'}", f"--records={tmp_path / 'records'}",
        "--config.data.classes=('HE','EX')", "--config.data.colors=('ff0000','00ff00')",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    index = read_index(tmp_path / "records")
    assert all(case.lesion_pixels == {"HE": 800, "EX": 300} for case in index.cases.values())


def test_missing_masks_are_refused_unless_allowed(run, source, tmp_path):
    missing = next((source / "train" / "masks").iterdir())
    missing.unlink()
    arguments = (*SHARD, f"--source={source}", f"--records={tmp_path / 'records'}")
    done = run(*arguments)
    assert done.returncode == 2
    assert "no mask of class HE" in done.stderr
    done = run(*arguments, "--allow_missing_masks")
    assert done.returncode == 0, done.stderr
    assert read_index(tmp_path / "records").cases[missing.stem].lesion_pixels == {"HE": 0}


def test_the_figures_beside_the_shards_can_be_opened(way):
    samples, statistics = (cv2.imread(str(way.records / f"{name}.png")) for name in ("samples", "statistics"))
    assert samples.shape[0] > 300
    assert samples.std() > 10
    assert statistics.std() > 10


def test_jpeg_tiles_are_close_to_the_photograph_and_masks_stay_exact(run, way, tmp_path):
    from records.shards.sharding import read_shard

    done = run(*SHARD, f"--source={way.source}", f"--records={tmp_path / 'jpeg'}", "--config.data.codec=jpeg")
    assert done.returncode == 0, done.stderr
    assert run(*SHARD, f"--source={way.source}", f"--records={tmp_path / 'png'}").returncode == 0

    def tiles(folder: str) -> list:
        files = sorted((tmp_path / folder).glob("*tfrecord*"))
        return [tile for file in files for tile in read_shard(file)]

    for lossy, exact in zip(tiles("jpeg"), tiles("png"), strict=True):
        pixels = [cv2.imdecode(np.frombuffer(tile.image, np.uint8), 1).astype(int) for tile in (lossy, exact)]
        assert np.abs(pixels[0] - pixels[1]).mean() < 1.5
        assert lossy.mask == exact.mask
        assert (lossy.case, lossy.y, lossy.x) == (exact.case, exact.y, exact.x)


def test_check_counts_the_same_tiles_as_the_plan(run, pairs, tmp_path):
    done = run(*SHARD, "--check", f"--source={pairs}", f"--records={tmp_path / 'r'}")
    with open(tmp_path / "r" / "check.json") as file:
        cases = json.load(file)["cases"]
    nonempty = sum(case["nonempty_tiles"] for case in cases.values())
    assert f"in total {nonempty} tiles with a lesion" in done.stdout


def test_check_continues_after_a_photograph_that_is_cut_short_and_lists_look_alikes(run, source, tmp_path):
    photograph = next((source / "test" / "images").iterdir())
    with Image.open(photograph) as image:
        image.save(source / "train" / "images" / "copy.png")
    shutil.copy(source / "test" / "masks" / f"{photograph.stem}.tif", source / "train" / "masks" / "copy.tif")
    short = next(file for file in (source / "train" / "images").iterdir() if file.stem != "copy")
    short.write_bytes(short.read_bytes()[:-5000])
    done = run(*SHARD, "--check", f"--source={source}", f"--records={tmp_path / 'records'}")
    assert done.returncode == 1
    found = json.loads((tmp_path / "records" / "check.json").read_text())
    assert list(found["cannot_be_read"]) == [short.stem]
    assert [{pair[0], pair[2]} for pair in found["look_the_same"]] == [{photograph.stem, "copy"}]
    assert "look the same" in done.stderr


def test_a_set_that_lacks_a_case_is_rebuilt_when_that_case_is_repaired(run, source, tmp_path):
    short = next((source / "train" / "images").iterdir())
    whole = short.read_bytes()
    short.write_bytes(whole[:-5000])
    arguments = (*SHARD, f"--source={source}", f"--records={tmp_path / 'records'}")
    for _ in range(2):
        assert run(*arguments).returncode == 1
        assert short.stem not in read_index(tmp_path / "records").cases
    shutil.rmtree(tmp_path / "records")
    short.write_bytes(whole)
    assert run(*arguments).returncode == 0
    assert short.stem in read_index(tmp_path / "records").cases
