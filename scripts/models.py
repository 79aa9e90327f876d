"""Compares the networks: parameters, multiply-adds, memory and time for one tile.

python -m scripts.models                              every network with its default options
python -m scripts.models --config=configs/demo.py     the configured network, with its options
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
    from pipeline.inspection import NetworkCost

TILE = 512
DRAWING_SUFFIXES = (".png", ".svg", ".pdf")

_NETWORK = flags.DEFINE_string("network", None, "Only this network; with --config, with the options that it has there.")
_TILE = flags.DEFINE_integer(
    "tile", None, f"Side of the tile, pixels; default: data.tile of --config, or {TILE}.", lower_bound=1
)
_FAST = flags.DEFINE_bool("fast", False, "Count only; do not measure times.")
_PLOT = flags.DEFINE_string("plot", None, "File (.png, .svg, .pdf) for a diagram of the network; needs a single one.")
_JSON = flags.DEFINE_string("json", None, "File for the numbers.")
command.define_config(required=False)


def main(_: list[str]) -> int:
    """Measures the networks one after the other, prints a line for each, and writes the requested files."""
    config = command.config() if flags.FLAGS.config is not None else None
    _check_files(config)
    from models import NETWORKS
    from pipeline.inspection import network_cost
    from scripts.benchmarks.measuring import machine

    classes = len(config.data.classes) if config else 1
    tile = _TILE.value or (config.data.tile if config else TILE)
    models, computer = _models(config, list(NETWORKS)), machine()
    costs = {}
    for model in models:
        costs[model.network] = network_cost(model, classes, tile, timed=not _FAST.value)
        if len(costs) == 1:  # only now, so that a refused network prints nothing else
            _print_head(tile, classes, computer)
        _print_row(model.network, costs[model.network], tile)
    if _JSON.value:
        numbers = {name: dataclasses.asdict(cost) for name, cost in costs.items()}
        content = {"benchmark": "models", "classes": classes, "networks": numbers, "machine": computer}
        write_text(Path(_JSON.value), json.dumps(content, indent=2) + "\n")
        print(f"numbers: {_JSON.value}")
    if _PLOT.value:
        _draw(models[0], classes, costs[models[0].network].tile)
    return command.DONE


def _check_files(config: Config | None) -> None:
    if _PLOT.value and (config is None and _NETWORK.value is None):
        raise InputError(f"--plot={_PLOT.value}: draws a single network; name it with --network, or give a --config.")
    if _PLOT.value and Path(_PLOT.value).suffix not in DRAWING_SUFFIXES:
        raise InputError(f"--plot={_PLOT.value}: expected a name that ends in {', '.join(DRAWING_SUFFIXES)}.")
    for flag, file in (("plot", _PLOT.value), ("json", _JSON.value)):
        if file and not Path(file).parent.is_dir():
            raise InputError(f"--{flag}={file}: there is no folder {Path(file).parent}; create it first.")


def _models(config: Config | None, names: list[str]) -> list[ModelConfig]:
    """Returns the networks to measure: the configured one, the named one, or all of `names`."""
    if config:
        return [dataclasses.replace(config.model, network=_NETWORK.value or config.model.network)]
    return [ModelConfig(network=name) for name in ([_NETWORK.value] if _NETWORK.value else names)]


def _print_head(tile: int, classes: int, computer: dict[str, object]) -> None:
    times = "no times" if _FAST.value else f"times in seconds on {computer['cores']} cores, {computer['memory_gb']} GB"
    print(f"one tile of {tile} pixels, {classes} {'class' if classes == 1 else 'classes'}, float32; {times}")
    columns = ["parameters", "stride", "GMAC", "activations MB", *([] if _FAST.value else ["forward s", "training s"])]
    print(f"{'network':18}" + "".join(f"{name:>16}" for name in columns), flush=True)


def _print_row(name: str, cost: "NetworkCost", tile: int) -> None:
    cells = [f"{cost.parameters:,}", str(cost.stride), f"{cost.gmac:.2f}", f"{cost.activation_mb:.0f}"]
    cells += [f"{time:.3f}" for time in (cost.forward_seconds, cost.training_seconds) if time is not None]
    note = "" if cost.tile == tile else f"  (for {cost.tile}: its stride does not divide {tile})"
    print(f"{name:18}" + "".join(f"{cell:>16}" for cell in cells) + note, flush=True)


def _draw(model: ModelConfig, classes: int, tile: int) -> None:
    from models import build_network
    from pipeline.inspection import draw_network

    with complete_file(Path(_PLOT.value)) as temporary:
        draw_network(build_network(model, classes), tile).savefig(temporary)
    print(f"drawing: {_PLOT.value}")


if __name__ == "__main__":
    command.run(main)
