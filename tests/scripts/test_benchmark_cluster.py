"""Simulated clusters: every piece is worked on once, no later than any list of pieces that is dealt out one by one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import Config, DataConfig
from scripts.benchmarks import cluster as benchmark
from scripts.benchmarks.simulated_ray import SimulatedRay
from scripts.support.cluster_pieces import LOOK_SECONDS, Need, Pieces


def run(seconds: list[float], nodes: int, cores: int, start: float) -> tuple[list[int], float]:
    """Returns the numbers of the pieces in the order of their ends, and when the last one ended."""
    ray = SimulatedRay(nodes, cores=cores, seconds=seconds, start=start, prepare=0.0)
    pieces = Pieces(
        ray, None, lambda: None, pieces=range(len(seconds)), need=Need(), token=None, stopped=lambda: False,
        say=[].append, tallies={}, clock=ray,
    )  # fmt: skip
    return [number for number, _ in pieces.outcomes()], ray.now


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=60), st.integers(1, 4), st.integers(1, 3), st.floats(0, 3))
def test_all_pieces_end_within_grahams_bound(seconds, nodes, cores, start):
    done, end = run(seconds, nodes, cores, start)
    workers = nodes * cores
    assert sorted(done) == list(range(len(seconds)))
    assert end >= start + max(sum(seconds) / workers, *seconds) - 1e-6
    # Graham 1966, theorem 1; each process may be noticed a look later.
    assert end <= start + sum(seconds) / workers + max(seconds) + 2 * LOOK_SECONDS


def test_equal_pieces_keep_all_cores_busy_but_for_the_start():
    _, end = run([1.0] * 640, 8, 8, start=0.0)
    assert end == pytest.approx(10.0, abs=LOOK_SECONDS)


def test_pieces_of_a_real_source_are_timed_and_simulated(write_eyes, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "CORES", (1, 16))
    write_eyes(tmp_path / "eyes", lesions={"HE": [[8, 20]] * 4})
    result = benchmark.measure(Config(data=DataConfig(classes=("HE",), tile=64, stride=64)), tmp_path / "eyes")
    assert [row[0] for row in result.rows] == ["shard: survey", "shard: cut"]
    for kind, busy in result.keys["busy"].items():
        assert set(busy) == {"1", "16"} and all(0 < fraction <= 1 for fraction in busy.values())
        assert result.keys["seconds_per_piece"][kind] > 0
