"""The plan of a set, and its check, say in how many photographs each class is known, and which are healthy."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import DataConfig, InputError
from records import ALL_KNOWN, CHECK, KnownRules, check_source, find_cases, plan_records, write_check
from records.shards.planning import RecordsPlan

DATA = DataConfig(classes=("HE", "EX"), tile=32, stride=32, validation_fraction=0)
SIZE = (48, 64)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Three photographs: HE is labelled in two, in one of them with half of it left out; EX in all."""
    folder = tmp_path_factory.mktemp("source")
    lesion, half = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    lesion[4:8, 4:8], half[:, :32] = 255, 255
    for number, name in enumerate("abc"):
        save(folder / "images" / f"{name}.png", np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8))
        save(folder / "masks" / "EX" / f"{name}.png", lesion)
    save(folder / "masks" / "HE" / "a.png", lesion)
    save(folder / "masks" / "HE" / "b.png", lesion)
    save(folder / "masks" / "HE_ignore" / "b.png", half)
    (folder / "labels.csv").write_text("case,labelled\na,HE EX\nb,HE EX\nc,EX\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def healthy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("healthy")
    for number in (7, 8):
        save(folder / f"h{number}.png", np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8))
    return folder


def plan(source: Path | None, known: KnownRules = ALL_KNOWN, data: DataConfig = DATA) -> RecordsPlan:
    layout, cases = find_cases(source, data.classes, known=known)
    return plan_records(layout, cases, data, source="SOURCE", keep_splits=True, workers=1)


def test_each_class_says_where_it_is_known(source, healthy):
    lines = str(plan(source, KnownRules(healthy=str(healthy), absent=("HE",)))).splitlines()
    known = 3 * 48 * 64 + 48 * 32  # a, h7, h8, and half of b
    assert lines[:3] == [
        f"class 0, HE: 1 lesions in 1 of 4 photographs, {16 / known:.3%} of their known pixels; known in 4 of 5 "
        "photographs (1 with regions left out)",
        f"class 1, EX: 3 lesions in 3 of 3 photographs, {48 / (3 * 48 * 64):.3%} of their known pixels; known in 3 "
        "of 5 photographs",
        "healthy: 2 photographs are said to show no HE",
    ]


def test_a_set_that_is_known_throughout_is_described_without_it(source):
    data = dataclasses.replace(DATA, classes=("EX",))
    lines = str(plan(source, data=data)).splitlines()
    assert lines[0] == f"class 0, EX: 3 lesions in 3 of 3 photographs, {48 / (3 * 48 * 64):.3%} of all pixels"
    assert "healthy" not in "".join(lines) and plan(source, data=data).class_warnings() == []


def test_only_classes_that_are_known_are_missed(source, healthy):
    ill = plan(source, KnownRules("EX"))
    assert ill.class_warnings() == ["HE is known in no photograph; nothing can be learnt of it from this set alone"]
    well = plan(None, KnownRules(healthy=str(healthy), absent=("HE", "EX")))
    assert well.class_warnings() == []
    data = dataclasses.replace(DATA, classes=("HE", "EX"))
    layout, cases = find_cases(source, data.classes)
    black = [dataclasses.replace(case, masks=dict.fromkeys(data.classes)) for case in cases]
    black[0] = cases[0].with_known(unknown=frozenset({"HE"}), absent=frozenset())
    described = plan_records(layout, black, data, source="SOURCE", keep_splits=True, workers=1)
    assert described.class_warnings() == ["no photograph shows any HE; check its masks, or its colour"]


def test_a_set_without_lesions_is_refused_unless_its_photographs_are_said_to_be_healthy(source, healthy):
    assert str(plan(None, KnownRules(healthy=str(healthy), absent=("HE",)))).startswith(
        "class 0, HE: 0 lesions in 0 of 2"
    )
    _, cases = find_cases(source, ("EX",))
    black = [dataclasses.replace(case, masks={"EX": None}) for case in cases]
    with pytest.raises(InputError, match="SOURCE: no mask shows any of EX; nothing to shard"):
        plan_records(
            "", black, dataclasses.replace(DATA, classes=("EX",)), source="SOURCE", keep_splits=True, workers=1
        )


def test_the_check_writes_what_is_known(source, healthy, tmp_path):
    checked = check_source(plan(source, KnownRules(healthy=str(healthy), absent=("HE",))), workers=1)
    assert "without a mask of HE: none" in str(checked)
    write_check(checked, tmp_path)
    content = json.loads((tmp_path / CHECK).read_text(encoding="utf-8"))
    assert content["known"] == {
        "HE": {"photographs": 4, "with_regions_left_out": 1, "absent": 2},
        "EX": {"photographs": 3, "with_regions_left_out": 0, "absent": 0},
    }
    assert content["without_mask"] == {"HE": [], "EX": []}
    cases = content["cases"]
    assert (cases["c"]["unknown"], cases["h7"]["unknown"], cases["h7"]["absent"]) == (["HE"], ["EX"], ["HE"])
    assert cases["b"]["unknown_pixels"] == {"HE": 48 * 32} and cases["b"]["lesion_pixels"] == {"HE": 0, "EX": 16}
