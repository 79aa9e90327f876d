"""What training sees: a sheet of the augmentations and of the first elements, or any place of its stream.

python -m scripts.inspect --config=configs/idrid_haemorrhages.py --records=RECORDS --output=OUT
python -m scripts.inspect --config=RUN/config.json --records=RECORDS --output=OUT --step=K
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import json
from pathlib import Path

from absl import flags

from configs import InputError
from records import make_folder, write_png, write_text
from scripts.support import command

FULL_DRAWS = 12
MOST = 10**12  # more than any training sees; the stream counts in 64 bits

_RECORDS = flags.DEFINE_multi_string(
    "records", None, "Folder that python -m scripts.shard wrote; given again, the sets are mixed.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the pictures.", required=True)
_ELEMENT = flags.DEFINE_integer(
    "element", None, "Show this element of the training stream, counted from 0.", lower_bound=0, upper_bound=MOST
)
_STEP = flags.DEFINE_integer(
    "step",
    None,
    "Show the batch of this step, counted from 0 through all epochs: (epoch - 1) * steps an epoch + step - 1.",
    lower_bound=0,
    upper_bound=MOST,
)
command.define_config()


def main(_: list[str]) -> int:
    if _ELEMENT.value is not None and _STEP.value is not None:
        raise InputError(f"--element={_ELEMENT.value} and --step={_STEP.value}: one place at a time; leave one out.")
    config = command.config()
    with command.quiet_start():
        from pipeline.input.reading import damage_named, open_records
        from pipeline.inspection import elements, sheets

        sets = open_records([Path(folder) for folder in _RECORDS.value], config)
    output = Path(_OUTPUT.value)
    if _ELEMENT.value is not None:
        name, first, number = f"element_{_ELEMENT.value}", _ELEMENT.value, 1
    elif _STEP.value is not None:
        name, first, number = f"step_{_STEP.value}", _STEP.value * config.train.batch_size, config.train.batch_size
    else:
        name, first, number = "draws", 0, FULL_DRAWS
    with damage_named(sets):
        shown = list(elements.read_elements(sets, config, first, number=number))
        make_folder(output, flag="--output")
        places = f"element {first}" if number == 1 else f"elements {first} to {first + number - 1}"
        print(f"{places} of the training stream → {output}", flush=True)
        if name == "draws":
            groups = elements.extremes(sets, config)
            write_png(output / "augmentations.png", sheets.draw_extremes(groups, config))
    if _ELEMENT.value is None:
        write_png(output / f"{name}.png", sheets.draw_elements(shown, config))
    else:
        write_png(output / f"{name}.png", sheets.draw_element(shown[0], config))
    facts = [element.facts() for element in shown]
    write_text(output / f"{name}.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    _print_table(facts)
    looks = [output / "augmentations.png"] * (name == "draws") + [output / f"{name}.png", output / f"{name}.json"]
    print(f"look: {', '.join(map(str, looks))}")
    return command.DONE


def _print_table(facts) -> None:
    names = [name for name in facts[0] if name != "draws"]
    rows = [names, *([str(row[name]) for name in names] for row in facts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    command.run(main)
