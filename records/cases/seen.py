"""Photographs that a model has seen, and which of others are among them."""

import dataclasses
from collections.abc import Sequence

from records.cases.anonymity import anonymous, salts_in
from records.cases.identity import PhotographIdentity, SamePhotograph, find_same


@dataclasses.dataclass(frozen=True)
class SeenPhotographs:
    """Photographs that a model has seen.

    Attributes:
      names: names of their cases; digests, if the model is anonymous.
      photographs: what they are recognised by, as far as it is known.
    """

    names: tuple[str, ...] = ()
    photographs: tuple[PhotographIdentity, ...] = ()

    def __add__(self, other: "SeenPhotographs") -> "SeenPhotographs":
        """Returns the photographs of both, each once."""
        return SeenPhotographs(
            tuple(dict.fromkeys((*self.names, *other.names))),
            tuple(dict.fromkeys((*self.photographs, *other.photographs))),
        )

    def find(self, ones: Sequence[PhotographIdentity]) -> list[SamePhotograph]:
        """Finds which photographs are among these: by file or look, and by name where nothing but the name is known."""
        known = self._recognizing(ones)
        same = find_same(ones, known.photographs)
        seen = {pair.one for pair in same}
        # Of a photograph whose looks are unknown, only the name would tell a copy.
        unknown = set(known.names) - {one.case for one in known.photographs if one.perceptual_hash}
        return same + [
            SamePhotograph(one.case, one.case, "name") for one in ones if one.case in unknown and one.case not in seen
        ]

    def _recognizing(self, ones: Sequence[PhotographIdentity]) -> "SeenPhotographs":
        """Returns the photographs with plain names and files in place of their digests, as far as they are at hand."""
        salts = salts_in([*self.names, *(one.case for one in self.photographs)])
        if not salts:
            return self
        texts = [text for one in ones for text in (one.case, one.sha256) if text]
        plain = {anonymous(text, salt): text for text in texts for salt in salts}
        return SeenPhotographs(
            tuple(plain.get(name, name) for name in self.names),
            tuple(
                dataclasses.replace(one, case=plain.get(one.case, one.case), sha256=plain.get(one.sha256, one.sha256))
                for one in self.photographs
            ),
        )
