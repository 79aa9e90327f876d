"""What is anonymous names no photograph, nor a path of whoever made it, in any byte; leaks are found all the same."""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.inference import read_spec

PRETRAINED = Path(__file__).parents[2] / "pretrained" / "idrid_lesions"


def contents(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Yields the path below a folder of everything in it, and its content, that of members of archives too."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        yield name, path.read_bytes() if path.is_file() else b""
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{name}: {member}", archive.read(member)) for member in archive.namelist())


def named(folder: Path, words: Iterable[str]) -> set[tuple[str, str]]:
    """Returns the words that occur in a folder, in names or contents, each with where; NumPy's text is UTF-32."""
    return {
        (word, where)
        for where, content in contents(folder)
        for word in words
        if word in where or any(word.encode(encoding) in content for encoding in ("utf-8", "utf-32-le"))
    }


@pytest.fixture(scope="module")
def clean(run, tmp_path_factory):
    """The pretrained model without names."""
    folder = tmp_path_factory.mktemp("anonymous") / "clean"
    done = run("anonymize", f"--model={PRETRAINED}", f"--output={folder}")
    assert done.returncode == 0, done.stderr
    assert "54 train" in done.stdout
    assert "not copied, as nothing is known of what is in them: MODEL_CARD.md, curves.png, examples.jpg" in done.stdout
    return folder


def test_a_clean_model_folder_has_no_name_digest_or_hash_of_its_photographs(clean):
    known = [one for identities in read_spec(PRETRAINED / "segmenter.json").photographs.values() for one in identities]
    words = [word for one in known for word in (one.case, one.sha256, one.perceptual_hash)]
    assert named(PRETRAINED, words[:1]) and not named(clean, words)
    assert (clean / "network.keras").read_bytes() == (PRETRAINED / "network.keras").read_bytes()


def test_all_else_of_a_clean_model_folder_is_as_it_was(clean):
    before, after = (json.loads((folder / "segmenter.json").read_text()) for folder in (PRETRAINED, clean))
    differing = {name for name in after if name not in before or after[name] != before[name]}
    assert differing - {"max_pixels"} == {"splits", "calibrated_on", "photographs"}
    for use in ("train", "validation", "calibrated_on"):
        assert len(after["photographs"].get(use, ())) == len(before["photographs"].get(use, ()))


def test_a_model_is_neither_replaced_unasked_nor_cleaned_in_place(clean, run):
    for output, message in ((clean, "holds a model already"), (PRETRAINED, "is the model folder itself")):
        done = run("anonymize", f"--model={PRETRAINED}", f"--output={output}")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and message in done.stderr
