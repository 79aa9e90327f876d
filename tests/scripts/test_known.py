"""What is known of photographs is said to commands by flags and tables, and a mistake in one is a line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from records import CHECK

TWO = ("--config=tests/scripts/tiny_preset.py", "--config.data.classes=('HE','EX')", "--config.data.tile=32")
TINY = (*TWO, "--config.data.stride=32")


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def source(tmp_path) -> Path:
    """Four photographs with masks of HE."""
    folder = tmp_path / "source"
    lesion = np.zeros((40, 48), np.uint8)
    lesion[4:9, 4:9] = 255
    for number, name in enumerate("abcd"):
        save(folder / "images" / f"{name}.png", np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8))
        save(folder / "masks" / "HE" / f"{name}.png", lesion)
    return folder


def test_shard_says_where_each_class_is_known(run, source, tmp_path):
    save(tmp_path / "healthy" / "h.png", np.full((40, 48, 3), 90, np.uint8))
    save(source / "masks" / "ignore" / "a.png", np.eye(40, 48, dtype=np.uint8))
    flags = (f"--source={source}", "--labelled=HE", f"--healthy={tmp_path / 'healthy'}", "--absent=HE,EX")
    done = run("shard", "--check", *TINY, *flags, f"--records={tmp_path / 'records'}")
    assert done.returncode == 0 and done.stderr == ""
    assert f"5 photographs in {source} and {tmp_path / 'healthy'} (paired_folders)" in done.stdout
    assert "known in 5 of 5 photographs (1 with regions left out)" in done.stdout
    assert "class 1, EX: 0 lesions in 0 of 1 photographs" in done.stdout
    assert "healthy: 1 photographs are said to show no HE, EX" in done.stdout
    content = json.loads((tmp_path / "records" / CHECK).read_text(encoding="utf-8"))
    assert content["known"]["EX"] == {"photographs": 1, "with_regions_left_out": 0, "absent": 1}


def test_a_class_that_is_known_nowhere_is_a_warning(run, source, tmp_path):
    done = run("shard", "--check", *TINY, f"--source={source}", "--labelled=HE", f"--records={tmp_path / 'records'}")
    assert done.returncode == 0
    assert done.stderr == "warning: EX is known in no photograph; nothing can be learnt of it from this set alone\n"


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("shard", ["--labelled=HE,XE"], "--labelled: no class 'XE'"),
        ("shard", ["--labelled=HE", "--absent=HE"], "--absent: says which classes the photographs of --healthy"),
        (
            "shard",
            ["--healthy=SOURCE/images"],
            "does not say which classes its photographs show none of; add --absent=",
        ),
        (
            "shard",
            ["--healthy=SOURCE/images", "--absent=HE", "--labelled=HE"],
            "is in --source and among the further photographs of --healthy",
        ),
        ("shard", ["--config.data.classes=('HE_ignore',)"], "data.classes must be names that are not 'ignore'"),
        ("crossval", ["--healthy=t.csv", "--source=elsewhere"], "are of one --source"),
        ("synthesize", ["--healthy=2"], "IDRiD's layout cannot say it; add --paired"),
        ("synthesize", ["--paired", "--training=3", "--ignored=4"], "ignored must be at most 3"),
    ],
)
def test_a_mistake_is_a_line(run, source, tmp_path, command, flags, message):
    given = {
        "shard": [*TINY[: 1 if "ignore" in flags[0] else None], f"--source={source}", f"--records={tmp_path / 'out'}"],
        "crossval": [*TINY, f"--source={source}", f"--workdir={tmp_path / 'out'}"],
        "synthesize": [f"--output={tmp_path / 'out'}"],
    }[command]
    done = run(command, *given, *(flag.replace("SOURCE", str(source)) for flag in flags))
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message in line


def test_a_source_is_required_unless_there_are_healthy_photographs(run, tmp_path):
    for command, flags in (
        ("shard", [*TINY, f"--records={tmp_path}"]),
        ("eval", ["--model=m", f"--output={tmp_path}"]),
    ):
        done = run(command, *flags)
        assert done.returncode == 2
        assert "error: --source is required, unless --healthy names photographs; see --help." in done.stderr
