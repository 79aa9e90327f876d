"""The plan command: command lines that are refused, measurements that are kept, and one plan with real steps."""

import pytest

from configs.loading import load_config


@pytest.fixture(scope="module")
def source(write_eyes, tmp_path_factory):
    """Eight eyes with haemorrhages, one of which has another size."""
    folder = tmp_path_factory.mktemp("plan") / "source"
    write_eyes(folder, lesions={"HE": [[8, 20]] * 7})
    write_eyes(folder, lesions={"HE": [[16, 40]]}, side=480, diameter=400, first=7)
    return folder


def test_wrong_command_lines_are_refused_in_one_line_before_anything_is_written(run, source, write_eyes, tmp_path):
    write_eyes(tmp_path / "four", lesions={"HE": [[8]] * 4})
    write_eyes(tmp_path / "none", lesions={"HE": [[]] * 6})
    (tmp_path / "there.py").touch()
    output = f"--output={tmp_path / 'new' / 'mine.py'}"
    wrong = {
        (f"--source={tmp_path / 'four'}", output): "4 photographs to learn from; at least 6 are needed",
        (f"--source={tmp_path / 'none'}", output): "no mask shows any HE in 6 photographs",
        (f"--source={tmp_path / 'nowhere'}", output): "nowhere: no such folder",
        (f"--source={source}", output, "--minutes=0"): "--minutes=0: expected a number of minutes above 0",
        (f"--source={source}", output, "--minutes=nan"): "--minutes=nan: expected a number of minutes above 0",
        (f"--source={source}", output, "--model=swin_unet"): "--model=swin_unet: value should be one of <auto|",
        (f"--source={source}", output, "--field_degrees=200"): "--field_degrees=200: expected an angle above 0",
        (f"--source={source}", output, "--classes=HE,EX"): "no mask of class EX",
        (f"--source={source}", f"--output={tmp_path / 'mine.txt'}"): "a preset is a Python file",
        (
            f"--source={source}",
            f"--output={tmp_path / 'there.py'}",
        ): "there.py: exists; name another file, or add --over",
        (output,): "--source is required",
    }
    for arguments, message in wrong.items():
        done = run("plan", *arguments)
        errors = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
        assert done.returncode == 2 and message in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr and len([line for line in errors if "error: " in line]) <= 1
    assert not (tmp_path / "new" / "mine.py").exists() and not (tmp_path / "mine.txt").exists()


def test_the_next_call_reads_no_photograph_again(run, write_eyes, tmp_path):
    write_eyes(tmp_path / "none", lesions={"HE": [[]] * 6})
    arguments = (f"--source={tmp_path / 'none'}", f"--output={tmp_path / 'mine.py'}")
    assert "measured before" not in run("plan", *arguments).stdout
    assert f"6 of them as measured before, in {tmp_path / 'mine.fingerprint.json'}" in run("plan", *arguments).stdout


@pytest.mark.slow
def test_a_plan_is_a_preset_with_a_page_and_an_odd_photograph_is_named(run, source, tmp_path):
    output = tmp_path / "mine.py"
    done = run("plan", f"--source={source}", f"--output={output}", "--minutes=30", "--model=fast")
    assert done.returncode == 0, done.stderr
    assert "warning: eye7 has 480x480 pixels, where 7 of 8 have 240x240" in done.stderr
    assert f"preset: {output}    see: {tmp_path / 'mine.html'}" in done.stdout
    config = load_config(str(output))
    assert config.data.classes == ("HE",) and config.model.network == "fast" and config.train.max_minutes == 30
    assert (tmp_path / "mine.html").stat().st_size > 10_000
