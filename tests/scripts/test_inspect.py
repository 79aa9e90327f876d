"""The inspect command: sheets and metadata of what training gets, and errors of one line."""

import json

import cv2
import pytest

from records import read_index


@pytest.fixture(scope="module")
def look(run, way):
    """Runs the command on the synthetic records with the config of their training."""

    def command(*arguments: object):
        return run("inspect", f"--config={way.workdir / 'config.json'}", f"--records={way.records}", *arguments)

    return command


@pytest.mark.slow
def test_without_a_place_it_shows_every_augmentation_and_the_first_twelve_elements(look, tmp_path):
    done = look(f"--output={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"augmentations.png", "draws.png", "draws.json"}
    for name in ("augmentations.png", "draws.png"):
        assert (tmp_path / name).stat().st_size < 6e6
        height, width = cv2.imread(str(tmp_path / name)).shape[:2]
        assert min(height, width) > 600
    metadata = json.loads((tmp_path / "draws.json").read_text())
    assert [element["k"] for element in metadata] == list(range(12))
    lines = done.stdout.splitlines()
    assert lines[0] == f"elements 0 to 11 of the training stream → {tmp_path}"
    assert lines[1].split()[:4] == ["k", "epoch", "shard", "record"]
    assert len(lines) == 15
    assert lines[-1].startswith(f"see: {tmp_path / 'augmentations.png'}")


@pytest.mark.slow
def test_a_step_shows_its_batch_and_an_element_is_one_of_it(look, way, tmp_path):
    """The training took batches of 4 tiles."""
    step, element = look(f"--output={tmp_path}", "--step=2"), look(f"--output={tmp_path / 'one'}", "--element=9")
    assert step.returncode == element.returncode == 0, step.stderr + element.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"step_2.png", "step_2.json", "one"}
    assert {file.name for file in (tmp_path / "one").iterdir()} == {"element_9.png", "element_9.json"}
    of_step = json.loads((tmp_path / "step_2.json").read_text())
    (of_element,) = json.loads((tmp_path / "one" / "element_9.json").read_text())
    assert [element["k"] for element in of_step] == [8, 9, 10, 11]
    assert of_step[1] == of_element
    assert of_element["case"] in read_index(way.records).splits["train"].cases
    assert of_element["shard"].startswith(str(way.records))
    line = element.stdout.splitlines()[2]
    assert line.split()[:2] == ["9", "0"]
    assert line.endswith(of_element["augmentations"])
    assert of_element["shard"] in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--element=-1",), "flag --element=-1: "),
        (("--step=1e3",), "flag --step=1e3: "),
        (("--element=99999999999999999999",), "flag --element=99999999999999999999: "),
        (("--element=1", "--step=1"), "--element=1 and --step=1: give only one of them"),
        (("--config.data.tile=512",), "data.tile is 256 in the records and 512 in the config"),
    ],
)
def test_what_cannot_be_shown_gets_one_line_of_error_and_leaves_nothing(look, tmp_path, arguments, message):
    done = look(f"--output={tmp_path / 'out'}", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_records_and_output_are_required_and_help_is_not_an_error(run):
    assert "--output is required" in run("inspect", "--records=x", "--config=configs/demo.py").stderr
    assert "--records is required" in run("inspect", "--output=x", "--config=configs/demo.py").stderr
    done = run("inspect", "--help")
    assert done.returncode == 0
    assert "python -m scripts.inspect" in done.stdout
