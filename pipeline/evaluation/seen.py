"""Which of the photographs that are scored a model has seen, by their files and looks, whatever their names.

Model folders of earlier versions list names alone, and anonymous ones digests of names and files, but not looks. Then a
photograph of the same name counts as the same one, unless its file says more, and what is said about it says so.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from records import PhotographIdentity, SamePhotograph, SeenPhotographs

if TYPE_CHECKING:  # it imports TensorFlow
    from pipeline.inference import SegmenterSpec


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a model has seen of the photographs that are scored; in each pair, the scored photograph comes first.

    Attributes:
      trained: those that it, its initial weights or its teacher were trained on.
      chosen_on: those of its validation split, on which its weights were chosen.
      thresholds_on: those that its thresholds were chosen on.
      named_alike: scored photographs that have a name that the model lists, but are other photographs.
      without_looks: number of photographs of training of which the model folder does not say what they look like.
    """

    trained: Sequence[SamePhotograph] = ()
    chosen_on: Sequence[SamePhotograph] = ()
    thresholds_on: Sequence[SamePhotograph] = ()
    named_alike: Sequence[str] = ()
    without_looks: int = 0

    @property
    def by_name(self) -> list[str]:
        """Scored photographs of which only the name says that the model has seen them."""
        pairs = (*self.trained, *self.chosen_on, *self.thresholds_on)
        known = {pair.one for pair in pairs if pair.by != "name"}
        return sorted({pair.one for pair in pairs} - known)


def compare_with_model(scored: Sequence[PhotographIdentity], spec: "SegmenterSpec", *, threshold_source: str) -> Seen:
    """Finds out which photographs a model has seen.

    Args:
      scored: the photographs that are scored.
      spec: spec of the model.
      threshold_source: where the thresholds in use come from, see `SegmenterSpec`, or "given".
    """
    spec = spec.recognizing([one.case for one in scored], [one.sha256 for one in scored])
    found = {
        use: SeenPhotographs(tuple(names), tuple(spec.photographs.get(use, ()))).find(scored)
        for use, names in spec.uses.items()
    }
    chosen = {
        "validation": ("validation",),
        "held out": ("calibrated_on",),
        "members": ("validation", "calibrated_on"),
    }.get(threshold_source, ())
    listed = {name for names in spec.uses.values() for name in names}
    same = {pair.one for pairs in found.values() for pair in pairs}
    training = {name for use in ("train", "seen_before") for name in spec.uses[use]}
    looks = {one.case for known in spec.photographs.values() for one in known if one.perceptual_hash}
    return Seen(
        trained=[*found["train"], *found["seen_before"]],
        chosen_on=found["validation"],
        thresholds_on=[pair for use in chosen for pair in found[use]],
        named_alike=sorted(one.case for one in scored if one.case in listed - same),
        without_looks=len(training - looks),
    )
