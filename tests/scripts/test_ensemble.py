"""The ensemble command: a folder of several models that other commands take, and lines about what does not fit."""

import csv
import dataclasses
import json
import re
import warnings

import numpy as np
import pytest

from models import number_of_members
from pipeline.inference import load_model, read_spec, save_model


@pytest.fixture(scope="module")
def models(way, tmp_path_factory):
    """Two folders that a pattern matches: the model of the whole way, and what some more steps may have led to."""
    base = tmp_path_factory.mktemp("ensemble")
    network, spec = load_model(way.workdir / "model")
    random = np.random.default_rng(0)
    for name, noise in (("fold_0", 0.0), ("fold_1", 0.02)):
        network.set_weights([one + np.abs(one) * random.normal(0, noise, one.shape) for one in network.get_weights()])
        thresholds = tuple(value + noise for value in spec.thresholds)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
            save_model(base / name / "model", network, dataclasses.replace(spec, thresholds=thresholds))
    return base


@pytest.fixture(scope="module")
def joined(run, models):
    done = run("ensemble", f"--models={models}/fold_*/model", f"--output={models / 'joined'}")
    assert done.returncode == 0, done.stderr
    assert "2 members, whose probabilities are averaged" in done.stdout
    return models / "joined"


def test_the_folder_is_a_model_like_any_other_for_eval_and_predict_with_both_models_counts_the_same(
    joined, models, run, way, tmp_path
):
    assert len(read_spec(joined / "segmenter.json").members) == 2
    photograph = next(way.source.glob("A*/1*/b*/SYN_06.jpg"))
    both = [f"--model={models / name / 'model'}" for name in ("fold_0", "fold_1")]
    out = f"--output={tmp_path / 'out'}"
    for arguments in ((*both, out), (f"--model={joined}", f"--output={tmp_path / 'folder'}")):
        done = run("predict", *arguments, photograph)
        assert done.returncode == 0, done.stderr
    rows = [
        list(csv.reader((tmp_path / name / "predictions.csv").read_text().splitlines())) for name in ("out", "folder")
    ]
    assert rows[0] == rows[1]
    for other in (both[:1], [*both, "--average=logits"]):
        done = run("predict", *other, out, photograph)
        assert done.returncode == 2
        assert "contains predictions of another model" in done.stderr
    done = run("predict", *reversed(both), out, photograph)
    assert done.returncode == 0, done.stderr
    assert "1 of them already finished" in done.stdout
    done = run("eval", f"--model={joined}", f"--source={way.source}", "--split=test", f"--output={tmp_path / 'eval'}")
    assert done.returncode == 0, done.stderr
    assert "means of those of the models that were joined" in (tmp_path / "eval" / "report.html").read_text()
    assert json.loads((tmp_path / "eval" / "scores.json").read_text())["threshold_source"] == "members"


def test_mean_weights_are_one_network_with_statistics_of_the_records(models, run, way):
    average = ("ensemble", "--average=weights", f"--models={models}/fold_*/model")
    done = run(*average, f"--output={models / 'mean'}", f"--records={way.records}")
    assert done.returncode == 0, done.stderr
    network, spec = load_model(models / "mean")
    assert number_of_members(network) == 1
    assert spec.members == ()
    if any("norm" in layer.name for layer in network.layers):
        assert re.search(r"statistics of its normalisations from [1-9]\d* training tiles", done.stdout)
        done = run(*average, f"--output={models / 'mean'}", "--overwrite")
        assert done.returncode == 2
        assert "name the --records that the models were trained on" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models={0}/fold_0/model"], "several models are joined; name two or more"),
        (["--models={0}/none_*/model"], "none_*/model: matches nothing; expected model folders, such as CV/fold_*/"),
        (["--models={0}/fold_0/model,{0}/fold_0/model"], "have the same network; name each model once"),
        (["--models={0}/fold_0,{0}/fold_1"], "contains no network.keras; expected a model folder"),
        (["--models={0}/fold_*/model", "--records={0}"], "only --average=weights reads records"),
        (["--models={0}/fold_*/model", "--output={0}/fold_1/model", "--overwrite"], "is one of --models"),
        (["--models={0}/fold_*/model", "--output={0}/joined"], "holds a model already"),
    ],
    ids=["one", "pattern", "twice", "folder", "records", "member", "there"],
)
def test_what_does_not_fit_is_refused_in_one_line(joined, models, run, tmp_path, arguments, message):
    given = [argument.format(models) for argument in arguments]
    output = [] if any("--output" in argument for argument in given) else [f"--output={tmp_path / 'out'}"]
    done = run("ensemble", *given, *output)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
