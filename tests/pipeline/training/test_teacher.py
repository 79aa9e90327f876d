"""Learning from a teacher: which models it may be, what of it is remembered, and that it changes nothing else."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from configs import Config, InputError, ModelConfig, UNetConfig
from models import build_network
from pipeline.inference import save_model, save_spec
from pipeline.training import prepare
from pipeline.training.teacher import load_teacher
from records import PhotographIdentity

PHOTOGRAPH = PhotographIdentity("X", "1" * 64, "")


@pytest.fixture(scope="module")
def teacher(spec, tmp_path_factory) -> Path:
    """A model folder of a network of stride 2 with random weights."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    seen = {"splits": {"train": ["X", "Y"]}, "seen_before": ("W",), "photographs": {"train": (PHOTOGRAPH,)}}
    network = build_network(ModelConfig(unet=UNetConfig(width=4, levels=2)), 2)
    save_model(folder, network, spec(classes=("EX", "MA"), **seen))
    return folder


def taught(config: Config, teacher: Path, **fields: object) -> Config:
    train = dataclasses.replace(config.train, teacher=str(teacher), **fields)
    return dataclasses.replace(config, train=train)


@pytest.mark.slow
def test_a_training_remembers_its_teacher_and_begins_as_without_it(config, records_set, teacher, tmp_path):
    run, plain = (prepare(one, [records_set.folder], tmp_path) for one in (taught(config, teacher), config))
    assert run.plan.messages[-1] == f"learns MA from {teacher} with a weight of 0.5 and a temperature of 1"
    assert set(run.plan.seen_before.names) == {"W", "X", "Y"}
    assert run.plan.seen_before.photographs == (PHOTOGRAPH,)
    assert (len(run.plan.teacher), plain.plan.teacher) == (16, None)
    assert run.plan.parameters == plain.plan.parameters == run.model.count_params()
    assert len(run.model.optimizer.variables) == len(plain.model.optimizer.variables)
    for weights, others in zip(run.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, others)
    loaded = run.model.teacher
    assert (loaded.channels, loaded.student_channels) == ((1,), (1,))  # of EX, MA and of HE, MA
    assert (loaded.weight, loaded.temperature) == (0.5, 1)


@pytest.mark.slow
def test_an_anonymous_training_does_not_name_its_teacher(config, records_set, teacher, tmp_path):
    plan = prepare(taught(config, teacher), [records_set.folder], tmp_path, anonymous=True).plan
    assert plan.config.train.teacher.startswith("anonymous-")
    assert f"learns MA from {plan.config.train.teacher} with" in plan.messages[-1]
    assert not any(str(teacher) in line for line in plan.lines())


@pytest.mark.parametrize(
    ("classes", "fields", "message"),
    [
        (("EX",), {}, r"the model has the classes EX, none of data\.classes \(HE, MA\)"),
        (("HE",), {"scale": 0.5}, r"takes photographs at scale 0\.5, but this training shows them at scale 1;"),
        (
            ("HE",),
            {"scale": None, "field_diameter": 300.0},
            r"takes photographs at .*300.*, but this training shows them at scale 1;",
        ),
    ],
)
def test_a_teacher_of_other_classes_or_another_scale_is_refused_by_the_field(
    config, teacher, spec, tmp_path, classes, fields, message
):
    shutil.copy(teacher / "network.keras", tmp_path)
    save_spec(tmp_path, spec(classes=classes, **fields))
    with pytest.raises(InputError, match=rf"^train\.teacher={tmp_path}: .*{message}"):
        load_teacher(tmp_path, taught(config, tmp_path))


def test_a_teacher_whose_stride_does_not_divide_the_crops_is_refused_by_the_field(config, teacher):
    with pytest.raises(InputError, match=r"train\.teacher=.* multiples of 2, but crops have 33 .*change train\.crop"):
        load_teacher(teacher, taught(config, teacher, crop=33))


def test_a_folder_without_a_model_is_refused_by_the_field_before_a_network_is_built(config, records_set, tmp_path):
    with pytest.raises(InputError, match=rf"train\.teacher={tmp_path}: contains no network\.keras"):
        prepare(taught(config, tmp_path), [records_set.folder], tmp_path)
