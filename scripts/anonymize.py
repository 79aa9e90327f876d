"""Copies a model folder without names of photographs: salted digests take their place, by which leaks are still found.

python -m scripts.anonymize --model=MODEL --output=CLEAN
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path

from absl import flags

from configs import InputError
from records import make_folder, new_salt
from scripts.support import command

_MODEL = flags.DEFINE_string("model", None, "Model folder.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Another folder, for the anonymous model folder.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a model in the output folder.")


def main(_: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    model, output = Path(_MODEL.value), Path(_OUTPUT.value)
    from pipeline.inference import LOAD_FILE, NETWORK_FILE, SEGMENTER_FILE, copy_network, load_model, save_spec

    if output.resolve() == model.resolve():
        raise InputError(f"--output={output}: is the model folder itself; name another one, so that none is lost.")
    if (output / SEGMENTER_FILE).exists() and not _OVERWRITE.value:
        raise InputError(f"--output={output}: holds a model already; name another folder, or add --overwrite.")
    _, spec = load_model(model)
    make_folder(output, flag="--output")
    copy_network(model, output)
    save_spec(output, spec.anonymized(new_salt()))
    counts = [f"{len(names)} {use}" for use, names in [*spec.splits.items(), *spec.uses.items()] if names]
    print(f"names replaced by digests: {', '.join(dict.fromkeys(counts)) or 'none, as the folder lists none'}")
    left = sorted(path.name for path in model.iterdir() if path.name not in (LOAD_FILE, NETWORK_FILE, SEGMENTER_FILE))
    if left:
        print(f"not copied, as nothing is known of what is in them: {', '.join(left)}")
    print(f"model: {output}    see: {output / SEGMENTER_FILE}")
    return command.DONE


if __name__ == "__main__":
    command.run(main)
