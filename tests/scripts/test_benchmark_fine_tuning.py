"""The benchmark of fine-tuning: the photographs of another camera that it makes, and the trainings that it compares."""

import json

import cv2
import numpy as np
import pytest

from configs import Config, DataConfig, InputError
from records import field_of_view, find_cases
from scripts.benchmarks import fine_tuning as benchmark

CONFIG = Config(data=DataConfig(classes=("HE",)))


@pytest.fixture(scope="module")
def stages():
    """The stages that the benchmark asked for."""
    return []


@pytest.fixture(scope="module")
def measured(way, scores_of_way, stages, tmp_path_factory):
    """What it measured where each evaluation finds the scores of the shared run, and its folder."""
    workdir = tmp_path_factory.mktemp("fine_tuning")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(benchmark, "run_commands", scores_of_way(stages))
        patched.setattr(benchmark, "LEARNT", 4)  # of the seven that there are
        result = benchmark.measure(CONFIG, way.workdir / "model", way.source, split="all", minutes=0.5, workdir=workdir)
    return result, workdir


@pytest.mark.slow
def test_so_many_photographs_are_learnt_from_and_no_other_one_is(measured):
    _, workdir = measured
    data = CONFIG.data
    learnt = find_cases(workdir / "learnt_from", data.classes)[1]
    apart = find_cases(workdir / "kept_apart", data.classes)[1]
    assert sorted(case.split for case in learnt) == ["train"] * 2 + ["validation"] * 2
    assert len(apart) == 3
    assert not {case.name for case in learnt} & {case.name for case in apart}


@pytest.mark.slow
def test_photographs_have_another_size_and_other_colours_and_masks_fit_them(measured, way):
    _, workdir = measured
    original = {case.name: case for case in find_cases(way.source, ("HE",))[1]}
    for case in find_cases(workdir / "kept_apart", ("HE",))[1]:
        photograph = cv2.imread(str(case.photograph))
        before = cv2.imread(str(original[case.name].photograph))
        inside = field_of_view(photograph)
        assert cv2.boundingRect(inside.view(np.uint8))[2] == pytest.approx(benchmark.DIAMETER, rel=0.02)
        blue, red = photograph[inside][:, 0].mean(), photograph[inside][:, 2].mean()
        whole = field_of_view(before)
        assert blue / red > 1.3 * before[whole][:, 0].mean() / before[whole][:, 2].mean()
        mask, drawn = cv2.imread(str(case.masks["HE"]), cv2.IMREAD_GRAYSCALE), original[case.name].masks["HE"]
        assert mask.shape == photograph.shape[:2]
        fraction = 0.0 if drawn is None else (cv2.imread(str(drawn), cv2.IMREAD_GRAYSCALE) > 0).mean()
        assert (mask > 0).mean() == pytest.approx(fraction, rel=0.05, abs=1e-5)


@pytest.mark.slow
def test_trainings_differ_in_their_start_their_learning_rate_and_their_minutes_alone(measured, stages, way):
    _, workdir = measured
    assert [stage.command for stage in stages] == ["shard", "eval", "train", "eval", "train", "eval", "train", "eval"]
    configs = {name: json.loads((workdir / f"{name}.json").read_text()) for name in ("fine_tuned", "from_nothing")}
    sections = {name: content.pop("train") for name, content in configs.items()}
    assert configs["fine_tuned"] == configs["from_nothing"]
    differing = {key for key, value in sections["fine_tuned"].items() if value != sections["from_nothing"][key]}
    assert differing == {"initial_model", "learning_rate"}
    assert sections["fine_tuned"]["initial_model"] == str(way.workdir / "model")
    minutes = [argument for stage in stages for argument in stage.arguments if "max_minutes" in str(argument)]
    assert minutes == [f"--config.train.max_minutes={one}" for one in ("0.5", "0.5", "5")]


@pytest.mark.slow
def test_the_table_has_the_scores_that_eval_wrote(measured, way):
    result, _ = measured
    scores = json.loads((way.workdir / "scores.json").read_text())["scores"]["frame"]["HE"]
    assert [row[0] for row in result.rows] == [
        "the model as it is",
        "fine-tuned, 0.5 minutes",
        "from nothing, 0.5 minutes",
        "from nothing, 5 minutes",
    ]
    for values in result.keys["aupr"].values():
        assert values["HE"] == pytest.approx(scores["aupr"])


@pytest.mark.slow
def test_too_few_photographs_are_refused_before_anything_is_written(way, tmp_path):
    with pytest.raises(InputError, match="has 2 photographs of the split test; expected more than 10"):
        benchmark.measure(
            CONFIG, way.workdir / "model", way.source, split="test", minutes=1, workdir=tmp_path / "never"
        )
    assert not (tmp_path / "never").exists()
