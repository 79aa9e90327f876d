"""A probe: the short trainings that a plan asks for, what is read of them, and how its page shows it."""

import dataclasses

import pytest

from configs import InputError
from configs.loading import load_config
from pipeline.planning.plan import make_plan
from pipeline.planning.probe import probe_lengths, probe_stages, read_probe
from pipeline.planning.step_trial import StepTrial
from pipeline.planning.writing import write_plan

TRIAL = StepTrial(256, 4, "float32", xla=False, crops_per_second=10.0, peak_bytes=10**9)


@pytest.fixture(scope="module")
def plan(eyes):
    return make_plan(eyes, minutes=90.0, network="auto", degrees=None, measure=lambda config, count: (TRIAL, [TRIAL]))


def test_lengths_double_and_add_up_to_what_was_asked_for(plan):
    assert probe_lengths(plan, 7.0) == pytest.approx([1, 2, 4])


def test_too_few_minutes_for_the_shortest_training_are_refused_with_what_suffices(plan):
    with pytest.raises(InputError, match="--probe=1: .* would have 21 steps at the 10.0 crops a second .* needs 60"):
        probe_lengths(plan, 1.0)
    assert probe_lengths(plan, 2.9)[0] * 60 * 10 / 4 >= 60  # the message names 2.8


def test_short_trainings_differ_from_the_plan_in_their_time_alone(plan, tmp_path):
    lengths = probe_lengths(plan, 7.0)
    stages = probe_stages(tmp_path, plan, lengths, source="S", healthy=["H"], reading=["--recursive"])
    assert [stage.command for stage in stages] == ["shard", "train", "train", "train"]
    assert "--recursive" in stages[0].arguments and "--source=H" in stages[1].arguments
    for number, minutes in enumerate(lengths):
        config = load_config(str(tmp_path / f"{number}.json"))
        assert config.train.max_minutes == pytest.approx(minutes)
        assert config.train.photographs_every == config.train.epochs  # they are scored at the end alone
        names = ("max_minutes", "steps_per_epoch", "epochs", "photographs_every", "ema_momentum", "previews")
        alike = {name: getattr(plan.config.train, name) for name in names}
        assert dataclasses.replace(config, train=dataclasses.replace(config.train, **alike)) == plan.config


def test_the_page_has_what_the_short_trainings_scored_and_what_longer_ones_would(plan, eyes, tmp_path):
    lengths = probe_lengths(plan, 7.0)
    for number, aupr in enumerate((0.25, 0.375, 0.4375)):
        (tmp_path / str(number)).mkdir()
        rows = f"epoch,loss,val_photo_aupr\n1,0.5,\n2,0.4,{aupr}\n"
        (tmp_path / str(number) / "history.csv").write_text(rows)
    probe = read_probe(tmp_path, plan, lengths)
    assert [one.aupr for one in probe.trainings] == [0.25, 0.375, 0.4375]
    assert [one.minutes for one in probe.forecasts] == [30, 90, 100, 300]
    assert probe.forecasts[0].median > 0.4375
    page = write_plan(tmp_path / "mine.py", plan, eyes, source="S", reading=[], probe=probe).read_text()
    assert "What minutes buy" in page and "0.438" in page
    without = write_plan(tmp_path / "none.py", plan, eyes, source="S", reading=[]).read_text()
    assert "What minutes buy" not in without
