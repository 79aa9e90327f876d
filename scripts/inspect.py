"""Shows what training gets: all augmentations and the first elements, or any element or step of the training stream.

python -m scripts.inspect --config=configs/idrid_haemorrhages.py --records=RECORDS --output=OUT
python -m scripts.inspect --config=RUN/config.json --records=RECORDS --output=OUT --step=K
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from configs import Config, InputError
from records import make_folder, write_png, write_text
from scripts.support import command

FIRST_ELEMENTS = 12
MAX_INDEX = 10**12  # more than any training sees; the stream counts in 64 bits

_RECORDS = flags.DEFINE_multi_string(
    "records", None, "Folder that python -m scripts.shard wrote; repeat the flag to mix several sets.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the images and JSON files.", required=True)
_ELEMENT = flags.DEFINE_integer(
    "element", None, "Show this element of the training stream, counted from 0.", lower_bound=0, upper_bound=MAX_INDEX
)
_STEP = flags.DEFINE_integer(
    "step",
    None,
    "Show the batch of this step, counted from 0 through all epochs: (epoch - 1) * steps per epoch + step - 1.",
    lower_bound=0,
    upper_bound=MAX_INDEX,
)
command.define_config()


class _Selection(NamedTuple):
    """What to show: the name of the output files, and the first and the number of the elements."""

    name: str
    first: int
    number: int


def main(_: list[str]) -> int:
    """Writes the contact sheets and the metadata, and prints the metadata as a table."""
    config = command.config()
    selected = _selection(config)
    from pipeline import inspection
    from pipeline.input import naming_damaged_shards, open_records

    sets = open_records([Path(folder) for folder in _RECORDS.value], config)
    output, files = Path(_OUTPUT.value), []
    with naming_damaged_shards(sets):
        elements = list(inspection.read_elements(sets, config, selected.first, number=selected.number))
        make_folder(output, flag="--output")
        print(f"{_describe(selected)} of the training stream → {output}", flush=True)
        if _ELEMENT.value is None and _STEP.value is None:
            files.append(output / "augmentations.png")
            write_png(files[-1], inspection.draw_extremes(inspection.extremes(sets, config), config))
    files += [output / f"{selected.name}.png", output / f"{selected.name}.json"]
    one = _ELEMENT.value is not None
    sheet = inspection.draw_element(elements[0], config) if one else inspection.draw_elements(elements, config)
    write_png(files[-2], sheet)
    metadata = [element.metadata() for element in elements]
    write_text(files[-1], json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")
    _print_table(metadata)
    print(f"see: {', '.join(map(str, files))}")
    return command.DONE


def _selection(config: Config) -> _Selection:
    if _ELEMENT.value is not None and _STEP.value is not None:
        raise InputError(f"--element={_ELEMENT.value} and --step={_STEP.value}: give only one of them.")
    if _ELEMENT.value is not None:
        return _Selection(f"element_{_ELEMENT.value}", _ELEMENT.value, 1)
    if _STEP.value is not None:
        size = config.train.batch_size
        return _Selection(f"step_{_STEP.value}", _STEP.value * size, size)
    return _Selection("draws", 0, FIRST_ELEMENTS)


def _describe(selected: _Selection) -> str:
    if selected.number == 1:
        return f"element {selected.first}"
    return f"elements {selected.first} to {selected.first + selected.number - 1}"


def _print_table(metadata: Sequence[dict[str, Any]]) -> None:
    names = [name for name in metadata[0] if name != "draws"]
    rows = [names, *([str(row[name]) for name in names] for row in metadata)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    command.run(main)
