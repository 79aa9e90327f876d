"""The auto command: stages that are passed over, that fail and that are stopped, and command lines that are refused."""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Runs auto with stages that only write their last files, but for the one that is to end otherwise; prints which ran.
STAGES = """
import sys
from pathlib import Path
from scripts import auto
from scripts.support import command
from scripts.support.children import Children

ending, sys.argv[1:] = sys.argv[1], sys.argv[2:]
products = {"plan": "plan.py", "shard": "records/config.json", "train": "run/model/segmenter.json",
            "eval": "evaluation/report.html", "crossval": "folds/fold_4/result/fold.json",
            "ensemble": "ensemble/segmenter.json", "calibrate": "model/segmenter.json"}
PLAN = '''from configs import Config, TrainConfig


def get_config():
    return Config(train=TrainConfig(max_minutes=5.0))
'''
workdir = Path(next(one for one in sys.argv if one.startswith("--workdir=")).partition("=")[2])

def run(self, name, arguments, *, environment, log):
    stage, _, code = ending.partition("=")
    print("ran", name, environment.get("KERAS_BACKEND"))
    if name != stage or code == "1":
        folds = range(5) if name == "crossval" else [4]
        for product in (products[name].replace("fold_4", f"fold_{fold}") for fold in folds):
            (workdir / product).parent.mkdir(parents=True, exist_ok=True)
            (workdir / product).write_text(PLAN)
    return int(code) if name == stage else 0

Children.run = run
sys.modules["__main__"].__doc__ = auto.__doc__
command.run(auto.main)
"""


@pytest.fixture(scope="module")
def source(write_eyes, tmp_path_factory):
    """Six eyes with haemorrhages."""
    folder = tmp_path_factory.mktemp("auto") / "source"
    write_eyes(folder, lesions={"HE": [[8, 20]] * 6})
    return folder


def ran(done) -> list[str]:
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ran ")]


def test_stages_run_once_and_the_end_says_what_to_open(forked, source, tmp_path):
    arguments = [f"--source={source}", f"--workdir={tmp_path}", "--minutes=5"]
    first = forked(code=STAGES, arguments=["", *arguments])
    assert first.returncode == 0 and ran(first) == ["plan", "shard", "train", "eval"], first.stderr
    assert "ran train None" in first.stdout and "ran eval tensorflow" in first.stdout
    assert (
        f"python -m scripts.plan --source={source} --output={tmp_path}/plan.py --minutes=5 --model=auto" in first.stdout
    )
    assert "scores flatter" in first.stdout
    for file in ("plan.html", "run/curves.png", "evaluation/report.html"):
        assert str(tmp_path / file) in first.stdout.splitlines()[-1]
    second = forked(code=STAGES, arguments=["", *arguments])
    assert second.returncode == 0 and ran(second) == []
    assert second.stdout.count("finished already") == 4 and str(tmp_path / "plan.html") in second.stdout


def test_a_plan_that_divides_the_minutes_among_folds_is_a_cross_validation_whose_models_are_joined(
    forked, source, tmp_path
):
    done = forked(code=STAGES, arguments=["", f"--source={source}", f"--workdir={tmp_path}", "--minutes=25"])
    assert done.returncode == 0 and ran(done) == ["plan", "crossval", "ensemble", "calibrate"], done.stderr
    assert f"--workdir={tmp_path}/folds --folds=5" in done.stdout
    assert f"model: {tmp_path}/model    see: {tmp_path}/plan.html, {tmp_path}/folds/report.html" in done.stdout
    assert "scored: every photograph to learn from, by a network that never saw it" in done.stdout


def test_a_fold_that_failed_is_run_again_before_the_models_are_joined(forked, source, tmp_path):
    arguments = [f"--source={source}", f"--workdir={tmp_path}", "--minutes=25"]
    (tmp_path / "folds" / "fold_4" / "result").mkdir(parents=True)
    (tmp_path / "folds" / "fold_4" / "result" / "fold.json").touch()  # the last one is finished, another is not
    failed = forked(code=STAGES, arguments=["crossval=1", *arguments])
    assert failed.returncode == 1 and "stage 2, crossval: failed with exit code 1" in failed.stderr
    (tmp_path / "folds" / "fold_1" / "result").rename(tmp_path / "lost")
    again = forked(code=STAGES, arguments=["", *arguments])
    assert again.returncode == 0 and ran(again) == ["crossval", "ensemble", "calibrate"], again.stderr


def test_minutes_that_are_changed_in_the_plan_do_not_change_the_number_of_folds(forked, source, tmp_path):
    arguments = [f"--source={source}", f"--workdir={tmp_path}", "--minutes=25"]
    assert ran(forked(code=STAGES, arguments=["crossval=2", *arguments])) == ["plan", "crossval"]
    plan = (tmp_path / "plan.py").read_text()
    (tmp_path / "plan.py").write_text(plan.replace("max_minutes=5.0", "max_minutes=25.0"))
    again = forked(code=STAGES, arguments=["", *arguments])
    assert again.returncode == 0 and ran(again) == ["crossval", "ensemble", "calibrate"], again.stderr
    assert f"--workdir={tmp_path}/folds --folds=5" in again.stdout


@pytest.mark.parametrize(
    ("ending", "code", "last", "message"),
    [
        ("train=0", 0, "train", "stopped; run the same command again to continue."),  # by its file `stop`
        ("shard=2", 2, "shard", "stage 2, shard: failed with exit code 2; see the error above"),
        ("shard=1", 1, "eval", "stage 2, shard: done in"),  # photographs were left out
        ("train=1", 1, "train", "stage 3, train: failed with exit code 1"),
    ],
)
def test_a_stage_that_ends_otherwise_is_the_last_unless_it_left_out_photographs(
    forked, source, tmp_path, ending, code, last, message
):
    done = forked(code=STAGES, arguments=[ending, f"--source={source}", f"--workdir={tmp_path}", "--minutes=5"])
    assert done.returncode == code and ran(done)[-1] == last
    assert message in done.stdout + done.stderr


@pytest.mark.slow
def test_stages_are_real_commands_and_the_workdir_goes_on_where_it_was(run, source, tmp_path):
    """The plan is there already; sharding is real, and training refuses a plan that was changed by hand."""
    shutil.copy(ROOT / "tests" / "scripts" / "tiny_preset.py", tmp_path / "plan.py")
    asked = {"source": str(source), "minutes": 5.0, "model": "auto"}
    (tmp_path / "auto.json").write_text(json.dumps(asked))
    changed = (tmp_path / "plan.py").read_text().replace("batch_size=8", "batch_size=4, initial_model='nowhere'")
    (tmp_path / "plan.py").write_text(changed)
    done = run("auto", f"--source={source}", f"--workdir={tmp_path}", "--minutes=5")
    assert done.returncode == 2 and "stage 1, plan: finished already" in done.stdout, done.stderr
    assert "train: 5 photographs" in done.stdout and (tmp_path / "records" / "index.json").exists()
    assert "error: train.initial_model=nowhere" in done.stderr
    assert "stage 3, train: failed with exit code 2" in done.stderr


def test_wrong_command_lines_are_refused_before_the_workdir_is_made(run, source, write_eyes, tmp_path):
    write_eyes(tmp_path / "four", lesions={"HE": [[8]] * 4})
    workdir = tmp_path / "workdir"
    wrong = {
        (f"--source={tmp_path / 'four'}",): "4 photographs to learn from",
        (f"--source={source}", "--minutes=-1"): "--minutes=-1: expected a number of minutes above 0",
        (f"--source={source}", "--field_degrees=0"): "--field_degrees=0: expected an angle",
        (): "--source is required",
    }
    for arguments, message in wrong.items():
        done = run("auto", f"--workdir={workdir}", *arguments)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not workdir.exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "auto.json").write_text(json.dumps({"source": "other"}))
    done = run("auto", f"--workdir={tmp_path / 'taken'}", f"--source={source}")
    assert done.returncode == 2 and "was begun with other flags: --source was other and is" in done.stderr
