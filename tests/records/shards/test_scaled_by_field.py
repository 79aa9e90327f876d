"""Records of photographs of several resolutions, each scaled by the circle of its field of view."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from configs import DataConfig, InputError
from records import (
    UNKNOWN_CAMERA,
    Camera,
    Case,
    ScaleRule,
    fit_field_circle,
    plan_records,
    read_index,
    rescale_mask,
    rescale_photograph,
)
from records.shards.planning import RecordsPlan
from records.shards.sharding import plan_shards, read_shard
from records.shards.writing import existing_set, write_records

DIAMETERS = {"fine": 480, "coarse": 200, "small": 70}
DATA = DataConfig(field_diameter=100.0, tile=64, stride=64, empty_per_nonempty=9, validation_fraction=0)


class Source(NamedTuple):
    """A folder of photographs, and what they show: uint8 RGB `[H, W, 3]` and bool `[H, W]`, by name."""

    folder: Path
    shown: dict[str, tuple[np.ndarray, np.ndarray]]

    def cases(self, *names: str) -> list[Case]:
        """Returns the cases of these names, or of all."""
        return [
            Case(name, self.folder / f"{name}.png", {"HE": self.folder / f"{name}_HE.png"}, "train")
            for name in names or self.shown
        ]

    def plan(self, *names: str, camera: Camera = UNKNOWN_CAMERA, data: DataConfig = DATA, **options) -> RecordsPlan:
        """Plans records as `scripts.shard` does."""
        rule = ScaleRule.of(data, camera)
        given = {"source": self.folder, "keep_splits": True, "workers": 1, "rule": rule, **options}
        return plan_records("by hand", self.cases(*names), data, **given)


@pytest.fixture(scope="module")
def source(disc, blobs, tmp_path_factory) -> Source:
    """Three sizes of discs, and a photograph that shows none."""
    folder = tmp_path_factory.mktemp("source")
    shown = {}
    for name, diameter in DIAMETERS.items():
        height, width = int(1.05 * diameter), int(1.3 * diameter)
        shown[name] = disc(height, width, diameter=diameter, noise=1), blobs(height, width, largest=diameter / 20)
    shown["crop"] = np.full((90, 120, 3), 120, np.uint8), blobs(90, 120)
    for name, (photograph, mask) in shown.items():
        cv2.imwrite(str(folder / f"{name}.png"), photograph[..., ::-1])
        cv2.imwrite(str(folder / f"{name}_HE.png"), mask.astype(np.uint8) * 255)
    return Source(folder, shown)


@pytest.fixture(scope="module")
def written(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("records") / "set"
    assert not write_records(source.plan(), folder, workers=1).failures
    return folder


def test_circles_of_all_resolutions_have_one_size_in_the_tiles(source, written):
    index = read_index(written)
    for name, diameter in DIAMETERS.items():
        entry, photograph = index.cases[name], source.shown[name][0]
        assert entry.scale == pytest.approx(100 / diameter, rel=0.01)
        scaled = rescale_photograph(photograph, entry.scale)
        assert entry.scaled_size == scaled.shape[:2]
        assert fit_field_circle(cv2.resize(scaled, None, fx=4, fy=4)).diameter == pytest.approx(400, rel=0.02)
    assert index.cases["crop"].scale == pytest.approx(100 / 150)


def test_every_tile_is_a_crop_of_the_photograph_and_mask_at_its_own_scale(source, written):
    index = read_index(written)
    seen = {name: np.zeros(entry.scaled_size, bool) for name, entry in index.cases.items()}
    for shard in index.splits["train"].shards:
        for tile in read_shard(written / shard.name):
            scale, place = index.cases[tile.case].scale, np.s_[tile.y : tile.y + 64, tile.x : tile.x + 64]
            photograph, mask = source.shown[tile.case]
            expected = rescale_photograph(photograph, scale)[place]
            height, width = expected.shape[:2]
            image = cv2.imdecode(np.frombuffer(tile.image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            np.testing.assert_array_equal(image[:height, :width], expected)
            bits = cv2.imdecode(np.frombuffer(tile.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
            np.testing.assert_array_equal(bits[:height, :width], rescale_mask(mask, scale)[place])
            seen[tile.case][place] = True
    assert all(whole.mean() > 0.5 for whole in seen.values())


def test_a_second_start_finds_the_set_and_another_scale_is_another_set(source, written):
    def existing(camera: Camera) -> str:
        plan = source.plan(camera=camera)
        return existing_set(plan_shards(plan.cases, plan.data, plan.surveys), plan.surveys, written)

    assert existing(UNKNOWN_CAMERA) == "same"
    assert existing(Camera(scale=0.4)) == "different"
    assert existing(Camera(degrees=45)) == "different"


def test_an_interrupted_set_goes_on_with_shards_of_the_same_scales_alone(source, tmp_path):
    def finished(camera: Camera, *, end: bool) -> dict[str, int]:
        """Writes a set; if not `end`, stops after the last shard, before any is put in place."""
        times = {}

        def progress(shard, result) -> None:
            note = tmp_path / "set" / ".building" / f"{shard.name}.json"
            times[note.name] = note.stat().st_mtime_ns
            if not end and len(times) == 2:
                raise KeyboardInterrupt

        data = dataclasses.replace(DATA, photographs_per_shard=2)
        write_records(source.plan(camera=camera, data=data), tmp_path / "set", workers=1, progress=progress)
        return times

    with pytest.raises(KeyboardInterrupt):
        finished(UNKNOWN_CAMERA, end=False)
    notes = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set" / ".building").glob("*.json")}
    again = finished(Camera(scale=0.4), end=True)
    assert [again[name] != notes[name] for name in sorted(notes)] == [True, False]  # the crop is in the first shard


def test_the_plan_says_the_rule_and_the_scales_and_warns_of_photographs_by_name(source):
    plan = source.plan()
    assert "a scale at which a field of view of 50° is 100 pixels wide, and up to 9" in str(plan)
    scales = str(plan).splitlines()[-1]
    assert scales.startswith("scales: ") and "0.667 (1)" in scales and scales.count("(1)") == 4
    crop, small = sorted(plan.scale_warnings())
    assert crop.startswith("crop: no field of view found: scaled by 0.667 as if its circle were as wide as the frame")
    assert small == "small: enlarged 1.4 times: small lesions may not be there to be seen"


def test_if_strict_a_photograph_without_a_circle_is_refused_by_name_unless_the_user_gives_a_scale(source):
    message = r"^crop: no circle of a field of view could be fitted, as for 1 of 4 photographs; give --scale for them"
    with pytest.raises(InputError, match=message):
        source.plan(strict=True)
    assert source.plan("fine", "coarse", strict=True).scale_warnings() == []
    told = source.plan("fine", "crop", strict=True, camera=Camera(scale=0.4))
    assert told.surveys["crop"].scale.factor == 0.4
    assert told.scale_warnings() == ["crop: no field of view found: scaled by 0.4 (--scale)"]
