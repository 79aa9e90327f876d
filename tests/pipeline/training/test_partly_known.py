"""Trainings on partly labelled photographs: several sets act as one, and what is unknown changes nothing."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs import Config, DataConfig, InputError
from pipeline.training import prepare
from pipeline.training.validation import validation_cases
from records import Case, read_index
from records.cases import find_cases

ONE_CLASS = ("MA",)


@pytest.fixture(scope="module")
def config(config) -> Config:
    data = DataConfig(classes=("HE", "MA"), tile=32, stride=24, photographs_per_shard=2)
    train = dataclasses.replace(
        config.train,
        epochs=1,
        steps_per_epoch=3,
        balance="photograph",
        lesion_fraction=0.5,
        loss="bce_batch_dice",
        metrics=("dice_coef", "aupr"),
        deterministic=True,
    )
    return dataclasses.replace(config, data=data, train=train)


@pytest.fixture(scope="module")
def source(tmp_path_factory, fundus) -> Path:
    """Paired folders: A, B and V1 are labelled for both classes, C and V2 for MA alone."""
    folder = tmp_path_factory.mktemp("partly")
    for name in ("images", "masks/HE", "masks/MA", "masks/MA_ignore"):
        (folder / name).mkdir(parents=True)
    rows = ["case,labelled"]
    for seed, name in enumerate(("A", "B", "C", "V1", "V2")):
        picture = fundus(80, 90, seed=seed)
        both = name not in ("C", "V2")
        cv2.imwrite(str(folder / f"images/{name}.png"), picture.photograph[..., ::-1])
        for index, kind in enumerate(("HE", "MA") if both else ("", "MA")):
            if kind:
                cv2.imwrite(str(folder / f"masks/{kind}/{name}.png"), picture.masks[..., index].astype(np.uint8) * 255)
        rows.append(f"{name},{'HE MA' if both else 'MA'}")
    region = np.zeros((80, 90), np.uint8)
    region[20:40, 30:50] = 255
    cv2.imwrite(str(folder / "masks/MA_ignore/B.png"), region)
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def of_split(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    return [
        dataclasses.replace(case, split="validation" if case.name.startswith("V") else "train")
        for case in cases
        if case.name in names
    ]


@pytest.fixture(scope="module")
def two_and_one(source, shard, config, tmp_path_factory) -> tuple[list[Path], list[Path]]:
    """A, B and V1 of both classes beside C and V2 sharded for MA alone; and all five as one set."""
    base = tmp_path_factory.mktemp("sets")
    _, cases = find_cases(source, config.data.classes)
    _, of_one = find_cases(source, ONE_CLASS)
    shard(base / "1", of_split(cases, ["A", "B", "V1"]), config.data)
    shard(base / "2", of_split(of_one, ["C", "V2"]), dataclasses.replace(config.data, classes=ONE_CLASS))
    shard(base / "both", of_split(cases, ["A", "B", "C", "V1", "V2"]), config.data)
    return [base / "1", base / "2"], [base / "both"]


def trained(config: Config, records: list[Path], workdir: Path) -> tuple[list[np.ndarray], dict[str, float]]:
    """Returns the weights after a few steps, and what was logged."""
    run = prepare(config, records, workdir)
    logged = run.model.fit(run.training, steps_per_epoch=3, validation_data=run.validation, shuffle=False, verbose=0)
    return [np.asarray(weight) for weight in run.network.weights], {key: one[-1] for key, one in logged.history.items()}


@pytest.mark.slow
def test_two_sets_of_different_classes_give_the_weights_of_one_in_which_a_class_is_unknown(
    two_and_one, config, tmp_path
):
    (two, logged), (one, logged_of_one) = (
        trained(config, folders, tmp_path / str(number)) for number, folders in enumerate(two_and_one)
    )
    assert all(np.array_equal(a, b) for a, b in zip(two, one, strict=True))
    assert logged == logged_of_one
    assert all(np.isfinite(value) for value in logged.values())


def test_a_training_says_in_how_many_photographs_each_class_is_known(two_and_one, config, tmp_path):
    line = "of 3 training photographs the classes are known in: HE 2, MA 3; regions are left out in 1"
    assert line in prepare(config, two_and_one[0], tmp_path / "run").plan.messages


def test_validation_photographs_are_found_with_what_was_known_when_they_were_sharded(two_and_one, source, config):
    run = prepare(config, two_and_one[0], Path("unused"), sources=[source])
    known = {case.name: (set(case.masks), case.unknown) for case in run.plan.cases}
    assert known == {"V1": ({"HE", "MA"}, frozenset()), "V2": ({"HE", "MA"}, frozenset({"HE"}))}


def test_a_folder_of_photographs_alone_is_a_source_of_healthy_ones(shard, fundus, config, tmp_path):
    (tmp_path / "eyes").mkdir()
    for seed in (1, 2):
        cv2.imwrite(str(tmp_path / f"eyes/H{seed}.png"), fundus(60, 60, seed=seed, lesions=False).photograph)
    masks: dict[str, Path | None] = dict.fromkeys(config.data.classes)
    cases = [
        Case(f"H{n}", tmp_path / f"eyes/H{n}.png", masks, split, unknown=frozenset({"MA"}), absent=frozenset({"HE"}))
        for n, split in ((1, "train"), (2, "validation"))
    ]
    shard(tmp_path / "records", cases, config.data)
    from pipeline.input import RecordSet

    one = RecordSet(tmp_path / "records", read_index(tmp_path / "records"))
    with pytest.raises(InputError, match="has a lesion to score"):
        validation_cases([tmp_path / "eyes"], [one])


def test_a_loss_that_needs_masks_refuses_soft_labels(two_and_one, config, tmp_path):
    data = dataclasses.replace(config.data, soft_labels=True)
    train = dataclasses.replace(config.train, loss="lovasz_hinge")
    with pytest.raises(InputError, match="train.loss 'lovasz_hinge' needs masks"):
        prepare(dataclasses.replace(config, data=data, train=train), two_and_one[1], tmp_path / "run")
