"""Shards that a cluster writes: the same, and without a photograph that ends every process that cuts it."""

import dataclasses
import pickle

import pytest

from configs import InputError
from records import LostPieceError
from records.shards import building
from records.shards.sharding import plan_shards


class OneProcess:
    """A cluster that calls functions here, after everything was pickled; pieces that name `deadly` end its process."""

    def __init__(self, deadly: str = "", broken: bool = False):
        self.deadly, self.broken = deadly, broken
        self.folders = []

    def map(self, function, pieces, *, folder=None):
        self.folders.append(folder)
        function = pickle.loads(pickle.dumps(function))
        for piece in pieces:
            sent = pickle.loads(pickle.dumps(piece))
            cases = [case.name for case in sent.plan.cases] if hasattr(sent, "plan") else [sent[0].name]
            left_out = getattr(sent, "left_out", {})
            if self.broken or (self.deadly in cases and self.deadly not in left_out):
                yield LostPieceError("ended the process")
                continue
            try:
                yield pickle.loads(pickle.dumps(function(sent)))
            except InputError as error:
                yield error


def build(records_set, folder, cluster, **options):
    folder.mkdir(exist_ok=True)
    plans = plan_shards(records_set.cases, records_set.data, records_set.surveys)
    return building.build_records("idrid", plans, records_set.surveys, folder=folder, workers=cluster, **options)


def test_a_cluster_writes_the_same_bytes(records_set, tmp_path):
    cluster = OneProcess()
    index, failures = build(records_set, tmp_path / "there", cluster)
    assert index == records_set.index
    assert failures == {}
    for shard in [*(tmp_path / "there").glob("*.tfrecord-*"), tmp_path / "there" / "index.json"]:
        assert shard.read_bytes() == (records_set.folder / shard.name).read_bytes()
    assert cluster.folders == [tmp_path / "there" / building.BUILDING]


def test_a_photograph_that_ends_its_process_is_named_and_its_neighbours_stay(records_set, tmp_path):
    deadly = records_set.index.splits["train"].cases[0]
    index, failures = build(records_set, tmp_path / "there", OneProcess(deadly))
    assert list(failures) == [deadly]
    assert failures[deadly].endswith(f"{deadly}.png: ended the process")
    assert set(index.cases) == set(records_set.index.cases) - {deadly}
    whole = {shard.name: shard.sha256 for split in records_set.index.splits.values() for shard in split.shards}
    now = {shard.name: shard.sha256 for split in index.splits.values() for shard in split.shards}
    assert sum(whole[name] != now[name] for name in whole) == 1


def test_a_shard_whose_photographs_all_survive_alone_ends_the_command(records_set, tmp_path):
    class Full(OneProcess):
        def map(self, function, pieces, *, folder=None):
            self.broken = folder is not None
            return super().map(function, pieces, folder=folder)

    with pytest.raises(LostPieceError, match="free memory on the nodes"):
        build(records_set, tmp_path / "there", Full())


def test_strict_stops_at_a_photograph_that_cannot_be_read(records_set, tmp_path):
    broken = dataclasses.replace(records_set.cases[0], photograph=tmp_path / "gone.jpg")
    cases = [broken, *records_set.cases[1:]]
    plans = plan_shards(cases, records_set.data, records_set.surveys)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=r"gone\.jpg"):
        building.build_records(
            "idrid", plans, records_set.surveys, folder=tmp_path / "there", workers=OneProcess(), strict=True
        )
