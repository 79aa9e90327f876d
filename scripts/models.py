"""The networks beside each other: parameters, multiplications, memory and time for one tile.

python -m scripts.models                              every network with its default options
python -m scripts.models --config=configs/demo.py     the configured one, with its options
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from configs import Config, InputError, ModelConfig
from records import complete_file, write_text
from scripts.support import command

if TYPE_CHECKING:
    from scripts.benchmarks.networks import Cost

TILE = 512
PICTURES = (".png", ".svg", ".pdf")

_NETWORK = flags.DEFINE_string(
    "network", None, "This network alone; with --config, with the options that it has there."
)
_TILE = flags.DEFINE_integer(
    "tile", None, f"Side of the tile, pixels; else data.tile of --config, or {TILE}.", lower_bound=1
)
_FAST = flags.DEFINE_bool("fast", False, "Count only; measure no times.")
_PLOT = flags.DEFINE_string("plot", None, "File (.png, .svg, .pdf) for a drawing of the network; one network alone.")
_JSON = flags.DEFINE_string("json", None, "File for the numbers.")
command.define_config(required=False)


def main(_: list[str]) -> int:
    config = command.config() if flags.FLAGS.config is not None else None
    if _PLOT.value and (config is None and _NETWORK.value is None):
        raise InputError(f"--plot={_PLOT.value}: draws one network; name it with --network, or give a --config.")
    if _PLOT.value and Path(_PLOT.value).suffix not in PICTURES:
        raise InputError(f"--plot={_PLOT.value}: expected a name that ends in {', '.join(PICTURES)}.")
    for flag, file in (("plot", _PLOT.value), ("json", _JSON.value)):
        if file and not Path(file).parent.is_dir():
            raise InputError(f"--{flag}={file}: no folder {Path(file).parent}; make it first.")
    with command.quiet_start():
        from models import NETWORKS, build_network
        from scripts.benchmarks import networks as benchmark
        from scripts.benchmarks.measuring import machine

    classes = len(config.data.classes) if config else 1
    tile = _TILE.value or (config.data.tile if config else TILE)
    models, about = _models(config, list(NETWORKS)), machine()
    costs = {}
    for model in models:
        costs[model.network] = benchmark.measure(model, classes, tile, fast=_FAST.value)
        if len(costs) == 1:
            _print_head(tile, classes, about)
        _print_row(model.network, costs[model.network], tile)
    if _JSON.value:
        numbers = {name: dataclasses.asdict(cost) for name, cost in costs.items()}
        content = {"benchmark": "models", "classes": classes, "networks": numbers, "machine": about}
        write_text(Path(_JSON.value), json.dumps(content, indent=2) + "\n")
        print(f"numbers: {_JSON.value}")
    if _PLOT.value:
        from pipeline.inspection.network_diagram import draw_network

        network = build_network(models[0], classes)
        with complete_file(Path(_PLOT.value)) as temporary:
            draw_network(network, costs[models[0].network].tile).savefig(temporary)
        print(f"drawing: {_PLOT.value}")
    return command.DONE


def _models(config: Config | None, names: list[str]) -> list[ModelConfig]:
    """The networks to measure: the configured one, the named one, or all of `names`."""
    if config:
        return [dataclasses.replace(config.model, network=_NETWORK.value or config.model.network)]
    return [ModelConfig(network=name) for name in ([_NETWORK.value] if _NETWORK.value else names)]


def _print_head(tile: int, classes: int, about: dict[str, object]) -> None:
    times = "no times" if _FAST.value else f"times in seconds on {about['cores']} cores, {about['memory_gb']} GB"
    print(f"one tile of {tile} pixels, {classes} {'class' if classes == 1 else 'classes'}, float32; {times}")
    columns = ["parameters", "stride", "GMAC", "activations MB", *([] if _FAST.value else ["forward s", "training s"])]
    print(f"{'network':18}" + "".join(f"{name:>16}" for name in columns), flush=True)


def _print_row(name: str, cost: "Cost", tile: int) -> None:
    cells = [f"{cost.parameters:,}", str(cost.stride), f"{cost.gmac:.2f}", f"{cost.activation_mb:.0f}"]
    cells += [f"{time:.3f}" for time in (cost.forward_seconds, cost.training_seconds) if time is not None]
    note = "" if cost.tile == tile else f"  (on {cost.tile}: its stride does not divide {tile})"
    print(f"{name:18}" + "".join(f"{cell:>16}" for cell in cells) + note, flush=True)


if __name__ == "__main__":
    command.run(main)
