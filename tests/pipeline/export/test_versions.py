"""Versions of an export: put in place whole, replaced, and left as they were where that fails."""

import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from configs import InputError
from pipeline.export import saved_model as export
from pipeline.export import versions
from pipeline.export.saved_model import export_model
from pipeline.inference import TiledSegmenter
from records import held


@pytest.fixture(scope="module")
def constant(spec):
    """Makes a segmenter whose probabilities have one value."""
    return lambda value: TiledSegmenter(lambda images: tf.fill(tf.shape(images[..., :1]), value), spec())


@pytest.fixture(scope="module")
def quarter(constant, model_folder, tmp_path_factory):
    """An export whose probabilities are 0.25, to be copied."""
    return export_model(constant(0.25), model_folder, tmp_path_factory.mktemp("quarter"), version=1, overwrite=False)


@pytest.fixture
def two_models(constant, quarter, tmp_path):
    """An existing version, whose probabilities are 0.25, and a segmenter whose probabilities are 0.75."""
    return Path(shutil.copytree(quarter, tmp_path / "export" / "1")), constant(0.75)


def value_of(folder) -> float:
    loaded = tf.saved_model.load(str(folder))
    probabilities = loaded.signatures["segment"](photograph=tf.zeros([5, 5, 3], tf.uint8))["probabilities"]
    return float(tf.reduce_mean(probabilities))


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_version_that_is_there_is_refused_and_left_as_it_was(two_models, model_folder):
    there, other = two_models
    before = contents(there.parent)
    with pytest.raises(InputError, match="already exists; choose another --version, or add --overwrite to replace it"):
        export_model(other, model_folder, there.parent, version=1, overwrite=False)
    assert contents(there.parent) == before


@pytest.mark.slow
def test_with_overwrite_a_version_is_replaced(two_models, model_folder):
    there, other = two_models
    (there / "stray").touch()
    assert value_of(there) == pytest.approx(0.25)
    export_model(other, model_folder, there.parent, version=1, overwrite=True)
    assert value_of(there) == pytest.approx(0.75)
    assert not (there / "stray").exists()


@pytest.mark.slow
def test_another_version_lies_beside_the_first(two_models, model_folder):
    there, other = two_models
    second = export_model(other, model_folder, there.parent, version=2, overwrite=False)
    assert (value_of(there), value_of(second)) == pytest.approx((0.25, 0.75))


def test_an_export_that_fails_leaves_the_old_version_and_nothing_else(two_models, tmp_path):
    there, other = two_models
    before = contents(there.parent)
    with pytest.raises(FileNotFoundError):
        export_model(other, tmp_path / "no model folder", there.parent, version=1, overwrite=True)
    assert contents(there.parent) == before
    assert [path.name for path in there.parent.iterdir()] == ["1"]


def test_an_output_whose_name_a_file_has_is_refused(segmenter, model_folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--output="):
        export_model(segmenter, model_folder, tmp_path / "file", version=1, overwrite=False)


@pytest.mark.slow
def test_while_a_version_is_replaced_it_is_whole_and_no_other_is_to_be_seen(two_models, model_folder, monkeypatch):
    there, other = two_models
    before = contents(there)
    seen = []

    def look(*arguments: object) -> None:
        seen.append({path.name for path in there.parent.iterdir()})
        assert contents(there) == before
        assert value_of(there) == pytest.approx(0.25)

    monkeypatch.setattr(versions, "_flush", look)  # the last step before the new version is put in place
    export_model(other, model_folder, there.parent, version=1, overwrite=True)
    assert value_of(there) == pytest.approx(0.75)
    ((name, hidden),) = (sorted(names, reverse=True) for names in seen)
    assert (name, hidden.startswith(".")) == ("1", True)  # TF Serving looks at names that are numbers


def test_a_folder_that_is_no_export_is_refused_even_with_overwrite(segmenter, model_folder, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "thesis.tex").touch()
    with pytest.raises(InputError, match="not an export of this software; move it away"):
        export_model(segmenter, model_folder, tmp_path, version=1, overwrite=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["1", "thesis.tex"]


def test_a_full_disk_leaves_the_old_version_and_nothing_else(two_models, model_folder, monkeypatch):
    there, other = two_models
    before = contents(there.parent)

    def full(folder: Path, *arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "write_golden", full)
    with pytest.raises(OSError, match="No space left"):
        export_model(other, model_folder, there.parent, version=1, overwrite=True)
    assert contents(there.parent) == before


@pytest.mark.slow
def test_remains_of_killed_exports_are_removed_and_a_version_moved_aside_comes_back(two_models, model_folder):
    there, other = two_models
    output = there.parent
    for name in (".tmp-99-3", ".old-99-1", ".old-99-7", ".tmp-0123abcd-8", ".git-of-1"):
        (output / name).mkdir()
        (output / name / "file").touch()
    with held(output / ".tmp-0123abcd-8"):  # an export that runs, maybe in another container
        export_model(other, model_folder, output, version=2, overwrite=False)
    assert {path.name for path in output.iterdir()} == {"1", "2", "7", ".tmp-0123abcd-8", ".git-of-1"}
    assert value_of(there) == pytest.approx(0.25)
