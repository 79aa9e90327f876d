"""Records whose labels are those of models: what those models have seen, and what scores on them do not say."""

from collections.abc import Iterator, Sequence

from pipeline.input import RecordSet
from records import PhotographIdentity, SamePhotograph, SeenPhotographs

MOST_NAMED = 5  # photographs that a warning names


def seen_by_labellers(sets: Sequence[RecordSet]) -> SeenPhotographs:
    """Returns the photographs that models were trained on whose labels are in the records.

    Whoever learns from a model's labels learns from its photographs, too.
    """
    return sum((one.index.labelled_by.seen for one in sets if one.index.labelled_by), SeenPhotographs())


def labelling_warnings(sets: Sequence[RecordSet]) -> Iterator[str]:
    """Yields a line for each reason why scores of validation photographs do not say how good the new model is."""
    labelled = [one for one in sets if one.index.labelled_by]
    validation = [identity for one in sets for identity in _identities(one, "validation")]
    by_model = [identity.case for one in labelled for identity in _identities(one, "validation")]
    if by_model:
        yield (
            f"{_named(by_model)} for validation, labelled by a model: their scores say how well it is imitated, not "
            "how well lesions are found; shard them with a table --splits that has all in train; validate on others."
        )
    for one in labelled:
        training = SeenPhotographs(photographs=tuple(_identities(one, "train")))
        others = [identity for other in sets if other is not one for identity in _identities(other, "validation")]
        if same := _of_first(training.find(others)):
            yield (
                f"{_named(same)} for validation, and also for training in {one.folder} with labels of a model: leave "
                "them out there."
            )
    models = [one.index.labelled_by for one in sets if one.index.labelled_by]
    seen = sum((model.seen + model.chosen_on for model in models), SeenPhotographs())
    if same := _of_first(seen.find(validation)):
        yield (
            f"{_named(same)} for validation that a model has seen whose labels are trained on: their scores may be "
            "better than on photographs that neither has seen."
        )


def _identities(one: RecordSet, split: str) -> Iterator[PhotographIdentity]:
    for name, entry in one.index.cases.items():
        if entry.split == split:
            yield PhotographIdentity(name, entry.photograph_digest, entry.perceptual_hash)


def _of_first(pairs: Sequence[SamePhotograph]) -> list[str]:
    return sorted({pair.one for pair in pairs})


def _named(cases: Sequence[str]) -> str:
    """Returns the number of photographs, and the names of the first."""
    more = f" and {len(cases) - MOST_NAMED} more" if len(cases) > MOST_NAMED else ""
    return f"{len(cases)} photograph{'s' * (len(cases) != 1)} ({', '.join(cases[:MOST_NAMED])}{more})"
