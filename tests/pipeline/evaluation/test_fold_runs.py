"""Folds before they run: their steps, the lists that these read, and what is refused."""

import csv
import dataclasses
from pathlib import Path

import pytest

from configs import InputError
from pipeline.evaluation.fold_results import FoldResult, write_fold
from pipeline.evaluation.fold_runs import (
    CONFIG,
    CrossValidation,
    add_seconds,
    begin_crossvalidation,
    check_same_config,
    fold_steps,
)
from records import KnownRules, survey_case
from records.cases import plan_folds


@pytest.fixture
def run(records_set, config, tmp_path) -> CrossValidation:
    """A cross-validation of two folds over two sources with two photographs each."""
    cases = [dataclasses.replace(records_set.cases[name], split="train", patient=f"patient {name}") for name in "ABDE"]
    data = dataclasses.replace(config.data, validation_fraction=0.0)
    surveys = {case.name: survey_case(case, data) for case in cases}
    for fold in range(2):
        (tmp_path / "cv" / f"fold_{fold}" / "result").mkdir(parents=True)
    plan = plan_folds([cases[:2], cases[2:]], surveys, data, folds=2)
    return CrossValidation(tmp_path / "cv", ("one", "two"), dataclasses.replace(config, data=data), plan=plan)


def rows(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_known_of_the_photographs_is_passed_on(run):
    known = KnownRules("HE,EX", "healthy.csv", ("HE", "EX"))
    steps = dict(fold_steps(dataclasses.replace(run, known=known), 1))
    for name in ("shard", "eval"):
        assert {"--labelled=HE,EX", "--healthy=healthy.csv", "--absent=HE,EX"} <= set(steps[name])
    assert not any(
        argument.startswith(("--labelled", "--healthy")) for _, one in fold_steps(run, 1) for argument in one
    )


def test_a_fold_shards_each_source_trains_once_and_scores_what_is_held_out_of_each_source(run):
    steps = fold_steps(run, 1)
    assert [name for name, _ in steps] == ["shard", "shard", "train", "eval", "eval"]
    for number, source in enumerate(run.sources):
        shard, score = steps[number][1], steps[3 + number][1]
        assert f"--source={source}" in shard and f"--source={source}" in score
        assert "--strict" not in shard  # a photograph without a circle is scaled as in any other training
        assert "--split=test" in score and "--sweep" in score and f"--model={run.model(1)}" in score
        (splits,) = (argument.removeprefix("--splits=") for argument in shard if argument.startswith("--splits="))
        assert {row["case"] for row in rows(splits) if row["split"] == "test"} == {
            case.name for case in run.plan.sources[number] if run.plan.fold_of[case.name] == 1
        }
        (patients,) = (argument.removeprefix("--patients=") for argument in shard if argument.startswith("--patients="))
        assert [(row["case"], row["patient"]) for row in rows(patients)] == [
            (case.name, case.patient) for case in run.plan.sources[number]
        ]
    train = steps[2][1]
    assert [argument for argument in train if argument.startswith("--records=")] == [
        f"--records={run.folder(1) / 'records' / number}" for number in "01"
    ]
    assert not any(argument.startswith("--source=") for argument in train)  # no validation photographs


@pytest.mark.parametrize("flag", ["allow_missing_masks", "unite_masks", "recursive"])
def test_how_a_source_is_read_is_passed_on_to_shard_and_eval(run, flag):
    given = dataclasses.replace(run, **{flag: True})
    assert [name for name, arguments in fold_steps(given, 1) if f"--{flag}" in arguments] == [
        "shard", "shard", "eval", "eval",
    ]  # fmt: skip
    assert not any(f"--{flag}" in arguments for _, arguments in fold_steps(run, 1))


def test_without_patients_shard_is_given_no_table_of_them(run):
    sources = tuple(tuple(dataclasses.replace(case, patient=None) for case in cases) for cases in run.plan.sources)
    unknown = dataclasses.replace(run, plan=dataclasses.replace(run.plan, sources=sources))
    steps = fold_steps(unknown, 1)
    assert not any(argument.startswith("--patients") for _, arguments in steps for argument in arguments)


def test_validation_photographs_with_lesions_choose_the_thresholds(run):
    data = dataclasses.replace(run.plan.data, validation_fraction=0.5)
    cases = tuple(run.plan.sources[0] + run.plan.sources[1])
    plan = plan_folds([list(cases)], run.plan.surveys, data, folds=2)
    validated = dataclasses.replace(run, sources=("one",), plan=plan)
    assert validated.chooses_thresholds(0) and not run.chooses_thresholds(0)
    assert "--source=one" in dict(fold_steps(validated, 0))["train"]
    eye = dataclasses.replace(cases[0], photograph=Path("elsewhere/eye.png"), masks={"HE": None, "MA": None})
    further = dataclasses.replace(plan, sources=((*cases, eye),))
    healthy = dataclasses.replace(validated, plan=further, known=KnownRules(healthy="healthy.csv"))
    assert {"--source=one", "--source=elsewhere"} <= set(dict(fold_steps(healthy, 0))["train"])


def test_the_workdir_lists_the_folds_and_refuses_another_config(run):
    begin_crossvalidation(run, [0, 1])
    table = rows(run.workdir / "folds.csv")
    assert [(row["case"], row["source"]) for row in table] == [("A", "one"), ("B", "one"), ("D", "two"), ("E", "two")]
    assert {row["case"]: int(row["fold"]) for row in table} == run.plan.fold_of
    check_same_config(run.workdir, run.config)
    other = dataclasses.replace(run.config, data=dataclasses.replace(run.config.data, seed=1))
    with pytest.raises(InputError, match=r"cv was begun with another config: data\.seed was 0 and is 1\. Name another"):
        check_same_config(run.workdir, other)


def test_a_finished_fold_of_another_plan_is_refused_before_anything_is_written(run, monkeypatch):
    result = FoldResult(
        fold=0, folds=3, plan="other", photographs=4, config=run.config, held_out={}, training=2, validation=0,
        seconds={}, sources=(), counts=(),
    )  # fmt: skip
    write_fold(run.folder(0) / "result", result)
    assert run.unfinished([0, 1]) == [1]
    with pytest.raises(InputError, match="same cross-validation as this command: --folds was 2 and is 3"):
        begin_crossvalidation(run, [0, 1])
    assert not (run.workdir / CONFIG).exists()


def test_times_of_several_starts_are_added(run):
    add_seconds(run.folder(0), "train", 1.25)
    add_seconds(run.folder(0), "train", 2.0)
    assert (run.folder(0) / "seconds.json").read_text() == '{"train": 3.2}\n'
