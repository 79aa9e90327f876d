"""A Ray of paper with a clock of its own: `scripts.support.cluster_pieces.Pieces` runs on it as on a cluster."""

import collections
import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from scripts.support.cluster_node import Done


class _Handle:
    """Of a process, by its number; Ray's handles have the methods of the remote object."""

    def __init__(self, number: int, call: Callable[[int, str, Any], int]):
        self.number = number
        for name in ("where", "prepare", "call"):
            remote = SimpleNamespace(remote=lambda *arguments, name=name: call(number, name, arguments))
            setattr(self, name, remote)


class SimulatedRay:
    """As much of Ray as `Pieces` uses, and the module `time` in its place: a call takes as long as it is told to.

    Attributes:
      now: the time, seconds.
    """

    class exceptions:  # noqa: N801 (as in Ray)
        """Errors of Ray, none of which happens here."""

        RayError = type("RayError", (Exception,), {})
        RayTaskError = type("RayTaskError", (RayError,), {})

    def __init__(self, nodes: int, *, cores: int, seconds: Sequence[float], start: float, prepare: float):
        """Begins at time 0.

        Args:
          nodes: number of nodes.
          cores: of each node, each of which takes a process.
          seconds: how long each piece takes; pieces are the numbers of its elements.
          start: seconds that a process takes to start.
          prepare: seconds that it then takes to make its function, as it loads a model.
        """
        self.now = 0.0
        self._seconds, self._cores = seconds, cores
        self._durations = {"where": start, "prepare": prepare}
        self._nodes = [{"Alive": True, "Resources": {"CPU": float(cores)}} for _ in range(nodes)]
        self._numbers, self._references = itertools.count(), itertools.count()
        self._free_at: collections.defaultdict[int, float] = collections.defaultdict(float)
        self._done_at: dict[int, float] = {}
        self._answers: dict[int, Any] = {}

    def monotonic(self) -> float:
        """Returns the time."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """Lets time pass."""
        self.now += seconds

    def nodes(self) -> list[dict[str, Any]]:
        """Returns the nodes as Ray describes them."""
        return self._nodes

    def put(self, value: Any) -> Any:
        """Returns the value in the place of a reference."""
        return value

    def kill(self, handle: _Handle) -> None:
        """Ends a process, at the end of the work alone."""

    def remote(self, _: type) -> Any:
        """Returns what starts processes."""
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._start))

    def wait(self, references: list[int], *, num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        """Returns references that are done, at most so many, and the others, after time has passed if none is yet."""
        first = min(self._done_at[one] for one in references)
        self.now = min(max(self.now, first), self.now + timeout)
        done = [one for one in references if self._done_at[one] <= self.now][:num_returns]
        taken = set(done)
        return done, [one for one in references if one not in taken]

    def get(self, reference: int) -> Any:
        """Returns what a call returned."""
        del self._done_at[reference]
        return self._answers.pop(reference)

    def _start(self, home: Any, *, cores: int) -> _Handle:
        return _Handle(next(self._numbers), self._call)

    def _call(self, process: int, name: str, arguments: tuple[Any, ...]) -> int:
        reference = next(self._references)
        seconds = self._seconds[arguments[0]] if name == "call" else self._durations[name]
        began = max(self.now, self._free_at[process])
        self._free_at[process] = self._done_at[reference] = began + seconds
        node = f"node {process // self._cores}"
        self._answers[reference] = (node, None) if name == "where" else Done(None, None, (), seconds)
        return reference
