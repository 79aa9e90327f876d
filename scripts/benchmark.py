"""How fast the parts are, each against the bound that nothing could beat.

python -m scripts.benchmark shard --config=configs/seed_haemorrhages.py --source=IDRID --json=FILE
python -m scripts.benchmark train --config=configs/idrid_haemorrhages.py --json=FILE
"""

import importlib
import json
from pathlib import Path

from absl import flags

from configs import InputError
from records import write_text
from scripts import command

BENCHMARKS = ("shard", "train")
OF_A_SOURCE = ("shard",)

_SOURCE = flags.DEFINE_string("source", None, f"Folder of photographs and masks, for {', '.join(OF_A_SOURCE)}.")
_JSON = flags.DEFINE_string("json", None, "File for the numbers.")
command.define_config()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in BENCHMARKS:
        raise InputError(f"name one benchmark of {', '.join(BENCHMARKS)}; received {' '.join(arguments)!r}.")
    chosen = arguments[0]
    if (chosen in OF_A_SOURCE) != (_SOURCE.value is not None):
        raise InputError(f"benchmark {chosen} takes {'a' if chosen in OF_A_SOURCE else 'no'} --source.")
    config = command.config()
    with command.quiet_start():
        from scripts.benchmarks.measuring import machine

        benchmark = importlib.import_module(f"scripts.benchmarks.{chosen}")
    about = machine()
    of = f" of {_SOURCE.value}" if _SOURCE.value else ""
    print(f"benchmark {chosen}{of} on {about['cores']} cores, {about['memory_gb']} GB", flush=True)
    result = benchmark.measure(config, Path(_SOURCE.value)) if _SOURCE.value else benchmark.measure(config)
    print(result.title)
    for row in [result.columns, *result.rows]:
        print(f"{row[0]:34}" + "".join(f"{cell:>18}" for cell in row[1:]))
    for name, value in result.keys.items():
        print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
    if _JSON.value:
        content = {"benchmark": chosen, **result.keys, "table": [result.columns, *result.rows], "machine": about}
        write_text(Path(_JSON.value), json.dumps(content, indent=2) + "\n")
        print(f"numbers: {_JSON.value}")
    return command.DONE


if __name__ == "__main__":
    command.run(main, arguments="the name of a benchmark")
