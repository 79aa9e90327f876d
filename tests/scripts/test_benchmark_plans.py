"""The benchmark of plans: the presets that it compares differ in what is named alone, and ratios are of its table."""

import dataclasses
import zlib

import pytest

from configs import Config, DataConfig, InputError, TrainConfig
from configs.loading import load_config
from scripts.benchmarks import plans as benchmark

PLAN = Config(data=DataConfig(classes=("HE",), scale=None, field_diameter=800.0, tile=512, stride=256))
FROM_MODEL = dataclasses.replace(PLAN, train=TrainConfig(initial_model="a/model"))


@pytest.fixture(scope="module")
def measured_where(way, scores_of_way, tmp_path_factory):
    """What it measured where each evaluation finds the scores of the shared run, its stages and its folder."""

    def measure(plan):
        stages = []
        workdir = tmp_path_factory.mktemp("plans")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(benchmark, "run_commands", scores_of_way(stages))
            return benchmark.measure(plan, way.source, minutes=0.5, workdir=workdir), stages, workdir

    return measure


@pytest.fixture(scope="module")
def measured(measured_where):
    return measured_where(PLAN)


@pytest.mark.slow
def test_every_preset_is_trained_for_the_same_time_and_scored_on_the_test_part(measured):
    result, stages, workdir = measured
    assert len(result.rows) == 14 and len({row[0] for row in result.rows}) == 14
    configs = [load_config(str(path)) for path in workdir.glob("*/config.json")]
    assert len(configs) == 14 and {one.train.max_minutes for one in configs} == {0.5}
    assert {one.data.classes for one in configs} == {("HE",)}
    assert [stage.command for stage in stages] == ["shard", "train", "eval"] * 14
    assert all("--split=test" in stage.arguments for stage in stages if stage.command == "eval")
    # Six of the grid, one of each scale and crop, of which the plan's tiles are one, and those of the copied preset.
    assert len({stage.product for stage in stages if stage.command == "shard"}) == 7


@pytest.mark.slow
def test_a_grid_differs_in_scale_crop_and_batch_alone():
    for name, preset in benchmark._grid(PLAN).items():
        _, diameter, _, crop, _, batch = name.replace(",", "").split()
        assert preset.data.field_diameter == float(diameter) and preset.train.crop == int(crop)
        assert preset.train.batch_size == int(batch) and preset.data.tile == 2 * int(crop)
        assert (preset.model, preset.augment, preset.evaluate) == (PLAN.model, PLAN.augment, PLAN.evaluate)


@pytest.mark.slow
def test_ratios_are_those_of_the_table(measured_where, monkeypatch):
    monkeypatch.setattr(benchmark, "_aupr", lambda folder, _: {"HE": zlib.crc32(folder.name.encode()) / 2**32})
    result, *_ = measured_where(PLAN)
    mean = result.keys["mean_aupr"]
    others = [value for name, value in mean.items() if name not in (benchmark.PLANNED, benchmark.COPIED)]
    assert len(others) == 12 and len(set(others)) == 12
    assert result.keys["over_best"] == pytest.approx(mean[benchmark.PLANNED] / max(others))
    assert result.keys["over_copied"] == pytest.approx(mean[benchmark.PLANNED] - mean[benchmark.COPIED])


@pytest.mark.slow
def test_a_plan_that_starts_from_a_model_is_compared_with_that_model_and_with_a_copied_preset_that_starts_from_it(
    measured_where, monkeypatch
):
    monkeypatch.setattr(benchmark, "_aupr", lambda folder, _: {"HE": zlib.crc32(folder.name.encode()) / 2**32})
    result, stages, workdir = measured_where(FROM_MODEL)
    mean = result.keys["mean_aupr"]
    assert len(mean) == len(result.rows) == 16
    copied = [mean[benchmark.COPIED], mean[benchmark.COPIED_FROM_MODEL]]
    assert result.keys["over_copied"] == pytest.approx(mean[benchmark.PLANNED] - max(copied))
    assert result.keys["over_as_it_is"] == pytest.approx(mean[benchmark.PLANNED] - mean[benchmark.AS_IT_IS])
    started = {path.parent.name: load_config(str(path)).train.initial_model for path in workdir.glob("*/config.json")}
    assert [name for name, model in started.items() if not model] == ["a_copied_preset"]
    as_it_is = [one.arguments for one in stages if one.command == "eval" and "--model=a/model" in one.arguments]
    assert len(as_it_is) == 1 and "--split=test" in as_it_is[0]


@pytest.mark.slow
def test_a_workdir_of_other_minutes_another_source_or_another_plan_is_refused(way, measured):
    *_, workdir = measured
    for changed, message in (
        ({"minutes": 1.0}, "--minutes was 0.5 and is 1.0"),
        ({"config": FROM_MODEL}, r"another config: train\.initial_model was"),
    ):
        asked = {"config": PLAN, "source": way.source, "minutes": 0.5, "workdir": workdir} | changed
        with pytest.raises(InputError, match=message):
            benchmark.measure(asked.pop("config"), asked.pop("source"), **asked)


def test_a_source_without_a_test_part_and_a_config_that_is_no_plan_are_refused(write_eyes, tmp_path):
    write_eyes(tmp_path / "eyes", lesions={"HE": [[8]] * 4})
    with pytest.raises(InputError, match="has no test part to score"):
        benchmark.measure(PLAN, tmp_path / "eyes", minutes=1, workdir=tmp_path / "w")
    with pytest.raises(InputError, match="has no data.field_diameter"):
        benchmark.measure(Config(), tmp_path / "eyes", minutes=1, workdir=tmp_path / "w")
    assert not (tmp_path / "w").exists()
