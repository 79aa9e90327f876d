"""Measures how fast the parts are, each relative to a bound that nothing can beat.

python -m scripts.benchmark shard --config=configs/seed_haemorrhages.py --source=IDRID --json=FILE
python -m scripts.benchmark input --config=configs/seed_haemorrhages.py --records=RECORDS --json=FILE
python -m scripts.benchmark train --config=configs/idrid_haemorrhages.py [--records=RECORDS] --json=FILE
python -m scripts.benchmark inference --config=configs/idrid_haemorrhages.py [--model=MODEL] [--source=IDRID]
python -m scripts.benchmark sizes --config=configs/idrid_lesions.py --model=pretrained/idrid_lesions --source=IDRID
python -m scripts.benchmark shifts --config=configs/idrid_lesions.py --model=pretrained/idrid_lesions --source=IDRID \
    [--split=validation] [--healthy=HEALTHY --absent=MA,HE,EX,SE] [--sheet=SHEET.png]
python -m scripts.benchmark fine_tuning --config=configs/idrid_lesions.py --model=MODEL --source=IDRID \
    --workdir=WORKDIR [--minutes=10] [--split=test]
python -m scripts.benchmark plans --config=PLAN.py --source=SOURCE --workdir=WORKDIR [--minutes=10]
python -m scripts.benchmark predict --config=configs/idrid_haemorrhages.py --model=MODEL --source=IDRID --json=FILE
python -m scripts.benchmark onnx --config=configs/idrid_lesions.py --model=MODEL [--source=IDRID]
python -m scripts.benchmark cluster --config=configs/idrid_lesions.py --source=IDRID [--model=MODEL]
python -m scripts.benchmark index --config=configs/idrid_lesions.py --records=RECORDS
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import importlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from absl import flags

from configs import InputError
from pipeline.interruption import StoppedError
from records import SPLITS, write_text
from scripts.support import command
from scripts.support import source as source_flags

# The sets of folders that each benchmark accepts; with fewer folders, fewer numbers are measured.
BENCHMARKS: dict[str, list[set[str]]] = {
    "shard": [{"source"}],
    "input": [{"records"}, {"source"}],
    "train": [{"records"}, set()],
    "inference": [{"model", "source"}, {"model"}, {"source"}, set()],
    "sizes": [{"model", "source"}],
    "shifts": [{"model", "source"}],
    "fine_tuning": [{"model", "source"}],
    "plans": [{"source"}],
    "predict": [{"model", "source"}],
    "onnx": [{"model", "source"}, {"model"}],
    "cluster": [{"model", "source"}, {"source"}],
    "index": [{"records"}],
}

_FOLDERS = {
    "source": flags.DEFINE_string("source", None, "Folder of photographs and masks."),
    "records": flags.DEFINE_string("records", None, "Folder that python -m scripts.shard wrote."),
    "model": flags.DEFINE_string("model", None, "Model folder, such as WORKDIR/model."),
}
_SPLIT = flags.DEFINE_enum(
    "split", "all", [*SPLITS, "all"], "shifts, fine_tuning: the photographs of --source, as the model lists them."
)
_SHEET = flags.DEFINE_string("sheet", None, "shifts: PNG file that shows one photograph under each shift.")
_MINUTES = flags.DEFINE_float("minutes", 10.0, "fine_tuning, plans: length of a training, minutes.", lower_bound=0.01)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "fine_tuning, plans: folder for the files; what is finished there is not done again."
)
_FURTHER = {
    "shifts": ("split", "healthy", "absent", "sheet"),
    "fine_tuning": ("split", "minutes", "workdir"),
    "plans": ("minutes", "workdir"),
}
_JSON = flags.DEFINE_string("json", None, "File for the numbers.")
source_flags.define_healthy_flags()
command.define_config()


def main(arguments: list[str]) -> int:
    """Runs one benchmark, prints its table, and writes its numbers."""
    if len(arguments) != 1 or arguments[0] not in BENCHMARKS:
        raise InputError(f"expected one benchmark of {', '.join(BENCHMARKS)}; received {' '.join(arguments)!r}.")
    name, config = arguments[0], command.config()
    folders, options = _folders(name), _options(name)
    _check_files()
    from scripts.benchmarks.measuring import machine

    benchmark = importlib.import_module(f"scripts.benchmarks.{name}")
    computer = machine()
    of = "".join(f" of {folder}" for folder in folders.values())
    print(f"benchmark {name}{of} on {computer['cores']} cores, {computer['memory_gb']} GB", flush=True)
    try:
        result = benchmark.measure(config, **folders, **options)
    except StoppedError as stopped:
        print("stopped; run the same command again to continue.", flush=True)
        return stopped.code
    print(result.title)
    for row in [result.columns, *result.rows]:
        print(f"{row[0]:34}" + "".join(f"{cell:>18}" for cell in row[1:]))
    for key, value in result.keys.items():
        print(f"{key}: {_text(value)}")
    if _JSON.value:
        content = {"benchmark": name, **result.keys, "table": [result.columns, *result.rows], "machine": computer}
        write_text(Path(_JSON.value), json.dumps(content, indent=2) + "\n")
        print(f"numbers: {_JSON.value}")
    return command.DONE


def _text(value: Any) -> str:
    """Formats a number, or the numbers of a dictionary by their names."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _folders(name: str) -> dict[str, Path]:
    """Returns the given folders by the names of their flags, if the benchmark accepts this set of them."""
    given = {flag: Path(folder.value) for flag, folder in _FOLDERS.items() if folder.value}
    if given.keys() not in BENCHMARKS[name]:
        accepted = " or ".join(_flags(folders) or "no folder" for folders in BENCHMARKS[name])
        raise InputError(f"benchmark {name} takes {accepted}; received {_flags(given.keys()) or 'none'}.")
    return given


def _options(name: str) -> dict[str, Any]:
    """Returns what the further flags of a benchmark say, which others do not accept."""
    accepted = _FURTHER.get(name, ())
    given = [flag for flag in sorted(set().union(*_FURTHER.values())) if flags.FLAGS[flag].present]
    if wrong := [flag for flag in given if flag not in accepted]:
        raise InputError(f"benchmark {name} takes no --{wrong[0]}; leave it out.")
    if "workdir" in accepted:
        if not _WORKDIR.value:
            raise InputError(f"benchmark {name} needs --workdir, a folder for its files.")
        options = {"minutes": _MINUTES.value, "workdir": Path(_WORKDIR.value)}
        return options | ({"split": _SPLIT.value} if "split" in accepted else {})
    if name == "shifts":
        healthy = source_flags.healthy()
        return {
            "split": _SPLIT.value,
            "healthy": healthy if healthy.healthy or healthy.absent else None,
            "sheet": Path(_SHEET.value) if _SHEET.value else None,
        }
    return {}


def _check_files() -> None:
    """Raises an InputError if a file that is written in the end, or a sheet, could not be."""
    for flag, file in (("json", _JSON.value), ("sheet", _SHEET.value)):
        if file and not Path(file).parent.is_dir():
            raise InputError(f"--{flag}={file}: there is no folder {Path(file).parent}; create it first.")
    if _SHEET.value and Path(_SHEET.value).suffix != ".png":
        raise InputError(f"--sheet={_SHEET.value}: expected a name that ends in .png.")


def _flags(names: Collection[str]) -> str:
    return " and ".join(f"--{flag}" for flag in _FOLDERS if flag in names)


if __name__ == "__main__":
    command.run(main, arguments="the name of a benchmark")
