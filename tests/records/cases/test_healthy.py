"""Tables of healthy photographs: which classes are absent in which, and what is refused."""

import pytest

from configs import InputError
from records.cases.healthy import read_absent

CLASSES = ("HE", "EX")


@pytest.fixture
def read(tmp_path):
    """Reads a table of this text."""

    def absent(text, names=("A", "B"), **options):
        (tmp_path / "healthy.csv").write_text(text)
        lines = []
        return read_absent(tmp_path / "healthy.csv", names, CLASSES, warn=lines.append, **options), lines

    return absent


def test_a_table_names_the_absent_classes_of_each(read):
    assert read("case,absent\nA.jpg,HE EX\nB,EX;\n")[0] == {"A": {"HE", "EX"}, "B": {"EX"}}
    assert read("case\nA\n", absent=["HE"])[0] == {"A": {"HE"}}
    assert read("case,absent\nA,EX\nB,\n", absent=["HE"])[0] == {"A": {"EX"}, "B": {"HE"}}


def test_rows_that_name_no_photograph_are_counted(read):
    found, lines = read("case,absent\nA,EX\nC,EX\n")
    assert found == {"A": {"EX"}}
    assert lines[0].endswith("1 of 2 rows name no photograph here: C")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,absent\nC,EX\n", "names none of the photographs"),
        ("case,absent\n", "names none of the photographs"),
        ("case,absent\nA,MA\n", "no class 'MA'; expected some of HE, EX"),
        ("case,absent\nA,\n", "does not say what A shows none of"),
        ("case,absent\nA,EX\nA.png,HE\n", "names A.png twice"),
        ("case\nA\n", "expected the columns case and absent.*--absent says it for all"),
    ],
)
def test_what_does_not_say_which_is_refused(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)
