"""What --healthy says of photographs without masks: which classes they are free of, and which are added."""

from pathlib import Path

import pytest

from configs import InputError
from records.cases.case import KnownRules
from records.cases.healthy import add_healthy, healthy_folders
from records.cases.sources import find_cases
from tests.sources import touch

CLASSES = ("HE", "OD")
PHOTOGRAPHS = {"A": Path("photographs/A.jpg"), "B": Path("photographs/B.jpg")}


@pytest.fixture
def read(tmp_path):
    """Reads a table of this text; the classes are those of a model."""

    def healthy(text, **options):
        (tmp_path / "healthy.csv").write_text(text)
        known = KnownRules(healthy=str(tmp_path / "healthy.csv"), **options)
        return add_healthy(PHOTOGRAPHS, CLASSES, known, warn=lambda line: None)

    return healthy


def test_classes_of_the_models_are_absent_where_the_table_says_it(read):
    assert read("case,absent\nA.jpg,HE MA\nB,MA\n") == (PHOTOGRAPHS, {"A": {"HE"}})
    assert read("case\nA\n", absent=("HE",)) == (PHOTOGRAPHS, {"A": {"HE"}})
    assert add_healthy(PHOTOGRAPHS, CLASSES, KnownRules()) == (PHOTOGRAPHS, {})


def test_photographs_that_a_table_names_by_their_files_are_labelled_too(read, tmp_path):
    (tmp_path / "C.jpg").touch()
    found, absent = read("case,absent\nC.jpg,HE\n")
    assert (found["C"], absent) == (tmp_path / "C.jpg", {"C": {"HE"}})


def test_what_cannot_be_meant_is_refused(read, tmp_path):
    with pytest.raises(InputError, match="no class 'XX'"):
        read("case,absent\nA,XX\n")
    with pytest.raises(InputError, match="add --healthy"):
        add_healthy(PHOTOGRAPHS, CLASSES, KnownRules(absent=("HE",)))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "A.jpg").touch()
    with pytest.raises(InputError, match=r"A\.jpg: photographs/A\.jpg has the same name"):
        add_healthy(PHOTOGRAPHS, CLASSES, KnownRules(healthy=str(tmp_path / "more"), absent=("HE",)))


@pytest.mark.parametrize(
    ("listed", "healthy", "expected"),
    [
        ("", None, []),
        ("", "source/healthy", ["source/healthy"]),  # also inside of the source, and with folders below it
        ("b", "healthy.csv", []),  # a photograph of the source
        ("b elsewhere/c.png source/healthy/d.png", "healthy.csv", ["elsewhere", "source/healthy"]),
    ],
)
def test_folders_of_the_photographs_that_are_added_are_those_outside_of_the_sources_own(
    tmp_path, listed, healthy, expected
):
    touch(tmp_path, "source/images/a.png", "source/images/b.png", "source/masks/HE/a.png")
    touch(tmp_path, "elsewhere/c.png", "source/healthy/d.png", "source/healthy/001/e.png")
    (tmp_path / "healthy.csv").write_text("case,absent\n" + "".join(f"{name},HE\n" for name in listed.split()))
    known = KnownRules(healthy=healthy and str(tmp_path / healthy), absent=("HE",) if healthy else ())
    cases = find_cases(tmp_path / "source", ("HE",), allow_missing_masks=True, recursive=True, known=known)[1]
    assert healthy_folders(known, cases) == [tmp_path / folder for folder in expected]
