"""The benchmark of sizes on synthetic photographs: photographs as they are have the scores of eval."""

import dataclasses
import json

import numpy as np
import pytest

from configs import Config, DataConfig
from pipeline.evaluation import load_case
from scripts.benchmarks import sizes as benchmark
from scripts.benchmarks.scoring import plan_scoring, segment_and_count

FORMS = ("as they are", "cropped to the field of view", "turned by 90 degrees")


@pytest.mark.slow
def test_photographs_as_they_are_have_the_scores_of_eval_and_every_form_is_compared_with_them(way, monkeypatch):
    def test_cases(*arguments, split):
        assert split == "all"
        return plan_scoring(*arguments, split="test")  # which eval has scored

    monkeypatch.setattr(benchmark, "FORMS", {name: benchmark.FORMS[name] for name in FORMS})
    monkeypatch.setattr(benchmark, "plan_scoring", test_cases)
    config = Config(data=DataConfig(classes=("HE",)))
    result = benchmark.measure(config, model=way.workdir / "model", source=way.source)
    aupr = {name: of_class["HE"] for name, of_class in result.keys["aupr"].items()}
    scores = json.loads((way.workdir / "scores.json").read_text())
    assert aupr["as they are"] == pytest.approx(scores["scores"]["frame"]["HE"]["aupr"])
    assert [row[0] for row in result.rows] == list(FORMS)
    for row in result.rows:
        assert row[1] == "1.000–1.000"
        assert row[2:] == [f"{aupr[row[0]]:.3f}", f"{aupr['as they are'] - aupr[row[0]]:+.3f}"]


@pytest.mark.slow
def test_what_is_unknown_of_a_photograph_is_unknown_in_every_form(way, monkeypatch):
    def unknown(case, data):
        loaded = load_case(case, data)
        return dataclasses.replace(loaded, known=np.zeros_like(loaded.masks), masks=np.zeros_like(loaded.masks))

    counted = []

    def count(*arguments, **options):
        counted.append(segment_and_count(*arguments, **options))
        return counted[-1]

    monkeypatch.setattr(benchmark, "FORMS", {name: benchmark.FORMS[name] for name in FORMS})
    monkeypatch.setattr(benchmark, "plan_scoring", lambda *arguments, split: plan_scoring(*arguments, split="test"))
    monkeypatch.setattr(benchmark, "load_case", unknown)
    monkeypatch.setattr(benchmark, "segment_and_count", count)
    benchmark.measure(Config(data=DataConfig(classes=("HE",))), model=way.workdir / "model", source=way.source)
    assert len(counted) == 2 * len(FORMS) and not any(one.knows("HE") for one in counted)
