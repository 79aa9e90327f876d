"""The benchmark of sizes on synthetic photographs: photographs as they are have the scores of eval."""

import json

import pytest

from configs import Config, DataConfig
from records import find_cases
from scripts.benchmarks import sizes as benchmark

FORMS = ("as they are", "cropped to the field of view", "turned by 90 degrees")


@pytest.mark.slow
def test_photographs_as_they_are_have_the_scores_of_eval_and_every_form_is_compared_with_them(way, monkeypatch):
    def test_cases(*arguments, **options):
        layout, cases = find_cases(*arguments, **options)
        return layout, [case for case in cases if case.split == "test"]  # which eval has scored

    monkeypatch.setattr(benchmark, "FORMS", {name: benchmark.FORMS[name] for name in FORMS})
    monkeypatch.setattr(benchmark, "find_cases", test_cases)
    config = Config(data=DataConfig(classes=("HE",)))
    result = benchmark.measure(config, model=way.workdir / "model", source=way.source)
    aupr = {name: of_class["HE"] for name, of_class in result.keys["aupr"].items()}
    scores = json.loads((way.workdir / "scores.json").read_text())
    assert aupr["as they are"] == pytest.approx(scores["scores"]["frame"]["HE"]["aupr"])
    assert [row[0] for row in result.rows] == list(FORMS)
    for row in result.rows:
        assert row[1] == "1.000–1.000"
        assert row[2:] == [f"{aupr[row[0]]:.3f}", f"{aupr['as they are'] - aupr[row[0]]:+.3f}"]
