"""Patients and splits are read from tables as people write them, and cases are known by their names."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import InputError
from records.cases import Case, read_patients, read_splits

CASES = [Case(name, Path(f"{name}.jpg"), {}, split) for name, split in (("a", "train"), ("b", "train"), ("c", "test"))]
PATIENTS = {"a": "Ö 1", "b": "Ö 1", "c": None}


def patients(path: Path, cases: list[Case] = CASES, **options: object) -> tuple[dict[str, str | None], list[str]]:
    """Returns the patient of each case, and the warnings."""
    lines: list[str] = []
    known = read_patients(path, cases, warn=lines.append, **options)
    assert [(case.name, case.split) for case in known] == [(case.name, case.split) for case in cases]
    return {case.name: case.patient for case in known}, lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_same_patients_are_read_in_every_encoding_and_with_every_delimiter(tmp_path, encoding, delimiter):
    text = "side,case,patient\nleft,b,Ö 1\nright,a,Ö 1\n".replace(",", delimiter)
    (tmp_path / "patients.csv").write_bytes(text.encode(encoding))
    found, lines = patients(tmp_path / "patients.csv")
    assert found == PATIENTS
    assert len(lines) == 1 and "1 of 3 photographs have none" in lines[0] and lines[0].endswith(": c")


@pytest.mark.parametrize(
    "text",
    [
        "Case,PATIENT\na,Ö 1\nb,Ö 1\n",
        "\n\n Case , Patient \n\n a , Ö 1 \n,\nb,Ö 1  \n\n",
        'case,patient\n"a","Ö 1"\n"b", "Ö 1"\n',
        "case,patient\na.jpg,Ö 1\nb.TIFF,Ö 1\n",
        "case,patient\na,O\u0308 1\nb,\u00d6 1\n",
        "sep=;\ncase;patient\na;Ö 1\nb;Ö 1\n",
        "case,patient,note\na,Ö 1\nb,Ö 1,left\nc\n",
        "case,patient\r\na,Ö 1\r\nb,Ö 1\r\nc,\r\n",
        "case,patient\na,Ö 1\na,Ö 1\nb,Ö 1",
    ],
)
def test_capitals_spaces_blank_rows_suffixes_and_accents_make_no_difference(tmp_path, text):
    (tmp_path / "patients.csv").write_text(text, encoding="utf-8", newline="")
    assert patients(tmp_path / "patients.csv")[0] == PATIENTS


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    spaces=st.lists(st.sampled_from(["", " ", "  ", "\u00a0"]), min_size=4, max_size=4),
    suffix=st.sampled_from(["", ".jpg", ".JPE", ".tif ", ".dcm"]),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8-sig", "utf-16", "cp1252"]),
    end=st.sampled_from(["\n", "\r\n", "\n\n", "\r\n;;\r\n"]),
)
def test_eyes_of_one_patient_stay_together_however_the_table_is_written(
    tmp_path_factory, spaces, suffix, delimiter, encoding, end
):
    before, after, left, right = spaces
    rows = [("case", "patient"), (f"a{suffix}{before}", f"{left}p1"), (f"{after}b", f"p1{right}")]
    path = tmp_path_factory.mktemp("table") / "patients.csv"
    path.write_bytes("".join(delimiter.join(row) + end.replace(";", delimiter) for row in rows).encode(encoding))
    assert patients(path)[0] == {"a": "p1", "b": "p1", "c": None}


def test_rows_of_unknown_cases_are_a_warning_with_their_number_and_examples(tmp_path):
    rows = [f"x{number},1" for number in range(12)]
    (tmp_path / "patients.csv").write_text("case,patient\na,1\nb,1\nc,2\n" + "\n".join(rows))
    found, (line,) = patients(tmp_path / "patients.csv")
    assert found == {"a": "1", "b": "1", "c": "2"}
    assert "12 of 15 rows name no photograph here: x0, x1" in line and line.endswith("x9 and 2 more")
    left_out = [f"x{number}" for number in range(12)]
    assert patients(tmp_path / "patients.csv", left_out=left_out)[1] == []


def test_a_case_whose_own_name_ends_like_a_file_is_found_by_it(tmp_path):
    cases = [Case(name, Path(f"{name}.png"), {}, "train") for name in ("scan", "scan.jpg")]
    (tmp_path / "patients.csv").write_text("case,patient\nscan.jpg,2\nscan,1\n")
    assert patients(tmp_path / "patients.csv", cases)[0] == {"scan": "1", "scan.jpg": "2"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"case:patient\na:1\n", "expected the columns case and patient; it has 'case:patient'"),
        (b"", "expected the columns case and patient"),
        (
            b"case,patient\na,1\nb,1,2\n",
            "the row that begins with 'b' has 3 values for 2 columns; put values that hold ',' in double",
        ),
        (b"case,patient\nz,1\n", "none of its 1 rows names a photograph; it has cases such as 'z'"),
        (b"case,patient\na,1\na,2\n", "'a' needs exactly one patient; it has '1' and '2'"),
        (b"case,patient\na,1\na.jpg,2\n", "'a.jpg' needs exactly one patient; it has '1' and '2'"),
        (b"case,patient\na,1\nc,1\n", "patient '1' has a in train and c in test"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"PK\x03\x04 case,patient", "a workbook of Excel"),
        (b"case,patient\0\0\0", "cannot be read (not a text)"),
        (None, "cannot be read"),
    ],
)
def test_an_invalid_list_of_patients_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "patients.csv").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_patients(tmp_path / "patients.csv", CASES)
    assert message in str(error.value) and "patients.csv" in str(error.value) and "\n" not in str(error.value)


def test_splits_are_read_by_case_and_unlisted_cases_are_left_out(tmp_path):
    (tmp_path / "splits.csv").write_text("case;note;Split\nc;own test part;Train\na.png;;test\n")
    assert [(case.name, case.split) for case in read_splits(tmp_path / "splits.csv", CASES)] == [
        ("a", "test"),
        ("c", "train"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("case,patient\na,1\n", "expected the columns case and split"),
        ("case,split\nz,train\n", "none of its 1 rows names a photograph"),
        ("case,split\na,train\na,test\n", "'a' needs exactly one split; it has 'train' and 'test'"),
        ("case,split\na,valid\n", "'a' has the split 'valid'; expected train, validation, test"),
        ("case,split\na\n", "'a' has the split ''"),
        ("case,split\n", "lists no case"),
        (None, "cannot be read"),
    ],
)
def test_an_invalid_list_of_splits_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "splits.csv").write_text(content)
    with pytest.raises(InputError) as error:
        read_splits(tmp_path / "splits.csv", CASES)
    assert message in str(error.value) and "--splits=" in str(error.value) and "\n" not in str(error.value)
