"""The names that a result gives to photographs: their own, or salted digests that name nobody."""

import contextlib
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from records import Case, PhotographIdentity, anonymous, anonymous_identity, salt_of, sha256_of


class Names:
    """Names as they are; `AnonymousNames` replaces them."""

    anonymous = False

    def of(self, name: str) -> str:
        """Returns the name that the result gives to a photograph or a patient."""
        return name

    def of_all(self, names: Iterable[str]) -> list[str]:
        """Returns the names that the result gives to photographs, sorted."""
        return sorted(map(self.of, names))

    def identity(self, identity: PhotographIdentity) -> PhotographIdentity:
        """Returns what the result says of a photograph, for recognising it."""
        return identity

    def path(self, path: str | None) -> str | None:
        """Returns what the result says of a folder."""
        return path

    def within(self, message: str) -> str:
        """Returns a message as the result has it."""
        return message

    def order(self, cases: Sequence[Case]) -> list[Case]:
        """Returns cases in the order of the result."""
        return list(cases)


class AnonymousNames(Names):
    """Salted digests in place of names, and nothing in place of folders.

    The salt follows from the files of the photographs, so that results on the same ones can still be compared.
    """

    anonymous = True

    def __init__(self, cases: Sequence[Case], folders: Iterable[str | None], maps: Mapping[str, Path]):
        """Reads the files of all photographs once.

        Args:
          cases: all cases that are to be scored.
          folders: folders that messages may name.
          maps: files of external maps, by what their names begin with.
        """
        self._salt = salt_of(filter(None, (_sha256(case.photograph) for case in cases)))
        self._words = {folder: "anonymous" for folder in folders if folder}
        for stem, path in maps.items():
            self._words |= dict.fromkeys((str(path), path.name, stem), self.of(stem))
        for case in cases:
            for file in case.files:
                self._words |= dict.fromkeys((str(file), file.name, file.stem), self.of(case.name))
            self._words[case.name] = self.of(case.name)

    def of(self, name: str) -> str:
        """Returns the salted digest of a name."""
        return anonymous(name, self._salt)

    def identity(self, identity: PhotographIdentity) -> PhotographIdentity:
        """Returns digests of a photograph's name and file."""
        return anonymous_identity(identity, self._salt)

    def path(self, path: str | None) -> str | None:
        """Returns "anonymous" for a folder that was given."""
        return path and "anonymous"

    def within(self, message: str) -> str:
        """Returns a message with digests in place of the names and paths of all files of the cases."""
        return self._pattern.sub(lambda found: self._words[found[0]], message)

    def order(self, cases: Sequence[Case]) -> list[Case]:
        """Returns cases in the order of their digests, which does not tell that of their names."""
        return sorted(cases, key=lambda case: self.of(case.name))

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._words, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _sha256(path: Path) -> str | None:
    with contextlib.suppress(OSError):  # it cannot be scored either, and that is said then
        return sha256_of(path)
    return None
