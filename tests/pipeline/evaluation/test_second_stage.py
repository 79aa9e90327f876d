"""The second stage of a cross-validation: its steps, and what is refused."""

import dataclasses

import pytest

from configs import InputError
from pipeline.evaluation.fold_results import FoldResult, write_fold
from pipeline.evaluation.fold_runs import CrossValidation, begin_crossvalidation, fold_steps
from pipeline.evaluation.second_stage import SecondStage
from records import survey_case
from records.cases import plan_folds


@pytest.fixture
def run(records_set, config, tmp_path) -> CrossValidation:
    """A cross-validation of two folds that goes on from one at `first`, of which both folds are finished."""
    cases = [dataclasses.replace(records_set.cases[name], split="train") for name in "ABDE"]
    data = dataclasses.replace(config.data, validation_fraction=0.0)
    surveys = {case.name: survey_case(case, data) for case in cases}
    plan = plan_folds([cases], surveys, data, folds=2)
    for fold in range(2):
        finish(tmp_path / "first", fold, plan=plan.digest, config=config)
        (tmp_path / "second" / f"fold_{fold}").mkdir(parents=True)
    stage = SecondStage(str(tmp_path / "first"), "photographs", "grades.csv")
    config = dataclasses.replace(config, data=data)
    return CrossValidation(tmp_path / "second", ("one",), config, plan=plan, second_stage=stage)


def finish(workdir, fold, *, plan, config) -> None:
    """Writes the result and a stand-in for the model of a finished fold."""
    model, result = workdir / f"fold_{fold}" / "run" / "model", workdir / f"fold_{fold}" / "result"
    for folder in (model, result):
        folder.mkdir(parents=True, exist_ok=True)
    (model / "segmenter.json").write_text("{}")
    facts = FoldResult(
        fold=fold, folds=2, plan=plan, photographs=4, config=config, held_out={}, training=2, validation=0,
        seconds={}, sources=(), counts=(),
    )  # fmt: skip
    write_fold(result, facts)


@pytest.mark.parametrize("fold", [0, 1])
def test_each_fold_learns_from_what_its_own_earlier_model_labels_and_goes_on_from_that_model(run, fold):
    steps = fold_steps(run, fold)
    assert [name for name, _ in steps] == ["shard", "pseudolabel", "shard", "train", "eval"]
    labels, shard, train = steps[1][1], steps[2][1], steps[3][1]
    earlier = f"{run.second_stage.after}/fold_{fold}/run/model"
    assert {f"--model={earlier}", "--source=photographs", "--healthy=grades.csv"} <= set(labels)
    assert (
        f"--source={run.folder(fold) / 'labelled'}" in shard and f"--output={run.folder(fold) / 'labelled'}" in labels
    )
    assert "--config.data.validation_fraction=0" in shard  # what a model labelled is never validated on
    assert f"--config.train.initial_model={earlier}" in train
    folder = run.folder(fold) / "records"
    assert [one for one in train if one.startswith("--records=")] == [
        f"--records={folder / '0'}", f"--records={folder / 'labelled'}",
    ]  # fmt: skip


def test_without_unlabelled_photographs_the_training_just_goes_on(run):
    alone = dataclasses.replace(run, second_stage=SecondStage(run.second_stage.after))
    assert [name for name, _ in fold_steps(alone, 1)] == ["shard", "train", "eval"]


def test_the_same_second_stage_goes_on_and_another_or_none_is_refused(run):
    begin_crossvalidation(run, [0, 1])
    begin_crossvalidation(run, [1])
    for other in (None, SecondStage(run.second_stage.after)):
        with pytest.raises(
            InputError, match=r"was begun with --after=.*--unlabelled=photographs.*, and this command is"
        ):
            begin_crossvalidation(dataclasses.replace(run, second_stage=other), [0])


@pytest.mark.parametrize("content", ["", "[]", '{"after": 3}', '{"later": "first"}'])
def test_a_damaged_note_of_the_second_stage_is_refused_with_its_name(run, content):
    begin_crossvalidation(run, [0])
    note = run.workdir / "second_stage.json"
    note.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as error:
        begin_crossvalidation(run, [0])
    assert str(error.value).startswith((f"{note}: damaged", f"--workdir={run.workdir} was begun"))


def test_earlier_folds_of_other_photographs_or_without_a_model_are_refused_before_anything_is_written(run, tmp_path):
    finish(tmp_path / "first", 1, plan="other", config=run.config)
    with pytest.raises(InputError, match="does not belong to the same|holds out other photographs"):
        begin_crossvalidation(run, [0, 1])
    finish(tmp_path / "first", 0, plan="other", config=run.config)
    finish(tmp_path / "first", 1, plan="other", config=run.config)
    with pytest.raises(InputError, match=r"--after=.*: holds out other photographs in its folds"):
        begin_crossvalidation(run, [0])
    (tmp_path / "first" / "fold_0" / "run" / "model" / "segmenter.json").unlink()
    with pytest.raises(InputError, match=r"--after=.*: fold 0 is not finished there, or its model"):
        begin_crossvalidation(run, [0])
    assert not (run.workdir / "folds.csv").exists()
