"""Serves a page on this machine to look at photographs and what a model finds in them, and to correct it.

python -m scripts.view --model=pretrained/idrid_lesions [FOLDER]

With --output=SOURCE corrections are saved as masks that shard and train read, and the page can train on them; --config
is then the config that the model was trained with, if it does not lie beside it. Ctrl-C ends it.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import dataclasses
import signal
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from configs import InputError
from records import claimed_output, photographs_of
from scripts.support import camera, command, limits, members, operating
from scripts.support.photographs import say
from scripts.support.training_on import train_on

if TYPE_CHECKING:
    from pipeline.inference import SegmenterSpec, TiledSegmenter
    from pipeline.prediction import SegmenterPool
    from pipeline.viewer import Page, ViewedModel

_MODEL = flags.DEFINE_multi_string(
    "model", None, "Model folder, such as WORKDIR/model; repeat the flag to average several models.", required=True
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Source in which corrections are saved: images/, masks/CLASS/, labels.csv; default: none are made."
)
_RECURSIVE = flags.DEFINE_bool(
    "recursive", False, "Search the folders below, too: FOLDER/001/left.jpg is called 001_left."
)
_ADDRESS = flags.DEFINE_string(
    "address", "127.0.0.1", "Address to listen on; any but this machine's own needs the token that is printed."
)
_PORT = flags.DEFINE_integer("port", 0, "Port to listen on; 0: a free one.", lower_bound=0, upper_bound=65535)
_OPEN = flags.DEFINE_bool("open", False, "Open the page in the browser.")
_KEEP = flags.DEFINE_bool("keep", False, "Keep dropped photographs and probability maps at the end.")
_UNCERTAINTY = flags.DEFINE_enum(
    "uncertainty",
    None,
    ["members", "orientations", "both"],
    "Also show how sure the model is: the spread of its probabilities, see predict (eight times the time).",
)
operating.define_flags()
members.define_flags()
camera.define_flags()
limits.define_flags()
command.define_config(required=False)


def main(arguments: list[str]) -> int:
    """Serves the page until it is stopped."""
    photographs = _photographs(arguments)
    if _OUTPUT.value is None:
        return _serve(photographs, None)
    with claimed_output(Path(_OUTPUT.value), flag="--output") as make_output:
        return _serve(photographs, make_output)


def _serve(photographs: dict[str, Path], make_output: Callable[[], Path] | None) -> int:
    config = None if flags.FLAGS.config is None else command.config()
    model = _described([Path(one) for one in members.folders(_MODEL.value, flag="--model")])
    from pipeline.viewer import Corrections, PageSettings, opened_page

    corrections = None
    if make_output is not None:
        spec = model.spec
        corrections = Corrections(make_output(), spec.classes, max_pixels=spec.max_pixels, model=model.fingerprint)
    with opened_page(
        photographs,
        model,
        PageSettings(_ADDRESS.value, _PORT.value, keep=_KEEP.value, with_spread=_UNCERTAINTY.value is not None),
        corrections=corrections,
        train_on=train_on(model, config, open_model=lambda folder: _described([folder])),
    ) as page:
        _say_where(page, len(photographs))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: page.stop())
        page.wait()
        print("ending once the photograph is segmented and a training has saved its work.", flush=True)
    if _KEEP.value:
        print(f"kept: {page.folder}")
    return command.DONE


def _described(models: list[Path]) -> "ViewedModel":
    """Returns the model of a folder, or of several that are averaged, without loading it."""
    known = camera.given()
    from pipeline.inference import fingerprint_of_all, load_together
    from pipeline.operating_point import parse_operating_point
    from pipeline.prediction import SegmenterPool, all_devices
    from pipeline.viewer import ViewedModel

    average, spec = members.average(), _spec(models)

    def load_one() -> "TiledSegmenter":
        one = load_together(models, average=average, classes=None, camera=known, max_pixels=limits.max_pixels())
        return one.with_uncertainty(_UNCERTAINTY.value)

    def load() -> "SegmenterPool":
        return SegmenterPool(load_one, all_devices()[:1], say=say)

    point = parse_operating_point(**operating.given(), classes=spec.classes, default=spec.operating_point)
    fingerprint = fingerprint_of_all(models, spec.classes, average=average)
    return ViewedModel(tuple(models), spec, point, fingerprint, load)


def _photographs(arguments: list[str]) -> dict[str, Path]:
    """Returns the photographs of the folder that is named, without links that lead out of it."""
    if not arguments:
        return {}
    if len(arguments) > 1:
        raise InputError(f"expected one folder; received {', '.join(arguments)}.")
    folder = Path(arguments[0])
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder.")
    root = folder / "images" if (folder / "images").is_dir() else folder
    skip = None if _OUTPUT.value is None or Path(_OUTPUT.value).resolve() == folder.resolve() else Path(_OUTPUT.value)
    found = photographs_of([str(root)], recursive=_RECURSIVE.value, skip=skip)
    inside = {name: path for name, path in found.items() if path.resolve().is_relative_to(root.resolve())}
    if outside := [name for name in found if name not in inside]:
        say(f"warning: {len(outside)} links lead out of {root} and are left out, such as {outside[0]}")
    return inside


def _spec(models: list[Path]) -> "SegmenterSpec":
    """Returns the spec of the model or of all models, without loading them, so that the page opens at once."""
    from pipeline.inference import member_specs, merge_specs, spec_of

    one = len(models) == 1
    spec = spec_of(models[0], flag="--model") if one else merge_specs(member_specs(models, flag="--model"))
    most = limits.max_pixels()
    return spec if most is None else dataclasses.replace(spec, max_pixels=most)


def _say_where(page: "Page", number: int) -> None:
    print(f"{number} photographs; open: {page.url}    Ctrl-C ends", flush=True)
    if _OPEN.value:
        webbrowser.open(page.url)


if __name__ == "__main__":
    command.run(main, arguments="a folder of photographs", optional=True)
