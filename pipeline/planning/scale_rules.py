"""Rules for the scale of photographs, and for crops and tiles, which are measured at that scale."""

import collections
import math
from collections.abc import Sequence

import numpy as np

from configs import DataConfig
from pipeline.planning.choice import Choice
from pipeline.planning.fingerprint import ClassFacts, Fingerprint
from records import LARGEST_SCALE, tile_origins

SMALLEST_PIXELS = 3.0  # diameter that small lesions are to keep
FEWEST_PIXELS = 2.0  # diameter that they keep whatever it costs
SMALL = 0.1  # quantile of a class' diameters that stands for its small lesions
NARROW = 0.1  # quantile of the fields of view that stands for the narrow ones
LARGE = 0.95  # quantile of the lesions' longer sides that stands for the large ones
FEWEST_LESIONS = 10  # of a class whose quantiles are taken; of fewer, the smallest lesion counts
LEAST_DIAMETER = 640.0  # pixels of a scaled field of view: with less, outlines lose too much (docs/decisions.md)
LEAST_PASSES = 10.0  # times that training is to see each pixel of the fields of view at least
ROOM = 1.25  # a crop is so many times as wide as large lesions
CROPS = (256, 384, 512)  # multiples of every stride that is planned
STEP = 32  # sides of tiles are multiples of it, as of the strides of networks
LARGEST_PIECE = 2048  # side of the scaled photograph up to which it is segmented in one piece


def choose_degrees(fingerprint: Fingerprint, given: float | None) -> Choice:
    """Chooses `data.field_degrees`: what the user says, else what most files say, else the default."""
    if given is not None:
        return Choice(given, "As given with --field_degrees.")
    said = collections.Counter(one.degrees for one in fingerprint.facts.values() if one.degrees)
    if said:
        degrees, count = said.most_common(1)[0]
        return Choice(float(degrees), f"{count} files say that they show {degrees:g} degrees.")
    degrees = DataConfig().field_degrees
    return Choice(
        degrees, f"No file says the camera's angle; {degrees:g} is usual. Give --field_degrees if it differs."
    )


def choose_diameter(fingerprint: Fingerprint, classes: Sequence[ClassFacts]) -> Choice:
    """Chooses `data.field_diameter`: as small as it can be with small lesions still `SMALLEST_PIXELS` wide."""
    finest = min(classes, key=small_diameter)
    wanted = SMALLEST_PIXELS / small_diameter(finest)
    widest = widest_field(fingerprint)
    diameter = round_diameter(min(max(wanted, LEAST_DIAMETER), widest))
    small = f"A tenth of all {finest.name} are smaller than {small_diameter(finest):.2%} of the field of view"
    if wanted > widest:
        return Choice(
            diameter,
            f"{small}, which would need a field of {wanted:.0f} pixels to be {SMALLEST_PIXELS:g} wide; the "
            f"photographs have {widest:.0f}, and enlarging them shows nothing more.",
        )
    if wanted < LEAST_DIAMETER:
        return Choice(
            diameter,
            f"{small}, so a smaller field would show them; but below {LEAST_DIAMETER:g} pixels outlines become coarse "
            "(docs/decisions.md).",
        )
    return Choice(
        diameter,
        f"{small}, which is {small_diameter(finest) * diameter:.1f} pixels at this scale; smaller lesions are lost, "
        "and a larger scale costs its square in time. By the same rule IDRiD's photographs get the scale that "
        "docs/experiments.md found good.",
    )


def keep_diameter(fingerprint: Fingerprint, known: float) -> Choice:
    """Chooses `data.field_diameter` of a training that starts from a model: the scale at which that knows lesions.

    Args:
      fingerprint: the photographs.
      known: diameter of their field of view at the model's scale, pixels.
    """
    most = LARGEST_SCALE * float(np.quantile(_fields(fingerprint), NARROW))
    if known > most:
        return Choice(
            round_diameter(most),
            f"{LARGEST_SCALE:g} times the photographs' own size, the most by which they are enlarged. The initial "
            f"weights know lesions at {known:.0f}; here they are {known / most:.2f} times smaller.",
        )
    return Choice(
        round_diameter(known),
        "As many pixels per degree as the initial weights were trained at; at another scale lesions have sizes that "
        "they do not know (docs/decisions.md: Dice of MA 0.19 for 0.50 at half of it).",
    )


def shorten_for_time(
    diameter: Choice, classes: Sequence[ClassFacts], *, photographs: int, pixels_per_second: float, minutes: float
) -> Choice:
    """Makes `data.field_diameter` smaller if training would see each pixel less often than `LEAST_PASSES` times.

    Args:
      diameter: what `choose_diameter` chose.
      classes: the lesions.
      photographs: number of photographs that are trained on.
      pixels_per_second: measured rate of training.
      minutes: time of training.
    """
    shown = pixels_per_second * 60 * minutes / photographs  # pixels, per photograph
    passes = shown / (math.pi / 4 * diameter.value**2)
    if passes >= LEAST_PASSES:
        return Choice(diameter.value, f"{diameter.reason} Each pixel is shown about {passes:.0f} times in all.")
    affordable = math.sqrt(shown / LEAST_PASSES / (math.pi / 4))
    least = max(FEWEST_PIXELS / min(map(small_diameter, classes)), LEAST_DIAMETER)
    shorter = round_diameter(min(max(affordable, least), diameter.value))
    return Choice(
        shorter,
        f"{diameter.value:g} would keep small lesions {SMALLEST_PIXELS:g} pixels wide, but training would then see "
        f"each pixel only {passes:.1f} times in {minutes:g} minutes; the smaller field is seen "
        f"{shown / (math.pi / 4 * shorter**2):.1f} times. More minutes would allow the larger one.",
    )


def widest_field(fingerprint: Fingerprint) -> float:
    """Returns the diameter of the field of view of most photographs at their own size, pixels."""
    return float(np.median(_fields(fingerprint)))


def _fields(fingerprint: Fingerprint) -> list[float]:
    return [one.ruler for one in fingerprint.facts.values()]


def small_diameter(facts: ClassFacts) -> float:
    """Returns the diameter of a class' small lesions, as a fraction of the field of view."""
    return float(np.quantile(facts.diameters, SMALL if len(facts.diameters) >= FEWEST_LESIONS else 0.0))


def choose_crop(classes: Sequence[ClassFacts], diameter: float) -> Choice:
    """Chooses `train.crop`: the smallest crop in which large lesions fit."""
    large = {one.name: float(np.quantile(one.extents, LARGE)) * diameter for one in classes}
    name, extent = max(large.items(), key=lambda item: item[1])
    crop = next((one for one in CROPS if one >= ROOM * extent), CROPS[-1])
    fits = (
        "fit" if crop >= ROOM * extent else "do not fit even into the largest crop that is planned, so parts are shown"
    )
    return Choice(
        crop,
        f"Large {name} are {extent:.0f} pixels long at this scale and {fits}. Of crops that are large enough, small "
        "ones are better in equal time: they show more photographs per step (docs/experiments.md: 0.651 with 256 for "
        "0.593 with 384).",
    )


def choose_tiles(fingerprint: Fingerprint, *, diameter: float, crop: int) -> dict[str, Choice]:
    """Chooses `data.tile`, `data.stride` and `segment.tile`.

    Args:
      fingerprint: the photographs.
      diameter: `data.field_diameter`.
      crop: `train.crop`.
    """
    longest = longest_side(fingerprint, diameter)
    whole = math.ceil(longest / STEP) * STEP
    if 2 * crop < whole:
        tile, stride = 2 * crop, crop
        why = "Tiles of two crops that overlap by one: crops are then cut anywhere, everywhere equally often."
    else:
        tile = stride = max(whole, crop)
        why = f"One tile holds a whole photograph, of {longest} pixels at most at this scale."
    piece = min(max(whole, crop), LARGEST_PIECE)
    one = (
        "Photographs are segmented in one piece"
        if piece >= longest
        else "Photographs are cut as little as memory allows"
    )
    return {
        "data.tile": Choice(tile, why),
        "data.stride": Choice(stride, "See data.tile."),
        "segment.tile": Choice(
            piece, f"{one}: it has no seams and takes the least time (docs/decisions.md, at IDRiD's scale)."
        ),
        "segment.trim": Choice(
            True, "Tiles shrink to photographs that are smaller, instead of computing black borders."
        ),
        "segment.tile_batch": Choice(1, "Pieces of this size fill the cores one by one, and memory stays low."),
        "segment.overlap": Choice(0.25, "Only where a photograph is larger than one piece."),
    }


def longest_side(fingerprint: Fingerprint, diameter: float) -> int:
    """Returns the longest side of all scaled photographs, pixels."""
    return max(math.ceil(max(one.height, one.width) * diameter / one.ruler) for one in fingerprint.facts.values())


def count_tiles(fingerprint: Fingerprint, *, diameter: float, tile: int, stride: int) -> int:
    """Returns the number of tiles of the photographs that a training may use."""
    total = 0
    for case in fingerprint.learnt_from:
        facts = fingerprint.facts[case.name]
        height, width = (max(round(side * diameter / facts.ruler), 1) for side in (facts.height, facts.width))
        total += len(tile_origins(height, width, tile, stride=stride))
    return total


def round_diameter(diameter: float) -> float:
    """Returns a diameter as a multiple of 8 pixels, at least one."""
    return float(max(round(diameter / 8), 2) * 8)
