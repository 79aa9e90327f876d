"""Pieces are dealt out to a Ray of paper, whose processes end at any moment."""

import collections
import warnings
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import InputError
from records import LostPieceError, PhotographWarning
from scripts.support import cluster_pieces
from scripts.support.cluster_node import Done
from scripts.support.cluster_pieces import Need, Pieces


class Handle:
    """Of a process."""

    def __init__(self, number: int):
        self.number = number


class Ray:
    """As much of Ray as `Pieces` uses: every call is done when it is waited for, or the process has ended by then.

    `ends` says for each call of a piece whether its process ends, as long as it lasts; `deadly` pieces always do.
    """

    class exceptions:  # noqa: N801 (as in Ray)
        RayError = type("RayError", (Exception,), {})
        RayTaskError = type("RayTaskError", (RayError,), {})

    def __init__(
        self, cores: list[int], *, ends: list[bool] = (), deadly=(), problem=None, prepared=None, failed_starts=0
    ):
        self.cores, self.ends, self.deadly = cores, collections.deque(ends), set(deadly)
        self.problem, self.prepared, self.failed_starts = problem, prepared, failed_starts
        self.answers, self.process_of, self.killed = {}, {}, set()
        self.most_at_once, self.at_once_with = 0, collections.defaultdict(list)
        self.started = 0

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": float(cores)}} for cores in self.cores]

    def put(self, make):
        return make

    def kill(self, handle):
        self.killed.add(handle.number)

    def remote(self, _):
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.start))

    def start(self, home, *, cores):
        self.started += 1
        process = self.started
        handle = Handle(process)
        handle.where = SimpleNamespace(remote=lambda: self.call(process, "where", None))
        handle.prepare = SimpleNamespace(remote=lambda *_: self.call(process, "prepare", None))
        handle.call = SimpleNamespace(remote=lambda piece: self.call(process, "call", piece))
        return handle

    def call(self, process, what, piece):
        reference = len(self.process_of)
        self.process_of[reference] = process
        self.answers[reference] = what, piece
        busy = [one for what, one in self.answers.values() if what == "call"]
        self.most_at_once = max(self.most_at_once, len(busy))
        if what == "call":
            self.at_once_with[piece].append(len(busy))
        return reference

    def wait(self, references, *, num_returns, timeout):
        return references[:num_returns], references[num_returns:]

    def get(self, reference):
        process = self.process_of[reference]
        what, piece = self.answers.pop(reference)
        if process in self.killed:
            raise self.exceptions.RayError("it has ended")
        if what == "where":
            if self.failed_starts:
                self.failed_starts -= 1
                raise self.exceptions.RayError("no memory")
            return "node", self.problem
        if what == "prepare":
            return Done(None, self.prepared, (), 0.1)
        if piece in self.deadly or (self.ends and self.ends.popleft()):
            self.killed.add(process)
            for other in [one for one in self.answers if self.process_of[one] == process]:
                self.answers.pop(other)
            raise self.exceptions.RayError("it has ended")
        if piece % 5 == 4:
            return Done(None, InputError(f"{piece} cannot be read"), (), 0.5)
        if piece % 7 == 6:
            return Done(10 * piece, None, (PhotographWarning(f"look at {piece}"),), 0.5)
        return Done(10 * piece, None, (), 0.5)


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Looks at nodes all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_pieces, "LOOK_SECONDS", 0)
        yield


def outcomes_of(ray: Ray, number: int, *, threads: int = 1, stopped=lambda: False, said=None, tallies=None):
    pieces = Pieces(
        ray, None, lambda: None, pieces=list(range(number)), need=Need(threads=threads), token=None, stopped=stopped,
        say=[].append if said is None else said.append, tallies={} if tallies is None else tallies,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PhotographWarning)
        return list(pieces.outcomes())


@settings(max_examples=50, deadline=None)
@given(
    number=st.integers(0, 25), cores=st.lists(st.integers(0, 3), min_size=1, max_size=3).filter(any),
    threads=st.integers(1, 3), ends=st.lists(st.booleans(), max_size=30),
    deadly=st.sets(st.integers(0, 24), max_size=2),
)  # fmt: skip
def test_every_piece_has_one_outcome_whatever_ends(number, cores, threads, ends, deadly):
    ray, tallies = Ray(cores, ends=ends, deadly=deadly), {}
    outcomes = outcomes_of(ray, number, threads=threads, tallies=tallies)
    assert sorted(one for one, _ in outcomes) == list(range(number))
    for one, outcome in outcomes:
        if one in deadly:
            assert isinstance(outcome, LostPieceError)
        elif isinstance(outcome, LostPieceError):
            assert ends.count(True) >= 2 * cluster_pieces.TRIES  # so often it was in work where a process ended
        elif one % 5 == 4:
            assert str(outcome) == f"{one} cannot be read"
        else:
            assert outcome == 10 * one
    assert ray.most_at_once <= threads * sum(cores)
    finished = sum(not isinstance(outcome, LostPieceError) for _, outcome in outcomes)
    assert sum(tally.pieces for tally in tallies.values()) == finished


def test_a_piece_that_ends_its_process_is_tried_alone_before_it_is_named():
    ray, said = Ray([2, 2], deadly={3}), []
    outcomes = dict(outcomes_of(ray, 12, said=said))
    assert isinstance(outcomes.pop(3), LostPieceError)
    assert len(outcomes) == 11
    assert len(ray.at_once_with[3]) == 2 * cluster_pieces.TRIES
    assert ray.at_once_with[3][-cluster_pieces.TRIES :] == [1] * cluster_pieces.TRIES
    assert len(said) == 2 * cluster_pieces.TRIES - 1


def test_warnings_of_nodes_are_warnings_of_the_command():
    pieces = Pieces(
        Ray([1]), None, lambda: None, pieces=list(range(7)), need=Need(), token=None, stopped=lambda: False, say=print,
        tallies={},
    )  # fmt: skip
    with pytest.warns(PhotographWarning, match="look at 6"):
        assert len(list(pieces.outcomes())) == 7


def test_nothing_is_dealt_out_after_a_stop():
    ray, stops = Ray([1]), iter([False] * 4 + [True] * 99)
    outcomes = outcomes_of(ray, 20, stopped=lambda: next(stops))
    assert 0 < len(outcomes) < 5


def test_what_is_wrong_with_a_node_ends_the_command():
    with pytest.raises(InputError, match="node node has Python 2"):
        outcomes_of(Ray([1], problem="has Python 2"), 3)
    with pytest.raises(InputError, match="another folder"):
        outcomes_of(Ray([1], prepared=InputError("another folder")), 3)
    with pytest.raises(OSError, match="full"):
        outcomes_of(Ray([1], prepared=OSError("full")), 3)
    with pytest.raises(InputError, match="processes ended while they started; Ray says: no memory"):
        outcomes_of(Ray([2], failed_starts=99), 3)


def test_cores_that_no_node_has_are_named(monkeypatch):
    monkeypatch.setattr(cluster_pieces, "SLOW_SECONDS", 0)
    with pytest.raises(InputError, match="no node has 1 CPU"):
        outcomes_of(Ray([0]), 3)
