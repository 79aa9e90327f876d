"""The photographs of the page: those of the folder and those that were dropped, and how far each of them is.

Only small facts are in memory; maps and uploads lie in a temporary folder, so a folder of thousands costs little.
"""

import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

State = Literal["waiting", "working", "ready", "failed"]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a photograph once it has its map.

    Attributes:
      size: height and width of the photograph, pixels.
      map_size: height and width of the map, pixels at the network's scale.
      factor: by which the photograph was scaled for the network.
      center: x and y of the centre of the field of view, by which quadrants are told; None without one.
      areas: least area of a detection of each class, pixels of the photograph.
      warnings: what does not suit the model, one line each.
    """

    size: tuple[int, int]
    map_size: tuple[int, int]
    factor: float
    center: tuple[float, float] | None
    areas: tuple[int, ...]
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Viewed:
    """A photograph of the page.

    Attributes:
      number: by which the page asks for it; it is never reused.
      name: name of its case.
      path: its file.
      uploaded: whether it was dropped onto the page, and is removed at the end.
      state: how far its segmentation is.
      message: why it failed.
      facts: once it has its map.
      lesions: number of detections of each class at the model's operating point, once they are counted.
      wrong: pixels that are expected to be wrong there, see `pipeline.looking`.
      corrected: whether corrections are saved.
      turn: how often all photographs began anew before it did, as the model was exchanged.
      version: number of the library's change that last concerned it.
    """

    number: int
    name: str
    path: Path
    uploaded: bool = False
    state: State = "waiting"
    message: str = ""
    facts: Facts | None = None
    lesions: tuple[int, ...] | None = None
    wrong: float | None = None
    corrected: bool = False
    turn: int = 0
    version: int = 0

    def for_page(self) -> dict[str, Any]:
        """Returns what the page is told: everything but the path."""
        shown = {name: value for name, value in vars(self).items() if name != "path"}
        return shown | {"facts": None if self.facts is None else vars(self.facts)}


class Library:
    """All photographs of the page, for threads that read and change them at the same time."""

    def __init__(self, photographs: Mapping[str, Path]):
        """Takes the photographs of a folder, files by name."""
        self._changed = threading.Condition()
        self._cases: dict[int, Viewed] = {}
        self._names: set[str] = set()
        self._version = 0
        self._next = 0
        self._turn = 0
        self._wanted: int | None = None
        self._closed = False
        for name, path in photographs.items():
            self.add(name, path)

    def add(self, name: str, path: Path, *, uploaded: bool = False) -> Viewed:
        """Adds a photograph under its name, or, if that is taken, with a number behind it."""
        with self._changed:
            free, count = name, 2
            while free in self._names:
                free, count = f"{name}_{count}", count + 1
            self._names.add(free)
            case = self._put(Viewed(self._next, free, path, uploaded, turn=self._turn))
            self._next += 1
            return case

    def remove(self, number: int) -> Viewed | None:
        """Removes an upload and returns it; None if the page has no such upload."""
        with self._changed:
            case = self._cases.get(number)
            if case is None or not case.uploaded:
                return None
            self._names.discard(case.name)
            return self._cases.pop(number)

    def get(self, number: int) -> Viewed | None:
        """Returns a photograph; None if there is none of this number."""
        with self._changed:
            return self._cases.get(number)

    def all(self) -> list[Viewed]:
        """Returns all photographs in the order in which they were added."""
        with self._changed:
            return list(self._cases.values())

    def update(self, number: int, **changes: Any) -> None:
        """Changes fields of a photograph, unless it has been removed."""
        with self._changed:
            if number in self._cases:
                self._put(dataclasses.replace(self._cases[number], **changes))

    def finish(self, case: Viewed, **changes: Any) -> bool:
        """Changes fields of a photograph as `update` does, unless it has begun anew since `take` returned it.

        Returns:
          Whether it is as it was then.
        """
        with self._changed:
            now = self._cases.get(case.number)
            if now is None or now.turn != case.turn:
                return False
            self._put(dataclasses.replace(now, **changes))
            return True

    def restart(self) -> None:
        """Lets all photographs wait again, as another model is to segment them."""
        with self._changed:
            self._turn += 1
            for case in list(self._cases.values()):
                anew = Viewed(case.number, case.name, case.path, case.uploaded, turn=self._turn)
                self._put(dataclasses.replace(anew, corrected=case.corrected))

    def want(self, number: int) -> None:
        """Asks for a photograph to be segmented next, as somebody looks at it."""
        with self._changed:
            self._wanted = number

    def news(self, since: int, *, patience: float = 0.0) -> dict[str, Any]:
        """Returns what has changed since a version: the photographs, all numbers, and how many are finished.

        Args:
          since: the version.
          patience: how long to wait for a change, seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._version > since or self._closed, patience)
            cases = self._cases.values()
            return {
                "version": self._version,
                "cases": [case.for_page() for case in cases if case.version > since],
                "numbers": list(self._cases),
                "finished": sum(case.state in ("ready", "failed") for case in cases),
            }

    def take(self) -> Viewed | None:
        """Waits for a photograph to segment, marks it and returns it; None once the library is closed."""
        with self._changed:
            while not self._closed:
                waiting = [case for case in self._cases.values() if case.state == "waiting"]
                if waiting:
                    case = next((one for one in waiting if one.number == self._wanted), waiting[0])
                    return self._put(dataclasses.replace(case, state="working"))
                self._changed.wait()
            return None

    def close(self) -> None:
        """Ends `take`, also one that waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _put(self, case: Viewed) -> Viewed:
        self._version += 1
        case = self._cases[case.number] = dataclasses.replace(case, version=self._version)
        self._changed.notify_all()
        return case
