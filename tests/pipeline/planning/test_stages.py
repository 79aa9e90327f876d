"""The stages from a folder to a scored model, what each is given, and when each counts as done."""

from pathlib import Path

import pytest

from configs import InputError
from pipeline.planning import Stage, begin, plan_stages, scored_split
from records import Case
from scripts.support import members


def case(path: str, split: str = "train") -> Case:
    return Case(Path(path).stem, Path(path), {"HE": None}, split)


def test_stages_are_commands_that_pass_on_what_they_were_given(tmp_path):
    cases = [case("S/images/a.png"), case("H/b.png")]
    reading = ["--recursive", "--healthy=H", "--patients=P.csv"]
    stages = plan_stages(tmp_path, "S", cases, planning=["--minutes=5"], reading=reading, healthy=[Path("H")])
    assert [stage.command for stage in stages] == ["plan", "shard", "train", "eval"]
    plan, shard, train, scored = (stage.arguments for stage in stages)
    assert plan == ["--source=S", f"--output={tmp_path}/plan.py", "--minutes=5", *reading]
    assert shard == [f"--config={tmp_path}/plan.py", "--source=S", f"--records={tmp_path}/records", *reading]
    assert [flag for flag in train if flag.startswith("--source")] == ["--source=S", "--source=H"]
    assert "--split=validation" in scored and scored[-2:] == ["--recursive", "--healthy=H"]


def test_a_cross_validation_is_finished_only_with_all_of_its_folds(tmp_path):
    _, crossval, *_ = plan_stages(tmp_path, "S", [case("a.png")], planning=[], reading=[], folds=3)
    for fold in (2, 0, 1):
        assert not crossval.is_finished
        (tmp_path / "folds" / f"fold_{fold}" / "result").mkdir(parents=True)
        (tmp_path / "folds" / f"fold_{fold}" / "result" / "fold.json").touch()
    assert crossval.is_finished


def test_the_models_of_folds_are_found_whatever_the_workdir_is_called_and_a_comma_is_refused_before_they_are_trained(
    tmp_path,
):
    workdir = tmp_path / "study [2]*"
    (workdir / "folds" / "fold_0" / "run" / "model").mkdir(parents=True)
    _, _, ensemble, _ = plan_stages(workdir, "S", [case("a.png")], planning=[], reading=[], folds=2)
    pattern = ensemble.arguments[0].removeprefix("--models=")
    assert members.folders([pattern], flag="--models") == [workdir / "folds" / "fold_0" / "run" / "model"]
    assert plan_stages(tmp_path / "a,b", "S", [case("a.png")], planning=[], reading=[])
    with pytest.raises(InputError, match="a,b: has a comma, which divides a list of models"):
        plan_stages(tmp_path / "a,b", "S", [case("a.png")], planning=[], reading=[], folds=2)


def test_a_sources_own_test_part_is_scored():
    assert scored_split([case("a.png"), case("b.png", "test")]) == "test"
    assert scored_split([case("a.png")]) == "validation"


@pytest.mark.parametrize(
    ("code", "may_leave_out", "written", "done"),
    [(0, False, True, True), (0, True, False, False), (1, True, True, True), (1, True, False, False)]
    + [(1, False, True, False), (2, True, True, False)],
)
def test_a_stage_is_done_if_its_last_file_is_there_and_its_code_allows_it(tmp_path, code, may_leave_out, written, done):
    stage = Stage("shard", [], tmp_path / "product", may_leave_out)
    if written:
        stage.product.touch()
    assert stage.is_done(code) is done


def test_a_workdir_is_for_the_same_flags_only(tmp_path):
    begin(tmp_path, {"source": "S", "minutes": 5.0})
    begin(tmp_path, {"source": "S", "minutes": 5.0})
    with pytest.raises(InputError, match="begun with other flags: --minutes was 5.0 and is 6.0"):
        begin(tmp_path, {"source": "S", "minutes": 6.0})
    with pytest.raises(InputError, match="--minutes was 5.0 and is None"):
        begin(tmp_path, {"source": "S"})


def test_a_folder_with_a_plan_of_its_own_is_not_taken(tmp_path):
    (tmp_path / "plan.py").touch()
    with pytest.raises(InputError, match="name another folder"):
        begin(tmp_path, {"source": "S"})
