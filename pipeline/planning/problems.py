"""What a plan cannot be made from, and what looks wrong in a source that it can be made from."""

import collections
import math
from collections.abc import Iterable, Sequence

from configs import InputError
from configs.schema import MAX_CLASSES
from pipeline.planning.fingerprint import Fingerprint
from records import Case, MaskWarning, by_kind

FEWEST_PHOTOGRAPHS = 6  # two are held out, and four are the least from which anything can be told
ODD_FRACTION = 0.1  # of the photographs: sizes and colours that fewer have are named
ODD_COLOR = 6.0  # times the median deviation from the median: a colour that is named
LEAST_DEVIATION = 0.02  # of the median colours, so that equal photographs are not told apart by nothing
FEW_SHOWING = 5  # photographs that show a class: fewer teach a network little, and none may be held out


def refuse_few(cases: Sequence[Case], *, source: str) -> None:
    """Checks that there are enough photographs to train on and to hold out, before any is read.

    Raises:
      InputError: there are too few.
    """
    usable = sum(case.split != "test" for case in cases)
    if usable < FEWEST_PHOTOGRAPHS:
        raise InputError(
            f"{source}: {usable} photographs to learn from; at least {FEWEST_PHOTOGRAPHS} are needed, two of which are "
            "held out. Label more, or use a model that is trained already: python -m scripts.predict "
            "--model=pretrained/idrid_lesions."
        )


def refuse_classes(classes: Sequence[str], *, source: str) -> None:
    """Checks the number of classes that a source names.

    Raises:
      InputError: there are more than a record can hold.
    """
    if len(classes) > MAX_CLASSES:
        raise InputError(
            f"{source}: has masks of {len(classes)} classes ({', '.join(classes)}), and at most {MAX_CLASSES} can be "
            "learnt together; choose some with --classes."
        )


def refuse_without_lesions(fingerprint: Fingerprint, *, source: str) -> None:
    """Checks that any photograph to learn from shows a lesion.

    Raises:
      InputError: none does.
    """
    if not fingerprint.learnt_from:
        raise InputError(f"{source}: none of the photographs to learn from can be read; see the lines above.")
    if not fingerprint.shown_classes:
        names = ", ".join(fingerprint.cases[0].masks)
        raise InputError(
            f"{source}: no mask shows any {names} in {len(fingerprint.learnt_from)} photographs; every pixel that is "
            "not black is lesion. Check the masks, or whether they are of other classes."
        )


def find_problems(fingerprint: Fingerprint) -> list[str]:
    """Returns what looks wrong, one line each, the gravest first."""
    return [
        *(f"{name} cannot be read and is left out: {reason}" for name, reason in fingerprint.failures.items()),
        *_alike(fingerprint),
        *_classes(fingerprint),
        *_sizes(fingerprint),
        *_fields(fingerprint),
        *_colors(fingerprint),
        *_masks(fingerprint),
    ]


def _alike(fingerprint: Fingerprint) -> Iterable[str]:
    split = {case.name: case.split for case in fingerprint.cases}
    patient = {case.name: case.patient for case in fingerprint.cases}
    for one, other, bits in fingerprint.look_alikes():
        if patient[one] is not None and patient[one] == patient[other] and split[one] == split[other]:
            continue  # they stay together
        kind = (
            "are the same file" if _same_file(fingerprint, one, other) else f"look the same ({bits} of 256 bits differ)"
        )
        yield (
            f"{one} ({split[one]}) and {other} ({split[other]}) {kind}: if one is held out, the other tells the "
            "answer; remove one, or give both one patient with --patients"
        )


def _same_file(fingerprint: Fingerprint, one: str, other: str) -> bool:
    return fingerprint.facts[one].sha256 == fingerprint.facts[other].sha256


def _classes(fingerprint: Fingerprint) -> Iterable[str]:
    for name in fingerprint.cases[0].masks:
        facts = fingerprint.of_class(name)
        if not facts.showing:
            yield f"no photograph to learn from shows any {name}, which is known in {facts.known}: it is not planned"
        elif facts.showing < FEW_SHOWING:
            yield f"only {facts.showing} of {facts.known} photographs show any {name}: too few to learn or to judge it"


def _sizes(fingerprint: Fingerprint) -> Iterable[str]:
    sizes = collections.Counter((one.width, one.height) for one in fingerprint.facts.values())
    (usual, count), total = sizes.most_common(1)[0], len(fingerprint.facts)
    if total - count > max(ODD_FRACTION * total, 1):
        return  # many sizes are no mistake
    for name, one in fingerprint.facts.items():
        if (one.width, one.height) != usual:
            field = (
                f"its field of view spans {one.ruler:.0f} pixels" if one.field_diameter else "no field of view found"
            )
            yield (
                f"{name} has {one.width}x{one.height} pixels, where {count} of {total} have {usual[0]}x{usual[1]}: "
                f"from another camera, or resized? ({field}, by which it is scaled)"
            )


def _fields(fingerprint: Fingerprint) -> Iterable[str]:
    without = [name for name, one in fingerprint.facts.items() if one.field_diameter is None]
    if without:
        yield (
            f"no circle of a field of view found in {len(without)} of {len(fingerprint.facts)} photographs, such as "
            f"{without[0]}: they are scaled as if it were as wide as the frame's diagonal"
        )


def _colors(fingerprint: Fingerprint) -> Iterable[str]:
    names = list(fingerprint.facts)
    logs = [[math.log(max(value, 1.0)) for value in fingerprint.facts[name].color] for name in names]
    for channel, color in enumerate(("red", "green", "blue")):
        values = [one[channel] for one in logs]
        middle = sorted(values)[len(values) // 2]
        deviation = max(sorted(abs(value - middle) for value in values)[len(values) // 2], LEAST_DEVIATION)
        for name, value in zip(names, values, strict=True):
            if abs(value - middle) > ODD_COLOR * deviation:
                yield (
                    f"{name} has {math.exp(value - middle):.2f} times the usual {color}: another camera, or an "
                    "exposure that failed?"
                )


def _masks(fingerprint: Fingerprint) -> Iterable[str]:
    warnings = (MaskWarning(*one) for facts in fingerprint.facts.values() for one in facts.warnings)
    for lines in by_kind(warnings).values():
        yield from lines
