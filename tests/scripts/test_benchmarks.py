"""The benchmark command: what it prints and writes, and which folders each benchmark accepts."""

import json

import pytest

FAST = (
    "--config=tests/scripts/tiny_preset.py",
    "--config.model.unet.levels=2",
    "--config.model.unet.width=4",
    "--config.model.unet.normalization=batch",
    "--config.data.tile=32",
    "--config.data.stride=32",
    "--config.train.batch_size=2",
    "--config.train.precision=mixed_bfloat16",
)


@pytest.mark.slow
def test_train_measures_steps_the_loop_and_the_normalization(run, tmp_path):
    done = run("benchmark", "train", *FAST, f"--json={tmp_path / 'numbers.json'}")
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["benchmark"] == "train"
    assert numbers["overhead_over_step"] > -1
    assert numbers["crops_per_second"] == pytest.approx(2 * numbers["steps_per_second"])
    assert numbers["keras_normalization_over_ours"] > 0
    _, *rows = numbers["table"]
    assert [row[0] for row in rows] == [
        "step, mixed_bfloat16",
        "fit, mixed_bfloat16",
        "step, float32",
        "step, mixed_bfloat16, Keras' norm.",
        "step, float32, Keras' norm.",
        "fit, mixed_bfloat16, 2 devices",
        "fit, float32, 2 devices",
    ]
    assert numbers["two_devices_over_one"] > 0
    for key in ("overhead_over_step", "steps_per_second", "two_devices_over_one"):
        assert f"\n{key}: {numbers[key]:.3f}\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train", "--source=/somewhere"), "benchmark train takes --records or no folder; received --source."),
        (("shard",), "benchmark shard takes --source; received none."),
        (("shard", "--records=/somewhere"), "benchmark shard takes --source; received --records."),
        (
            ("input", "--source=/somewhere", "--records=/there"),
            "benchmark input takes --records or --source; received --source and --records.",
        ),
        (
            ("inference", "--records=/there"),
            "benchmark inference takes --source and --model or --model or --source or no folder; received --records.",
        ),
        (("input",), "benchmark input takes --records or --source; received none."),
        (
            ("trian",),
            "expected one benchmark of shard, input, train, inference, sizes, shifts, fine_tuning, plans, pr",
        ),
        (
            ("sizes", "--source=/somewhere", "--model=/there", "--split=test"),
            "benchmark sizes takes no --split; leave it out.",
        ),
        (
            ("shifts", "--source=/somewhere", "--model=/there", "--sheet=/no/such/sheet.png"),
            "--sheet=/no/such/sheet.png: there is no folder /no/such; create it first.",
        ),
        (
            ("shifts", "--source=/somewhere", "--model=/there", "--sheet=sheet.jpg"),
            "--sheet=sheet.jpg: expected a name that ends in .png.",
        ),
        (("plans", "--source=/somewhere"), "benchmark plans needs --workdir, a folder for its files."),
        (("plans", "--source=/somewhere", "--split=test"), "benchmark plans takes no --split; leave it out."),
        (("shifts", "--source=/somewhere"), "benchmark shifts takes --source and --model; received --source."),
        (("input", "--records=/no/such"), "--records=/no/such: no index.json there"),
    ],
)
def test_a_wrong_command_gets_one_line_of_error(run, arguments, expected):
    done = run("benchmark", *arguments, "--config=tests/scripts/tiny_preset.py")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {expected}")
    assert len(done.stderr.splitlines()) == 1


def test_a_stopped_benchmark_ends_with_the_code_of_its_signal_and_says_how_it_goes_on(forked, tmp_path):
    code = """
import sys
from pipeline.interruption import StoppedError
from scripts import benchmark
from scripts.benchmarks import plans
from scripts.support import command

def stop(*arguments, **options):
    raise StoppedError("SIGINT", 130)

plans.measure = stop
sys.modules["__main__"].__doc__ = benchmark.__doc__
command.run(benchmark.main, arguments="the name of a benchmark")
"""
    arguments = ["plans", "--config=tests/scripts/tiny_preset.py", f"--source={tmp_path}", f"--workdir={tmp_path}/w"]
    done = forked(code=code, arguments=arguments)
    assert done.returncode == 130 and "run the same command again to continue" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
