"""Fine-tuning on few photographs: what of a model's config stays, and the commands of its stages."""

import dataclasses
from pathlib import Path

import pytest

from configs import loading
from pipeline.inference import spec_of
from pipeline.planning import fine_tuning_config, fine_tuning_stages

MODEL = Path("pretrained/idrid_lesions")


@pytest.fixture(scope="module")
def base():
    return loading.load_config("configs/idrid_lesions.py")


def test_it_learns_slowly_with_a_loss_for_few_photographs_and_keeps_network_and_scale(base):
    spec = spec_of(MODEL)
    config = fine_tuning_config(base, spec, validating=5)
    assert config.model == base.model and config.augment == base.augment and config.segment == base.segment
    assert (config.data.classes, config.data.field_diameter) == (spec.classes, spec.field_diameter)
    assert config.train.loss == "bce_present_dice"
    assert config.train.learning_rate == pytest.approx(base.train.learning_rate / 10)
    assert config.train.class_sampling == base.train.class_sampling
    assert (config.data.validation_fraction, config.train.photographs_every) == (0, 2)
    constant = dataclasses.replace(base, train=dataclasses.replace(base.train, schedule="constant"))
    assert fine_tuning_config(constant, spec, validating=5).train == config.train  # it decays to zero in any case
    again = dataclasses.replace(config, train=dataclasses.replace(config.train, initial_model="a"))
    assert fine_tuning_config(again, spec, validating=1).train.learning_rate == config.train.learning_rate


def test_stages_score_the_old_model_train_and_score_the_new_one_on_what_is_kept_apart(tmp_path):
    stages = fine_tuning_stages(tmp_path, MODEL, minutes=2.5)
    assert [stage.command for stage in stages] == ["shard", "eval", "train", "eval", "compare"]
    shard, before, train, after, compare = ([str(one) for one in stage.arguments] for stage in stages)
    learnt_from = f"--source={tmp_path}/learnt_from"
    assert learnt_from in shard and learnt_from in train
    assert {f"--config.train.initial_model={MODEL}", "--config.train.max_minutes=2.5"} < set(train)
    assert before[0] == f"--model={MODEL}" and after[0] == f"--model={tmp_path}/run/model"
    assert before[1:3] == after[1:3] == [f"--source={tmp_path}/kept_apart", "--split=all"]
    assert compare == [f"--output={tmp_path}/compared", f"{tmp_path}/before", f"{tmp_path}/after"]
    assert stages[-1].line.startswith(f"python -m scripts.compare --output={tmp_path}/compared ")


def test_of_a_model_that_finds_more_only_the_classes_are_learnt_that_are_named(base):
    config = fine_tuning_config(base, spec_of(MODEL), validating=1, classes=("HE", "OD"))
    assert config.data.classes == ("HE", "OD")
    assert base.train.class_sampling and config.train.class_sampling == ()
    assert "EX" in base.train.paste_classes and config.train.paste_classes == ("HE",)
