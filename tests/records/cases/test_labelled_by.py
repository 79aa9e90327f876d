"""Which models labelled a source: read as it was written, and refused where it is not finished or damaged."""

import dataclasses
import json

import pytest

from configs import InputError
from records.cases.identity import PhotographIdentity
from records.cases.labelled_by import LabelledBy, read_labelled_by
from records.cases.seen import SeenPhotographs

KNOWN = LabelledBy(
    ("0123", "4567"), SeenPhotographs(("A",), (PhotographIdentity("A", "sha", "0f"),)), SeenPhotographs(("B",))
)


@pytest.fixture
def write(tmp_path):
    """Writes the `pseudolabels.json` of a source."""

    def source(**changes):
        content = {"finished": True, "settings": {"soft": False}, "labelled_by": dataclasses.asdict(KNOWN), **changes}
        (tmp_path / "pseudolabels.json").write_text(json.dumps(content))
        return tmp_path

    return source


def test_it_is_read_as_it_was_written(write, tmp_path):
    assert read_labelled_by(tmp_path, soft=False) is None
    assert read_labelled_by(write(), soft=False) == KNOWN
    assert read_labelled_by(write(settings={"soft": True}), soft=True) == KNOWN


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finished": False}, "pseudolabel has not finished there"),
        ({"settings": {"soft": True}}, "its masks are soft labels of a model"),
        ({"labelled_by": {"models": []}}, "damaged"),
        ({"settings": None}, "damaged"),
    ],
)
def test_it_is_refused_if_it_is_not_finished_or_damaged_or_to_be_read_otherwise(write, changes, message):
    with pytest.raises(InputError, match=message):
        read_labelled_by(write(**changes), soft=False)
