"""Rules for the network and for the weights that it starts from."""

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path

from configs import ModelConfig
from configs.idrid_lesions import get_config as get_idrid_lesions
from pipeline.inference import SEGMENTER_FILE, SegmenterSpec, read_spec
from pipeline.planning.choice import Choice
from pipeline.planning.fingerprint import ClassFacts, Fingerprint
from pipeline.planning.networks import AUTO
from pipeline.planning.scale_rules import widest_field
from records import Camera, PhotographIdentity, SeenPhotographs

ROOT = Path(__file__).parents[2]
PRETRAINED = Path("pretrained/idrid_lesions")  # made by configs/idrid_lesions.py
WIDE, NARROW = (64, 128, 160, 256), (32, 64, 96, 128)
PIXELS_PER_PARAMETER = 5.0  # below this, the narrow network is planned
WIDE_PARAMETERS = 2.6e6  # of the wide network, in round numbers
RARE = 0.003  # fraction of the pixels below which a class needs a prior
PRIOR = 0.01
MOST_ENLARGED = 3.0  # times by which photographs would have to be enlarged to be as the pretrained model knows them


@dataclasses.dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
      folder: model folder with the initial weights, as a config names it; None: random weights.
      spec: the description of that model.
      reason: why.
    """

    folder: str | None
    spec: SegmenterSpec | None
    reason: str


def choose_start(fingerprint: Fingerprint, classes: Sequence[str], *, network: str, degrees: float) -> Start:
    """Chooses `train.initial_model`: the pretrained model if it knows some of the classes but none of the photographs.

    Args:
      fingerprint: the photographs.
      classes: the classes that are planned.
      network: what the user asks for, a name of `models.registry` or "auto".
      degrees: angle of view of the photographs.
    """
    pretrained = get_idrid_lesions().model
    if network not in (AUTO, pretrained.network):
        return Start(None, None, f"Random weights: the pretrained model is a {pretrained.network}, not a {network}.")
    if not (ROOT / PRETRAINED / SEGMENTER_FILE).is_file():
        return Start(None, None, f"Random weights: there is no {PRETRAINED}.")
    spec = read_spec(ROOT / PRETRAINED / SEGMENTER_FILE)
    common = [name for name in classes if name in spec.classes]
    if not common:
        return Start(None, None, f"Random weights: {PRETRAINED} knows none of {', '.join(classes)}.")
    seen = SeenPhotographs(photographs=tuple(one for use in spec.photographs.values() for one in use)).find(
        [PhotographIdentity(name, one.sha256, one.perceptual_hash) for name, one in fingerprint.facts.items()]
    )
    if seen:
        return Start(
            None,
            None,
            f"Random weights: {PRETRAINED} was trained on {len({one.one for one in seen})} of these photographs, such "
            f"as {seen[0].one}, so that scores of those held out would flatter.",
        )
    factor = (spec.rule(Camera(degrees=degrees)).diameter or 0) / widest_field(fingerprint)
    if factor > MOST_ENLARGED:
        return Start(
            None,
            None,
            f"Random weights: for {PRETRAINED} these photographs would have to be enlarged {factor:.1f} times.",
        )
    folder = str(PRETRAINED) if Path.cwd() == ROOT else os.fspath(ROOT / PRETRAINED)
    new = [name for name in classes if name not in spec.classes]
    return Start(
        folder,
        spec,
        f"{PRETRAINED} knows {', '.join(common)} and none of these photographs"
        + (f"; what it gives for {', '.join(new)} begins at random." if new else "."),
    )


def choose_network(
    classes: Sequence[ClassFacts], start: Start, *, network: str, photographs: int, diameter: float
) -> dict[str, Choice]:
    """Chooses the section `model`.

    Args:
      classes: the lesions.
      start: what the training starts from.
      network: what the user asks for, a name of `models.registry` or "auto".
      photographs: number of photographs that are trained on.
      diameter: `data.field_diameter`.
    """
    if start.folder is not None:
        model, same = get_idrid_lesions().model, "As the initial weights were trained with it."
        options, defaults = getattr(model, model.network), getattr(ModelConfig(), model.network)
        return {"model.network": Choice(model.network, same)} | {
            f"model.{model.network}.{field.name}": Choice(getattr(options, field.name), same)
            for field in dataclasses.fields(options)
            if getattr(options, field.name) != getattr(defaults, field.name)
        }
    if network not in (AUTO, "fast"):
        return {"model.network": Choice(network, "As given with --model, with its default options.")}
    pixels = photographs * math.pi / 4 * diameter**2
    each = pixels / WIDE_PARAMETERS
    widths = WIDE if each >= PIXELS_PER_PARAMETER else NARROW
    return {
        "model.network": Choice(
            "fast", "Of those that start at random, it learns most in equal time on a CPU (docs/networks.md)."
        ),
        "model.fast.stem": Choice(
            4, "A crop takes two thirds of the time; in equal minutes better (docs/experiments.md: 0.659 for 0.593)."
        ),
        "model.fast.widths": Choice(
            widths,
            f"The training photographs have {pixels / 1e6:.1f} million pixels at this scale, {each:.1f} for each "
            f"parameter of the widest network; below {PIXELS_PER_PARAMETER:g} half the widths are planned (a rule of "
            "thumb, not measured).",
        ),
        "model.fast.prior": _prior(classes),
    }


def _prior(classes: Sequence[ClassFacts]) -> Choice:
    rarest = min(classes, key=lambda one: one.fraction)
    said = f"{rarest.name} covers {rarest.fraction:.2%} of the fields of view"
    if rarest.fraction < RARE:
        return Choice(
            PRIOR,
            f"{said}: with 0.5, epochs go into learning that most pixels show none (docs/experiments.md: MA 0.376 for "
            "0.311).",
        )
    return Choice(0.5, f"{said}, enough to do without (docs/experiments.md: of haemorrhages 0.650 for 0.634).")
