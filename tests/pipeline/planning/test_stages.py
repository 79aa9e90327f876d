"""The stages from a folder to a scored model, what each is given, and when each counts as done."""

from pathlib import Path

import pytest

from configs import InputError
from pipeline.planning import Stage, begin, plan_stages, scored_split
from records import Case


def case(path: str, split: str = "train") -> Case:
    return Case(Path(path).stem, Path(path), {"HE": None}, split)


def test_stages_are_commands_that_pass_on_what_they_were_given(tmp_path):
    cases = [case("S/images/a.png"), case("H/b.png")]
    reading = ["--recursive", "--healthy=H", "--patients=P.csv"]
    stages = plan_stages(tmp_path, "S", cases, planning=["--minutes=5"], reading=reading)
    assert [stage.command for stage in stages] == ["plan", "shard", "train", "eval"]
    plan, shard, train, scored = (stage.arguments for stage in stages)
    assert plan == ["--source=S", f"--output={tmp_path}/plan.py", "--minutes=5", *reading]
    assert shard == [f"--config={tmp_path}/plan.py", "--source=S", f"--records={tmp_path}/records", *reading]
    assert [flag for flag in train if flag.startswith("--source")] == ["--source=S", "--source=H"]
    assert "--split=validation" in scored and scored[-2:] == ["--recursive", "--healthy=H"]


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
