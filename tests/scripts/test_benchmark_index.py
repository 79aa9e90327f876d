"""The benchmark of the index: both forms of growing sets are written, and each is read in a process of its own."""

from configs import Config, DataConfig
from records import find_cases
from records.synthetic import write_synthetic_set
from scripts.benchmarks import index as benchmark
from scripts.benchmarks.shard import shard_cases

CONFIG = Config(data=DataConfig(scale=0.25, tile=64, stride=64))


def test_both_forms_of_growing_sets_are_written_and_read(tmp_path, monkeypatch):
    write_synthetic_set(tmp_path / "source", training=2, test=1)
    cases = find_cases(tmp_path / "source", CONFIG.data.classes)[1]
    shard_cases(cases, CONFIG.data, 1, folder=tmp_path / "records")
    monkeypatch.setattr(benchmark, "PHOTOGRAPHS", (3, 2000))
    result = benchmark.measure(CONFIG, tmp_path / "records")
    assert [row[:2] for row in result.rows] == [
        [number, form] for number in ("3", "2,000") for form in ("index.json", "cases.parquet")
    ]
    for form in benchmark.FORMS:
        few, many = (result.keys[f"{form}, {number}"] for number in (3, 2000))
        assert many["bytes"] > few["bytes"]
        assert many["opened"] > 0 and many["passed"] > 0
