"""The models command: what it prints and writes, and how it refuses wrong flags."""

import json

import pytest

from configs import ModelConfig
from models import build_network

TINY = "--config=tests/scripts/tiny_preset.py"


@pytest.mark.slow
def test_the_configured_network_is_measured_drawn_and_written(run, tmp_path):
    numbers, drawing = tmp_path / "numbers.json", tmp_path / "network.png"
    options = (TINY, "--config.data.classes=('HE','EX')", "--config.model.unet.width=8")
    done = run("models", *options, "--tile=50", "--fast", f"--json={numbers}", f"--plot={drawing}")
    assert done.returncode == 0, done.stderr
    cost = json.loads(numbers.read_text())["networks"]["unet"]
    assert f"unet{cost['parameters']:>30,}" in done.stdout
    assert "one tile of 50 pixels, 2 classes" in done.stdout
    assert f"(for {cost['tile']}: its stride does not divide 50)" in done.stdout
    assert len(done.stdout.splitlines()) == 5  # head, columns, one network, two files
    assert drawing.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.png", "numbers.json"]


@pytest.mark.slow
def test_a_named_network_has_its_defaults_or_the_options_of_the_config(run):
    alone, configured = (
        run("models", "--network=unet", "--tile=32", "--fast", *options)
        for options in ((), (TINY, "--config.model.unet.width=4"))
    )
    default = build_network(ModelConfig(), classes=1).count_params()
    assert f"{default:,}" in alone.stdout
    assert f"{default:,}" not in configured.stdout
    assert "one tile of 32 pixels, 1 class, float32; no times" in configured.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--network=unet", "--tile=0"), "flag --tile=0"),
        (("--plot=network.png",), "draws a single network; name it with --network, or give a --config"),
        (("--network=unet", "--plot=network.bmp"), "expected a name that ends in .png, .svg, .pdf"),
        (
            ("--network=unet", "--json=/no/such/numbers.json"),
            "--json=/no/such/numbers.json: there is no folder /no/such",
        ),
        (("--config=configs/none.py",), "no such file; the presets are"),
        (("stray",), "unexpected argument 'stray'"),
    ],
)
def test_a_wrong_command_gets_one_line_of_error(run, arguments, message):
    done = run("models", "--fast", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
