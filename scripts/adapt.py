"""Lets a model of an earlier version scale photographs by their field of view, and know its photographs again.

python -m scripts.adapt --model=MODEL --source=IDRID --output=OUT

SOURCE holds the photographs that the model was trained on. Models that `train` writes now need none of this.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path

from absl import flags

from configs import InputError
from pipeline.machine import usable_cores
from records import Case, find_cases, make_folder
from scripts.support import command
from scripts.support.photographs import with_bar

_MODEL = flags.DEFINE_string("model", None, "Model folder.", required=True)
_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and masks that it was trained on.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the new model folder.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a model in the output folder.")


def main(_: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    model, output = Path(_MODEL.value), Path(_OUTPUT.value)
    from pipeline.inference import SEGMENTER_FILE, adapt_spec, copy_network, identify_photographs, load_model, save_spec

    if (output / SEGMENTER_FILE).exists() and not _OVERWRITE.value:
        raise InputError(f"--output={output}: holds a model already; name another folder, or add --overwrite.")
    _, given = load_model(model)
    found = _find_cases(given)
    spec = given.recognizing(case.name for case in found)
    cases = _training_cases(spec, found)
    adapted = adapt_spec(spec, cases, workers=usable_cores(), progress=with_bar)
    adapted = identify_photographs(adapted, found, workers=usable_cores(), progress=with_bar)
    if make_folder(output, flag="--output").resolve() != model.resolve():
        copy_network(model, output)
    save_spec(output, adapted.as_anonymous_as(given))
    print(f"{len(cases)} photographs; was {spec.rule()}, is {adapted.rule()}")
    print(f"model: {output}    see: {output / SEGMENTER_FILE}")
    return command.DONE


def _find_cases(spec) -> list[Case]:
    source = Path(_SOURCE.value)
    return find_cases(
        source, spec.classes, colored=bool(spec.colors), allow_missing_masks=True, unite_masks=True, recursive=True
    )[1]


def _training_cases(spec, found: list[Case]) -> list[Case]:
    names = set(spec.splits.get("train", ()))
    cases = [case for case in found if case.name in names]
    if not cases:
        raise InputError(
            f"--source={_SOURCE.value}: has none of the {len(names)} photographs that the model was trained on, such "
            f"as {min(names, default='?')}; name the folder that it was sharded from."
        )
    return cases


if __name__ == "__main__":
    command.run(main)
