"""The leak audit: which of the scored photographs a model may have seen in training, under any name.

Sharding refuses some leaks; the audit checks again, from the index alone, so that records of any origin are covered.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence, Set

from pipeline.evaluation.names import Names
from pipeline.evaluation.seen import Seen
from records import Index, PhotographIdentity, find_same, near_pairs


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two photographs in different parts that are the same file, or look the same.

    Attributes:
      one: name of the first case.
      of_one: split of the first case, or "scored".
      other: name of the second case.
      of_other: split of the second case.
      bits: number of the 256 bits of their perceptual hashes that differ; None if their files are the same.
    """

    one: str
    of_one: str
    other: str
    of_other: str
    bits: int | None


@dataclasses.dataclass(frozen=True)
class Audit:
    """The result of a leak audit.

    Attributes:
      photographs: number of photographs in each split of the records; empty without records.
      patients: number of patients known in the records.
      cases_in_two_splits: names of cases in more than one split, with their splits.
      patients_in_two_splits: patients in more than one split, with their splits.
      equal: pairs in two splits whose files (photograph and masks) are the same.
      nearly_equal: pairs in two splits that look the same.
      trained: scored cases that the model was trained on.
      chosen_on: scored cases of the model's validation split; weights and thresholds were chosen on them.
      by_name: those of both of which only the name says so.
      named_alike: scored cases that have a name that the model lists, but are other photographs.
      scored_in_training: pairs of a scored photograph and one of the training split that look the same.
      without_looks: number of photographs that the model was trained on whose copies could not be looked for.
      same_split: number of pairs that look the same within one split; not a leak, but they count twice.
    """

    photographs: Mapping[str, int]
    patients: int
    cases_in_two_splits: Mapping[str, Sequence[str]]
    patients_in_two_splits: Mapping[str, Sequence[str]]
    equal: Sequence[Pair]
    nearly_equal: Sequence[Pair]
    trained: Sequence[str]
    chosen_on: Sequence[str]
    by_name: Sequence[str]
    named_alike: Sequence[str]
    scored_in_training: Sequence[Pair]
    without_looks: int
    same_split: int

    @property
    def leaks(self) -> int:
        """Number of leaks, each of which may make scores better than they are on photographs never seen."""
        return sum(
            map(
                len,
                (
                    self.cases_in_two_splits,
                    self.patients_in_two_splits,
                    self.equal,
                    self.nearly_equal,
                    self.trained,
                    self.scored_in_training,
                ),
            )
        )

    def named(self, names: Names) -> "Audit":
        """Returns the audit with the names that a result gives to cases and patients."""

        def pairs(found: Sequence[Pair]) -> list[Pair]:
            renamed = [dataclasses.replace(one, one=names.of(one.one), other=names.of(one.other)) for one in found]
            return sorted(renamed, key=lambda pair: (pair.one, pair.other))

        def by_name(found: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
            return dict(sorted((names.of(name), splits) for name, splits in found.items()))

        return dataclasses.replace(
            self,
            cases_in_two_splits=by_name(self.cases_in_two_splits),
            patients_in_two_splits=by_name(self.patients_in_two_splits),
            equal=pairs(self.equal),
            nearly_equal=pairs(self.nearly_equal),
            trained=names.of_all(self.trained),
            chosen_on=names.of_all(self.chosen_on),
            by_name=names.of_all(self.by_name),
            named_alike=names.of_all(self.named_alike),
            scored_in_training=pairs(self.scored_in_training),
        )


def audit(index: Index | None, seen: Seen, hashes: Mapping[str, str]) -> Audit:
    """Checks records, what a model has seen, and the scored photographs for leaks.

    Two photographs look the same if at most `records.cases.duplicates.NEAR_BITS` of the 256 bits of their hashes
    differ.

    Args:
      index: index of the records, if there are any.
      seen: which of the scored photographs the model has seen.
      hashes: perceptual hash of each scored photograph by the name of its case.

    Returns:
      What was checked, and the leaks.
    """
    trained = {pair.one for pair in seen.trained if pair.by != "look" or pair.one == pair.other}
    cases = index.cases if index else {}
    listed = {split: part.cases for split, part in index.splits.items()} if index else {}
    near = [
        Pair(one, cases[one].split, other, cases[other].split, bits)
        for one, other, bits in near_pairs({name: entry.perceptual_hash for name, entry in cases.items()})
    ]
    equal = _equal(index) if index else []
    same_file = {(pair.one, pair.other) for pair in equal}
    apart = [pair for pair in near if pair.of_one != pair.of_other and (pair.one, pair.other) not in same_file]
    return Audit(
        photographs={split: len(names) for split, names in listed.items()},
        patients=len({entry.patient for entry in cases.values()} - {None}),
        cases_in_two_splits=_in_several((name, split) for split, names in listed.items() for name in names),
        patients_in_two_splits=_in_several(
            (entry.patient, entry.split) for entry in cases.values() if entry.patient is not None
        ),
        equal=equal,
        nearly_equal=apart,
        trained=sorted(trained),
        chosen_on=sorted({pair.one for pair in seen.chosen_on}),
        by_name=seen.by_name,
        named_alike=seen.named_alike,
        scored_in_training=_look_alikes(index, seen, hashes, trained=trained),
        without_looks=0 if index else seen.without_looks,  # the records have their hashes
        same_split=sum(pair.of_one == pair.of_other for pair in near),
    )


def _in_several(members: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    splits: dict[str, set[str]] = collections.defaultdict(set)
    for name, split in members:
        splits[name].add(split)
    return {name: sorted(of) for name, of in sorted(splits.items()) if len(of) > 1}


def _equal(index: Index) -> list[Pair]:
    same: dict[str, list[str]] = collections.defaultdict(list)
    for name, entry in sorted(index.cases.items()):
        same[entry.digest].append(name)
    return [
        Pair(names[0], index.cases[names[0]].split, other, index.cases[other].split, None)
        for names in same.values()
        for other in names[1:]
        if index.cases[names[0]].split != index.cases[other].split
    ]


def _look_alikes(index: Index | None, seen: Seen, hashes: Mapping[str, str], *, trained: Set[str]) -> list[Pair]:
    """Finds the other scored photographs that look like one of training, of the records or as the model tells."""
    training = index.splits["train"].cases if index and "train" in index.splits else ()
    known = [PhotographIdentity(name, "", index.cases[name].perceptual_hash) for name in training] if index else []
    scored = [PhotographIdentity(name, "", value) for name, value in hashes.items()]
    pairs = {(pair.one, pair.other): pair for pair in (*find_same(scored, known), *seen.trained) if pair.by == "look"}
    return [
        Pair(one, "scored", other, "train", pairs[one, other].bits)
        for one, other in sorted(pairs)
        if one not in trained
    ]
