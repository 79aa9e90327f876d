"""Tables of hard negatives: what is written is read, and a row that is no box is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import InputError
from records.cases.hard_negatives import HardNegative, read_hard_negatives, write_hard_negatives

HEADS = "class,y,x,height,width,probability\n"
BOXES = st.builds(
    HardNegative,
    st.sampled_from(["HE", "EX", "cotton wool, soft"]),
    st.integers(0, 9999),
    st.integers(0, 9999),
    st.integers(1, 999),
    st.integers(1, 999),
    st.integers(0, 10000).map(lambda number: number / 10000),
)


@given(st.lists(BOXES, max_size=5))
def test_boxes_are_read_as_they_were_written_and_those_of_other_classes_left_out(tmp_path_factory, boxes):
    path = tmp_path_factory.mktemp("boxes") / "A.csv"
    write_hard_negatives(path, boxes)
    assert read_hard_negatives(path, ("HE", "EX", "cotton wool, soft")) == boxes
    assert read_hard_negatives(path, ("HE",)) == [box for box in boxes if box.name == "HE"]


def test_a_table_of_a_european_spreadsheet_is_read(tmp_path):
    path = tmp_path / "A.csv"
    path.write_text("Class;y;x;height;width;probability\nHE;1;2;3;4;0,75\n")
    assert read_hard_negatives(path, ["HE"]) == [HardNegative("HE", 1, 2, 3, 4, 0.75)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("HE,-1,0,1,1,0.5", "y is '-1'"),
        ("HE,0,1.5,1,1,0.5", "x is '1.5'"),
        ("HE,0,0,0,1,0.5", "height is '0'"),
        ("HE,0,0,1,,0.5", "width is ''"),
        ("HE,0,0,1,1,1.5", "probability is '1.5'"),
        ("HE,0,0,1,1,nan", "probability is 'nan'"),
        ("HE,0,0,1,1", "probability is ''"),
        (",0,0,1,1,0.5", "names no class"),
        ("HE,8,0,3,1,0.5", "rows 8 to 10 and columns 0 to 0 reach out of the photograph of 20x10 pixels"),
        ("HE,0,15,1,6,0.5", "columns 15 to 20"),
    ],
)
def test_a_row_that_is_no_box_is_named(tmp_path, row, message):
    path = tmp_path / "A.csv"
    path.write_text(f"{HEADS}HE,0,0,10,20,1\n{row}\n")
    with pytest.raises(InputError) as error:
        read_hard_negatives(path, ["HE"], size=(10, 20))
    assert str(error.value).startswith(f"{path}: row 3: ")
    assert message in str(error.value)


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "A.csv"
    path.write_text("class,y,x\nHE,1,2\n")
    with pytest.raises(InputError, match="expected the columns class and y and x and height"):
        read_hard_negatives(path, ["HE"])
