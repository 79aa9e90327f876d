"""Model folders that are joined: the joint spec, which may be joined, and the same maps from a folder as in memory."""

import dataclasses
import json
import warnings

import keras
import numpy as np
import pytest

from configs import InputError, ModelConfig, UNetConfig
from models import build_network, ensemble_network
from pipeline.evaluation.seen import compare_with_model
from pipeline.inference import (
    fingerprint_of,
    fingerprint_of_all,
    load_segmenter,
    load_together,
    member_specs,
    merge_specs,
    read_spec,
    save_model,
    save_spec,
)
from records import UNKNOWN_CAMERA, PhotographIdentity

CLASSES = ("HE", "MA")


def identity(name: str) -> PhotographIdentity:
    return PhotographIdentity(name, f"sha of {name}", "")


def identities(**uses: str) -> dict[str, tuple[PhotographIdentity, ...]]:
    return {use: tuple(map(identity, names)) for use, names in uses.items()}


@pytest.fixture
def folders(spec, tmp_path):
    """Writes folders that are model folders but for the network, of the given fields of their specs."""

    def make(*fields: dict) -> list:
        made = []
        for number, one in enumerate(fields):
            folder = tmp_path / f"{number}"
            folder.mkdir()
            (folder / "network.keras").write_text(f"weights {number}")
            save_spec(folder, spec(**{"classes": CLASSES, "tile": 32, **one}))
            made.append(folder)
        return made

    return make


def test_a_photograph_that_any_member_has_seen_is_as_seen_for_all_and_tests_are_those_that_all_left_out(folders):
    found = folders(
        {
            "splits": {"train": ["a", "b"], "validation": ["c"], "test": ["t", "u"]},
            "photographs": identities(train="ab", validation="c"),
            "seen_before": ("s",),
        },
        {
            "splits": {"train": ["b", "c"], "validation": ["a", "d"], "test": ["t"]},
            "photographs": identities(train="bc", validation="ad"),
            "calibrated_on": ("u",),
        },
        {"splits": {"train": ["u"]}},
    )
    merged = merge_specs(member_specs(found, flag="--models"))
    assert merged.splits == {"train": ["a", "b", "c", "u"], "validation": ["d"], "test": ["t"]}
    assert (merged.seen_before, merged.calibrated_on) == (("s",), ("u",))
    assert merged.photographs == identities(train="abc", validation="d")
    assert merged.members == tuple(fingerprint_of(folder, CLASSES) for folder in found)
    seen = compare_with_model([identity(name) for name in "abcdt"], merged, threshold_source="members")
    assert {pair.one for pair in seen.trained} == set("abc")
    assert {pair.one for pair in seen.chosen_on} == {pair.one for pair in seen.thresholds_on} == {"d"}


def test_thresholds_and_quantiles_are_means_and_their_source_says_so(folders):
    found = folders(
        {"thresholds": (0.2, 0.5), "threshold_source": "held out", "quality": {"a": [0.0, 1, 2], "b": [1.0, 1, 1]}},
        {
            "thresholds": (0.4, 0.5),
            "threshold_source": "validation",
            "quality": {"a": [0.5, 3, 3]},
            "min_areas": (0, 3.0),
        },
    )
    merged = merge_specs(member_specs(found, flag="--models"))
    assert merged.thresholds == pytest.approx((0.3, 0.5))
    assert merged.min_areas == (0.0, 1.5)
    assert merged.threshold_source == "members"
    assert merged.quality == {"a": [0.0, 2.0, 3.0], "b": [1.0, 1.0, 1.0]}


def test_what_all_members_have_stays_and_limits_are_those_that_suit_all(folders):
    found = folders(
        {"tile_batch": 4, "bins": 64, "max_pixels": 1000, "threshold_source": "config"},
        {"tile_batch": 2, "bins": 128, "max_pixels": 2000, "threshold_source": "config"},
    )
    merged = merge_specs(member_specs(found, flag="--models"))
    assert (merged.tile_batch, merged.bins, merged.max_pixels) == (2, 128, 1000)
    assert (merged.thresholds, merged.min_areas, merged.threshold_source) == ((0.5, 0.5), (), "config")
    assert (merged.records_fingerprint, merged.config_fingerprint) == ("0" * 16, "1" * 16)
    other = merge_specs(
        {one: dataclasses.replace(read_spec(one / "segmenter.json"), config_fingerprint=one.name) for one in found}
    )
    assert len(other.config_fingerprint) == 16
    assert other.config_fingerprint != merged.config_fingerprint


def test_the_merged_spec_is_written_and_read_and_old_files_have_no_members(folders, tmp_path):
    found = folders({}, {})
    merged = merge_specs(member_specs(found, flag="--models"))
    save_spec(tmp_path, merged)
    assert read_spec(tmp_path / "segmenter.json") == merged
    content = json.loads((found[0] / "segmenter.json").read_text())
    del content["members"]
    (found[0] / "segmenter.json").write_text(json.dumps(content))
    assert read_spec(found[0] / "segmenter.json").members == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": ("MA", "HE")}, r"must agree in classes: HE,MA in \S+0; MA,HE in \S+1\. Choose models of the same"),
        ({"classes": ("HE",), "thresholds": (0.5,)}, r"must agree in classes: HE,MA in \S+0; HE in \S+1\."),
        ({"scale": 0.5}, r"must agree in scale: 1\.0 in \S+0; 0\.5 in \S+1\. Choose models that were trained at"),
        ({"scale": None, "field_diameter": 100.0}, r"must agree in scale: 1\.0 in \S+0; None in \S+1"),
        ({"tile": 64}, r"must agree in tile: 32 in \S+0; 64 in \S+1\. Train with the same segment\.tile, or change it"),
        ({"flips": 4}, r"must agree in flips: 1 in \S+0; 4 in \S+1"),
    ],
    ids=["order", "classes", "scale", "field", "tile", "flips"],
)
def test_members_that_do_not_fit_are_refused_with_the_models_and_their_values(folders, fields, message):
    with pytest.raises(InputError, match=message) as caught:
        member_specs(folders({}, fields), flag="--models")
    assert "\n" not in str(caught.value)


def test_one_model_the_same_twice_and_another_schema_are_refused(folders, tmp_path):
    found = folders({}, {})
    with pytest.raises(InputError, match=r"--models=\S+0: several models are joined; name two or more"):
        member_specs(found[:1], flag="--models")
    (found[1] / "network.keras").write_text("weights 0")
    with pytest.raises(InputError, match=r"\S+0 and \S+1 have the same network; name each model once"):
        member_specs(found, flag="--models")
    content = json.loads((found[1] / "segmenter.json").read_text()) | {"schema_version": 99}
    (found[1] / "segmenter.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"1/segmenter\.json: schema version 99, but this software reads"):
        member_specs(found, flag="--models")


def test_the_fingerprint_of_several_models_depends_on_which_and_how_but_not_on_their_order(folders):
    found = folders({}, {}, {})

    def of(*numbers: int, average="logits", classes=CLASSES):
        return fingerprint_of_all([found[number] for number in numbers], classes, average=average)

    assert of(0, 1) == of(1, 0)
    assert of(0) == fingerprint_of(found[0], CLASSES)
    different = [of(0), of(1), of(0, 1), of(0, 2), of(0, 1, 2), of(0, 1, average="probabilities"), of(0, 1, classes=())]
    assert len(set(different)) == len(different)


@pytest.mark.slow
def test_several_models_in_memory_give_the_maps_of_the_folder_that_they_are_joined_to(model_folder, tmp_path):
    keras.utils.set_random_seed(8)
    other = build_network(ModelConfig(unet=UNetConfig(width=4, levels=2)), classes=2)
    own = read_spec(model_folder / "segmenter.json")
    together = [model_folder, tmp_path / "other"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
        save_model(tmp_path / "other", other, own)
        specs = member_specs(together, flag="--models")
        networks = [load_segmenter(folder, fold=False).network for folder in together]
        joined = ensemble_network(networks, average="probabilities")
        save_model(tmp_path / "joined", joined, merge_specs(specs))
    options = {"classes": None, "camera": UNKNOWN_CAMERA, "max_pixels": None}
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    in_memory, loaded = load_together(together, average="probabilities", **options), load_segmenter(tmp_path / "joined")
    assert in_memory.spec == loaded.spec
    found = in_memory.tiles(images).numpy()
    np.testing.assert_array_equal(found, loaded.tiles(images))
    np.testing.assert_allclose(found, np.mean([one(images, training=False) for one in networks], axis=0), atol=1e-6)
    some = load_together(together, average="probabilities", **{**options, "classes": ["MA"]})
    np.testing.assert_array_equal(some.tiles(images)[..., 0], found[..., own.classes.index("MA")])
