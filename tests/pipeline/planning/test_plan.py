"""A whole plan: its preset is its config, its page says what was found, and time for less than an epoch is refused."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs import InputError
from configs.loading import load_config
from pipeline.planning import measuring
from pipeline.planning.clock_rules import choose_folds
from pipeline.planning.plan import make_plan
from pipeline.planning.preset import preset_text
from pipeline.planning.step_trial import StepTrial
from pipeline.planning.writing import write_plan
from pipeline.training.backends import Devices

ROOT = Path(__file__).parents[3]
TRIAL = StepTrial(256, 4, "float32", xla=False, crops_per_second=10.0, peak_bytes=10**9)


@pytest.fixture(scope="module")
def plan(eyes):
    asked = []

    def measure(config, photographs):
        assert photographs == 10  # of twelve, two are held out
        asked.append(config)
        return TRIAL, [TRIAL]

    made = make_plan(eyes, minutes=30.0, network="auto", degrees=None, measure=measure)
    assert len(asked) == 1 and asked[0].model == made.config.model  # the network that is planned was tried
    return made


@pytest.fixture(scope="module")
def written(plan, eyes, tmp_path_factory):
    """The preset of a plan, of a source whose name has odd characters."""
    output = tmp_path_factory.mktemp("plan") / "mine.py"
    write_plan(output, plan, eyes, source='my "eyes"\\new', reading=["--recursive", "--patients=P.csv"])
    return output


def test_a_preset_loads_as_the_planned_config(plan, written):
    assert load_config(str(written)) == plan.config


def test_a_preset_is_formatted_and_says_each_reason(plan, written):
    command = [sys.executable, "-m", "ruff", "format", "--check", "--config", ROOT / "pyproject.toml", written]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = " ".join(re.sub(r"\n +# ", " ", written.read_text()).split())
    for name, choice in plan.choices.items():
        assert " ".join(choice.reason.split()) in text, name


def test_a_preset_names_the_commands_and_scores_need_no_patients(written):
    lines = [line for line in written.read_text().splitlines() if line.startswith("python -m")]
    assert [line.split()[2] for line in lines] == ["scripts.shard", "scripts.train", "scripts.eval"]
    assert "--recursive --patients=P.csv" in lines[0] and lines[2].endswith("--output=RUN --recursive")


def test_classes_that_no_photograph_shows_are_left_out(plan):
    assert plan.config.data.classes == ("HE", "EX")
    assert any("shows any SE" in line for line in plan.problems)


def test_the_page_shows_photographs_choices_and_problems_and_needs_nothing_else(plan, eyes, written):
    page = written.with_suffix(".html").read_text()
    assert page.count("data:image/jpeg") == 6 and page.count("<figcaption>eye") == 6
    assert all(f"<code>{name}</code>" in page for name in plan.choices)
    assert "only 2 of 12 photographs show any EX" in page
    assert 'src="http' not in page and "<script src" not in page


def test_too_little_time_is_refused(eyes):
    slow = dataclasses.replace(TRIAL, crops_per_second=0.1)
    with pytest.raises(InputError, match="--minutes=1: one epoch, "):
        make_plan(eyes, minutes=1.0, network="auto", degrees=None, measure=lambda config, photographs: (slow, [slow]))


def test_presets_of_single_classes_and_of_empty_tuples_load(plan, tmp_path):
    choices = dict(plan.choices)
    for name, value in {"data.classes": ("HE",), "train.class_sampling": ()}.items():
        choices[name] = dataclasses.replace(choices[name], value=value)
    path = tmp_path / "one.py"
    path.write_text(preset_text(choices, ["One class."]))
    config = load_config(str(path))
    assert config.data.classes == ("HE",) and config.train.class_sampling == ()


def test_steps_are_tried_in_each_precision_and_then_with_twice_the_batch(plan, monkeypatch):
    monkeypatch.setattr(measuring, "LARGEST_BATCH", 8)
    monkeypatch.setattr(measuring, "SECONDS", 0.1)
    narrow = dataclasses.replace(plan.config.model.fast, widths=(8, 8))
    config = dataclasses.replace(
        plan.config,
        model=dataclasses.replace(plan.config.model, fast=narrow),
        train=dataclasses.replace(plan.config.train, crop=32),
    )
    chosen, trials = measuring.try_steps(config, 9)
    assert [one.precision for one in trials[:2]] == ["float32", "mixed_bfloat16"]
    assert (
        [one.batch for one in trials] == [4, 4, 8]
        and chosen in trials
        and all(one.crops_per_second > 0 and not one.xla for one in trials)
    )
    assert all(10**7 < one.peak_bytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") for one in trials)


def test_a_batch_has_not_more_crops_than_there_are_photographs(plan, monkeypatch):
    taken = []
    monkeypatch.setattr(measuring, "_prepare", lambda config, devices, **how: taken.append(how["batch"]))
    for photographs in (3, 4, 100):
        with pytest.raises(InputError, match="does not fit into memory here"):  # as nothing was prepared
            measuring.try_steps(plan.config, photographs)
    assert taken == [3, 3, 4, 4, 4, 4]


def test_batches_are_compared_in_the_same_turns_however_busy_the_machine_is(plan, monkeypatch):
    """The machine becomes half as fast with each call; twice the batch is always 1.5 times as fast."""
    speed = iter(0.5**number for number in range(9))

    def take_turns(candidates, crop):
        now = 16 * next(speed)
        rates = {4: now, 8: 1.5 * now, 16: 1.6 * now}
        return [dataclasses.replace(TRIAL, batch=one, crops_per_second=rates[one]) for one in candidates]

    class Batch(int):
        peak_bytes, precision, xla, batch = 0, "float32", False, property(int)

    monkeypatch.setattr(measuring, "_prepare", lambda config, devices, *, batch, **how: Batch(batch))
    monkeypatch.setattr(measuring, "_take_turns", take_turns)
    chosen, trials = measuring.try_steps(plan.config, 40)
    assert chosen.batch == 8  # 16 are only 1.07 times as fast
    assert [one.crops_per_second for one in trials] == pytest.approx([16, 16, 24, 25.6])


def test_xla_is_tried_on_a_single_gpu_alone(plan, monkeypatch):
    tried = []

    def prepare(config, devices, *, batch, precision, xla):
        tried.append((batch, precision, xla))

    monkeypatch.setattr(measuring, "_prepare", prepare)
    for gpus in (1, 2):
        devices = Devices(None, gpus, tuple(f"/device:GPU:{number}" for number in range(gpus)), "")
        measuring._first_candidates(plan.config, devices, 40)
    single = [(4, precision, xla) for precision in ("float32", "mixed_bfloat16") for xla in (False, True)]
    assert tried == [*single, (8, "float32", False), (8, "mixed_bfloat16", False)]


def test_a_network_whose_stride_does_not_divide_the_crop_is_refused(plan):
    with pytest.raises(InputError, match="--model=fast: its stride, 32, does not divide crops of 40 pixels"):
        measuring.try_steps(dataclasses.replace(plan.config, train=dataclasses.replace(plan.config.train, crop=40)), 9)


def test_minutes_that_suffice_for_five_trainings_are_divided_among_five_folds(eyes, tmp_path):
    def planned(minutes: float, folds: int | None):
        return make_plan(
            eyes, minutes=minutes, network="auto", degrees=None, measure=lambda *_: (TRIAL, [TRIAL]), folds=folds
        )

    assert planned(1000.0, None).folds == 1  # of twelve patients, five folds would hold out two each
    five = planned(1000.0, 5)
    assert five.folds == 5 and five.config.train.max_minutes == 200
    assert five.training == round(12 * 4 / 5 * (1 - 2 / 12))
    assert "As given for all 5 folds, 1000" in five.choices["train.max_minutes"].reason
    write_plan(tmp_path / "mine.py", five, eyes, source="S", reading=[])
    lines = [line for line in (tmp_path / "mine.py").read_text().splitlines() if line.startswith("python -m")]
    assert [line.split()[2] for line in lines] == ["scripts.crossval", "scripts.ensemble", "scripts.calibrate"]


@pytest.mark.parametrize(("minutes", "patients", "folds"), [(100, 15, 5), (99, 15, 1), (100, 14, 1)])
def test_folds_need_enough_steps_and_patients(minutes, patients, folds):
    assert choose_folds(TRIAL, minutes=minutes, patients=patients) == folds  # 3,000 steps of 4 crops, ten a second
