"""Tables: `photographs.csv`, `lesions.csv` and `tiles.csv` (`pipeline.evaluation.tile_errors`).

`photographs.csv` has one row per photograph, class and region: `case`, `class`, `region`, the scores of
`pipeline.evaluation.scores` (blank where undefined), the counts of pixels, then `lesions`, `lesions_found`, `findings`
(detections) and `false_findings`, which are those of the whole frame in the rows of both regions. Of a class that is
unknown in the photograph everything is blank but the pixels, of which there are 0; of one that is known in parts of it,
everything is of these.

`lesions.csv` has one row per lesion or detection: `case`, `class`, `kind` (`lesion` or `finding`), `number` (from 1 in
its photograph, class and kind), then the fields of `pipeline.evaluation.lesion_matching.LESION`. Where a class is
unknown, there is neither (`pipeline.evaluation.lesion_matching`).
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from pipeline.evaluation.counting import REGIONS, PhotographCounts
from pipeline.evaluation.lesion_matching import LESION
from pipeline.evaluation.results import Result
from pipeline.evaluation.scores import PIXELS, SCORES, score
from pipeline.evaluation.tile_errors import TILES, tile_table
from records import write_text

LESION_COLUMNS = ("lesions", "lesions_found", "findings", "false_findings")


def write_tables(folder: Path, result: Result) -> None:
    """Writes `photographs.csv`, `lesions.csv` and `tiles.csv` into a folder."""
    photographs, lesions = io.StringIO(), io.StringIO()
    writers = [csv.writer(text, lineterminator="\n") for text in (photographs, lesions)]
    writers[0].writerow(["case", "class", "region", *SCORES, *PIXELS, *LESION_COLUMNS])
    writers[1].writerow(["case", "class", "kind", "number", *(LESION.names or ())])
    for photograph in result.photographs():
        writers[0].writerows(_photograph_rows(photograph, result.classes))
        writers[1].writerows(_lesion_rows(photograph, result.classes))
    write_text(folder / "photographs.csv", photographs.getvalue())
    write_text(folder / "lesions.csv", lesions.getvalue())
    write_text(folder / TILES, tile_table((one.case, one.tiles) for one in result.photographs()))


def _photograph_rows(photograph: PhotographCounts, classes: tuple[str, ...]) -> Iterable[list[object]]:
    for region in REGIONS:
        for name in classes:
            lesions, detections = photograph.lesions[name]["matched"], photograph.detections[name]["matched"]
            of_lesions: tuple[object, ...] = ("",) * len(LESION_COLUMNS)
            if photograph.knows(name):
                of_lesions = (len(lesions), int(lesions.sum()), len(detections), int((~detections).sum()))
            values = score(photograph.counts[region][name])
            numbers = ("" if values[key] is None else values[key] for key in (*SCORES, *PIXELS))
            yield [photograph.case, name, region, *numbers, *of_lesions]


def _lesion_rows(photograph: PhotographCounts, classes: tuple[str, ...]) -> Iterable[list[object]]:
    for name in classes:
        for kind, rows in (("lesion", photograph.lesions[name]), ("finding", photograph.detections[name])):
            for number, row in enumerate(rows.tolist(), start=1):
                numbers = [round(value, 4) if isinstance(value, float) else int(value) for value in row]
                yield [photograph.case, name, kind, number, *numbers]
