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

from collections.abc import Iterable
from pathlib import Path

from pipeline.evaluation.counting import REGIONS, PhotographCounts
from pipeline.evaluation.lesion_matching import LESION
from pipeline.evaluation.results import Result
from pipeline.evaluation.scores import PIXELS, SCORES, score
from pipeline.evaluation.tile_errors import TILE_COLUMNS, TILES, tile_rows
from records import write_table

LESION_COLUMNS = ("lesions", "lesions_found", "findings", "false_findings")


def write_tables(folder: Path, result: Result) -> None:
    """Writes `photographs.csv`, `lesions.csv` and `tiles.csv` into a folder."""
    photographs: list[Iterable[object]] = [["case", "class", "region", *SCORES, *PIXELS, *LESION_COLUMNS]]
    lesions: list[Iterable[object]] = [["case", "class", "kind", "number", *(LESION.names or ())]]
    tiles: list[Iterable[object]] = [TILE_COLUMNS]
    for photograph in result.photographs():
        photographs += _photograph_rows(photograph, result.classes)
        lesions += _lesion_rows(photograph, result.classes)
        tiles += tile_rows(photograph.case, photograph.tiles)
    write_table(folder / "photographs.csv", photographs)
    write_table(folder / "lesions.csv", lesions)
    write_table(folder / TILES, tiles)


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
