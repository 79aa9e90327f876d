"""Deals pieces out to processes on a cluster's nodes, and deals those of lost processes out again.

A process works on few pieces at a time, and only what is in work has left this process, which bounds the memory of
both. Ray itself repeats nothing: only here it is known which pieces were in work where a process ended.
"""

import collections
import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from configs import InputError
from records import LostPieceError
from scripts.support.cluster_node import Done, Home, NodeProcess, Token

LOOK_SECONDS = 1.0  # between looks at signals and nodes
SLOW_SECONDS = 30.0  # without a process that works, after which something is said
TRIES = 2  # that a piece has beside others, and then alone, before it is named
MOST_FAILED_STARTS = 8  # of processes, one after the other, after which something is wrong with all of them


@dataclasses.dataclass(frozen=True)
class Need:
    """What a process needs.

    Attributes:
      cores: number of CPU cores.
      gpus: number of GPUs.
      threads: number of pieces that it works on at once, each in a thread.
    """

    cores: int = 1
    gpus: int = 0
    threads: int = 1


@dataclasses.dataclass
class Tally:
    """What a node did: number of pieces, and the seconds that its processes spent on them."""

    pieces: int = 0
    seconds: float = 0.0


@dataclasses.dataclass(eq=False)
class _Process:
    """A process on a node: `started` until it is known where it is, then `prepared` with the function."""

    handle: Any
    node: str = ""
    arriving: Any = None
    ready: bool = False
    tasks: dict[Any, int] = dataclasses.field(default_factory=dict)  # pieces in work, by their references


class Clock(Protocol):
    """What of the module `time` is used."""

    def monotonic(self) -> float:
        """Returns seconds since some moment."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Waits."""
        ...


class Pieces:
    """One function and its pieces, on the way through a cluster."""

    def __init__(
        self,
        ray: Any,
        home: Home,
        make: Callable[[], Callable[[Any], Any]],
        *,
        pieces: Sequence[Any],
        need: Need,
        token: Token | None,
        stopped: Callable[[], bool],
        say: Callable[[str], None],
        tallies: dict[str, Tally],
        clock: Clock = time,
    ):
        """Sends nothing yet.

        Args:
          ray: the module, connected.
          home: where the command runs.
          make: is called in each process, and returns the function of a piece.
          pieces: the pieces.
          need: what each process needs.
          token: file in the folder that is written to, if any.
          stopped: is called again and again; when it returns True, no more pieces are dealt out.
          say: receives a line about what was lost.
          tallies: gets what each node did, by its name.
          clock: tells the time, and waits; another one than the module `time` in simulations.
        """
        self._clock = clock
        self._ray, self._home, self._pieces, self._need, self._token = ray, home, pieces, need, token
        self._stopped, self._say, self._tallies = stopped, say, tallies
        self._make = ray.put(make)
        self._todo = collections.deque(range(len(pieces)))
        self._alone: collections.deque[int] = collections.deque()  # pieces to be tried with nothing beside them
        self._ends = collections.Counter[int]()  # processes that ended with each piece
        self._processes: list[_Process] = []
        self._failed_starts = 0
        self._looked = self._worked = clock.monotonic()

    def outcomes(self) -> Iterator[tuple[int, Any]]:
        """Yields the number of each piece with its result, or an InputError, as they come.

        Raises:
          InputError: a node cannot work for the command, or none has what is needed.
          Exception: what a call raised, unless it is an InputError.
        """
        try:
            self._recruit()
            while self._todo or self._alone or any(process.tasks for process in self._processes):
                if self._stopped():
                    self._todo.clear()
                    self._alone.clear()
                if self._clock.monotonic() - self._looked >= LOOK_SECONDS:
                    self._recruit()
                self._deal()
                for process, reference in self._arrived():
                    yield from self._take(process, reference)
        finally:
            for process in self._processes:
                self._ray.kill(process.handle)

    def _recruit(self) -> None:
        """Starts processes where there is room, but no more than there are pieces."""
        self._looked = self._clock.monotonic()
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        what, each = ("GPU", self._need.gpus) if self._need.gpus else ("CPU", self._need.cores)
        room = sum(int(resources.get(what, 0) // each) for resources in nodes)
        left = len(self._todo) + len(self._alone) + sum(len(process.tasks) for process in self._processes)
        for _ in range(min(room, left) - len(self._processes)):
            remote = self._ray.remote(NodeProcess).options(
                num_cpus=self._need.cores, num_gpus=self._need.gpus, max_concurrency=self._need.threads
            )
            handle = remote.remote(self._home, cores=self._need.cores)
            self._processes.append(_Process(handle, arriving=handle.where.remote()))
        if any(process.node for process in self._processes):
            self._worked = self._looked
        elif self._looked - self._worked >= SLOW_SECONDS:
            self._worked = self._looked
            if not room:
                raise InputError(
                    f"--cluster: no node has {each} {what}{'s' * (each > 1)}, which a process needs; the nodes have "
                    + ", ".join(f"{resources.get(what, 0):g}" for resources in nodes)
                )
            self._say(
                "no process could be started for half a minute; other work may hold the cluster's cores. Waiting."
            )

    def _deal(self) -> None:
        """Gives every process that is ready as many pieces as it works on at once; first one to each.

        One is kept for each process that still starts, which may load a model for a while.
        """
        ready = [process for process in self._processes if process.ready]
        for depth in range(self._need.threads):
            kept = 0 if depth == 0 else len(self._processes) - len(ready)
            for process in ready:
                if len(self._todo) > kept and len(process.tasks) == depth:
                    self._send(process, self._todo.popleft())
        if self._alone and not self._todo and ready and not any(process.tasks for process in ready):
            self._send(ready[0], self._alone.popleft())

    def _send(self, process: _Process, number: int) -> None:
        process.tasks[process.handle.call.remote(self._pieces[number])] = number

    def _arrived(self) -> list[tuple[_Process, Any]]:
        """Waits up to `LOOK_SECONDS`, and returns processes with references that are done."""
        waited = {process.arriving: process for process in self._processes if process.arriving is not None}
        waited |= {reference: process for process in self._processes for reference in process.tasks}
        if not waited:
            self._clock.sleep(LOOK_SECONDS)
            return []
        done, others = self._ray.wait(list(waited), num_returns=1, timeout=LOOK_SECONDS)
        if done and others:
            done += self._ray.wait(others, num_returns=len(others), timeout=0)[0]
        return [(waited[reference], reference) for reference in done]

    def _take(self, process: _Process, reference: Any) -> Iterator[tuple[int, Any]]:
        if process not in self._processes:
            return  # it was lost with another of its pieces
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            raise  # a defect of this software
        except self._ray.exceptions.RayError as error:
            yield from self._lose(process, error)
            return
        if reference == process.arriving:
            self._welcome(process, answer)
            return
        number = process.tasks.pop(reference)
        for warning in answer.warnings:
            warnings.warn(warning, stacklevel=1)
        if answer.error is not None and not isinstance(answer.error, InputError):
            raise answer.error
        tally = self._tallies.setdefault(process.node, Tally())
        tally.pieces += 1
        tally.seconds += answer.seconds
        yield number, answer.result if answer.error is None else answer.error

    def _welcome(self, process: _Process, answer: Any) -> None:
        """Goes on with a process that has said where it is, or that is prepared."""
        if isinstance(answer, Done):
            if isinstance(answer.error, InputError):
                raise InputError(f"node {process.node}: {answer.error}")
            if answer.error is not None:
                raise answer.error
            process.arriving, process.ready, self._failed_starts = None, True, 0
            return
        process.node, problem = answer
        if problem is not None:
            raise InputError(f"--cluster: node {process.node} {problem}.")
        process.arriving = process.handle.prepare.remote(self._make, self._token)

    def _lose(self, process: _Process, error: Exception) -> Iterator[tuple[int, Any]]:
        """Takes back the pieces of a process that has ended; yields those that have ended too many."""
        self._processes.remove(process)
        self._ray.kill(process.handle)
        self._looked = -math.inf  # another one is started at once
        if not process.ready:
            self._failed_starts += 1
            if self._failed_starts == MOST_FAILED_STARTS:
                raise InputError(
                    f"--cluster: {MOST_FAILED_STARTS} processes ended while they started; Ray says: {_line(error)}"
                )
            return
        again = 0
        for number in process.tasks.values():
            self._ends[number] += 1
            again += 1
            if self._ends[number] < TRIES:
                self._todo.appendleft(number)
            elif self._ends[number] < 2 * TRIES:
                self._alone.append(number)
            else:
                again -= 1
                yield (
                    number,
                    LostPieceError(
                        f"ended the process that worked on it {self._ends[number]} times, the last times with nothing "
                        f"beside it; the node's memory may be too small for it. Ray says: {_line(error)}"
                    ),
                )
        if again:
            self._say(f"a process on node {process.node} was lost; what was in work there, {again}, is done again.")


def _line(error: Exception) -> str:
    """Returns what Ray says of a lost process, on one line, without the numbers by which it names the process."""
    reason = str(error).partition("The actor is dead because")[2] or str(error)
    return " ".join(reason.split())[:300]
