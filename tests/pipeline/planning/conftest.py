"""Sources of small eyes, and their fingerprints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configs import DataConfig
from pipeline.planning import Fingerprint, take_fingerprint
from records import classes_of_source, find_cases


@pytest.fixture(scope="session")
def fingerprint_of() -> Callable[..., Fingerprint]:
    """Takes the fingerprint of a source; measurements are kept beside it."""

    def take(source: Path, classes: tuple[str, ...] | None = None) -> Fingerprint:
        names = classes or classes_of_source(source)
        layout, cases = find_cases(source, names)
        kept = source.parent / f"{source.name}.json"
        return take_fingerprint(layout, cases, DataConfig(classes=names), kept=kept, workers=1)

    return take


@pytest.fixture(scope="session")
def eyes(write_eyes, fingerprint_of, tmp_path_factory) -> Fingerprint:
    """The fingerprint of twelve eyes: HE of 8 and 20 pixels in all, EX of 30 in two of them, SE in none."""
    source = tmp_path_factory.mktemp("eyes") / "source"
    few = [[30], [30], *([[]] * 10)]
    write_eyes(source, lesions={"HE": [[8, 20]] * 12, "EX": few, "SE": [[]] * 12})
    return fingerprint_of(source)
