"""Names of cases: which can be written, and how they are compared."""

from pathlib import Path

import pytest

from configs import InputError
from records.cases.names import check_name, clean_key, image_stem, name_in_tree, nearest_name, printable


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 240, "248 bytes, at most 240 are written"),  # x….geojson
        ("眼" * 79, "245 bytes, at most 240 are written"),
        ("M\udcfcller", "its name is not UTF-8"),
        ("line\nbreak", "its name has control characters"),
    ],
)
def test_names_by_which_no_file_can_be_called_are_refused_in_one_line(name, said):
    with pytest.raises(InputError) as error:
        check_name(name, ("HE",), path=Path(f"{name}.jpg"))
    assert said in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize("name", ["x" * 232, "眼" * 77, "left eye\u3000é", "1.2.840"])
def test_all_other_names_can_be_written(name):
    check_name(name, ("HE",), path=Path("eye.jpg"))
    with pytest.raises(InputError, match="bytes"):
        check_name(name, ("x" * 240,), path=Path("eye.jpg"))


def test_a_stem_lacks_the_suffix_of_an_image_and_no_other():
    for file, stem in {"a.JPG ": "a", "a.b.tif": "a.b", "1.2.840": "1.2.840", "IM1": "IM1", ".jpg": ".jpg"}.items():
        assert image_stem(Path(file)) == stem
    assert name_in_tree(Path("a/b/c.png"), ("a", "b")) == "b_c" and name_in_tree(Path("c.png"), ()) == "c"


def test_keys_are_compared_without_spaces_suffixes_and_differences_of_accents():
    assert {clean_key(key) for key in ("Mu\u0308", " M\u00fc ", "M\u00fc.jpg", "M\u00fc.TIF ")} == {"M\u00fc"}
    assert clean_key("") == clean_key("  ") == ""
    assert clean_key("a b") != clean_key("a  b")


def test_the_nearest_name_is_one_in_other_letters_before_one_that_is_similar():
    assert nearest_name(["e03"], ["E04", "e033", "E03"]) == " Did you mean 'E03'?"
    assert nearest_name(["E3"], ["E03", "other"]) == " Did you mean 'E03'?"
    assert nearest_name(["a"], ["xyz"]) == ""


def test_messages_have_escapes_for_what_cannot_be_printed():
    assert printable("a\udcff\n眼\u00a0é") == "a\\xff\\n眼\u00a0é"
