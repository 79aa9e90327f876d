"""Finished folds and their pooled scores: the same wherever the folds were run, or an error."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from configs import Config, DataConfig, InputError, TrainConfig
from pipeline.evaluation import bootstrap, count_photograph
from pipeline.evaluation.crossvalidation import POOLED, pool_folds
from pipeline.evaluation.fold_results import FOLD, FoldResult, check_together, read_folds, write_fold
from pipeline.evaluation.results import COUNTS, SCORES, counts_writer
from pipeline.operating_point import OperatingPoint
from records.files import sha256_of

BINS = 64
CONFIG = Config(data=DataConfig(classes=("HE",)))
FOLDS = 3
EARLIER = Path(__file__).parents[1] / "data" / "earlier_crossval"  # written before fields were renamed


@pytest.fixture
def few_resamples(monkeypatch):
    """Draws few resamples, for tests that do not depend on their number."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)


def draw(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Draws a probability map float32 `[20, 24, 1]`, each value a bin's lower edge, and masks bool `[20, 24, 1]`."""
    rng = np.random.default_rng(int(case))
    masks = np.zeros((20, 24, 1), bool)
    if int(case) % 4:
        masks[3:9, 4 : 8 + int(case) % 4] = True
    level = np.floor(rng.beta(2, 3, masks.shape) * BINS * 0.6 + masks * BINS * 0.3).astype(int)
    return (level / BINS).astype(np.float32), masks


def score_case(case: str, threshold: float):
    probabilities, masks = draw(case)
    retina = np.ones(masks.shape[:2], bool)
    return count_photograph(
        case,
        probabilities,
        masks,
        field_of_view=retina,
        classes=("HE",),
        operating_point=OperatingPoint((threshold,)),
        bins=BINS,
    )


def finish_fold(workdir: Path, fold: int, cases: list[str], /, **changes) -> Path:
    """Writes the result of a finished fold; each fold has a threshold of its own."""
    folder, threshold = workdir / f"fold_{fold}" / "result", 0.4 + fold / 10
    (folder / "0").mkdir(parents=True)
    with counts_writer(folder / "0", classes=("HE",), bins=BINS, thresholds=(threshold,)) as writer:
        for case in cases:
            writer.add(score_case(case, threshold))
    (folder / "0" / SCORES).write_text(json.dumps({"threshold_source": "validation"}))
    result = FoldResult(
        fold=fold,
        folds=FOLDS,
        plan="plan",
        photographs=7,
        config=CONFIG,
        held_out=dict.fromkeys(cases, "digest"),
        training=4,
        validation=1,
        seconds={"train": 60.0},
        sources=("0",),
        counts=(sha256_of(folder / "0" / COUNTS),),
    )
    write_fold(folder, dataclasses.replace(result, **changes))
    return folder


def test_pooled_scores_are_those_of_all_photographs_at_their_folds_thresholds(tmp_path):
    folds = {0: ["0", "1", "2"], 1: ["3", "4"], 2: ["5", "6"]}
    for fold, cases in folds.items():
        finish_fold(tmp_path, fold, cases)
    content = pool_folds(tmp_path)
    pairs = {case: draw(case) for cases in folds.values() for case in cases}
    maps, masks = (np.concatenate([pair[index].ravel() for pair in pairs.values()]) for index in (0, 1))
    scores = content["scores"]["frame"]["HE"]
    assert scores["aupr"] == pytest.approx(average_precision_score(masks, maps), abs=1e-12)
    found = np.concatenate([draw(c)[0].ravel() >= 0.4 + fold / 10 for fold, cases in folds.items() for c in cases])
    assert scores["dice"] == pytest.approx(2 * np.sum(found & masks) / (found.sum() + masks.sum()), abs=1e-12)
    assert (content["finished"], content["photographs"], content["photographs_in_all"]) == ([0, 1, 2], 7, 7)
    assert [one["thresholds"]["HE"] for one in content["by_fold"]] == pytest.approx([0.4, 0.5, 0.6])
    each = [
        average_precision_score(*(np.concatenate([draw(c)[index].ravel() for c in cases]) for index in (1, 0)))
        for cases in folds.values()
    ]
    over = content["over_folds"]["frame"]["HE"]["aupr"]
    assert (over["folds"], over["mean"]) == (3, pytest.approx(np.mean(each)))
    assert over["deviation"] == pytest.approx(np.std(each, ddof=1))
    low, high = content["intervals"]["frame"]["HE"]["aupr"]
    assert low < scores["aupr"] < high
    assert json.loads((tmp_path / POOLED).read_text()) == content
    assert len((tmp_path / "photographs.csv").read_text().splitlines()) == 1 + 2 * 7


@pytest.mark.usefixtures("few_resamples")
def test_unfinished_folds_are_left_out_of_the_pooled_scores(tmp_path):
    assert pool_folds(tmp_path) is None and not list(tmp_path.iterdir())
    finish_fold(tmp_path, 2, ["5", "6"])
    (tmp_path / "fold_0" / "result").mkdir(parents=True)
    content = pool_folds(tmp_path)
    assert (content["finished"], content["photographs"], content["folds"]) == ([2], 2, FOLDS)
    assert content["over_folds"]["frame"]["HE"]["aupr"]["deviation"] is None


@pytest.mark.usefixtures("few_resamples")
def test_folds_run_on_several_machines_give_the_same_files(tmp_path):
    for fold, cases in enumerate((["0", "1"], ["2", "3"], ["4", "5", "6"])):
        finish_fold(tmp_path / "at_once", fold, cases)
        part = finish_fold(tmp_path / f"machine_{fold % 2}", fold, cases)
        shutil.copytree(part, tmp_path / "together" / f"fold_{fold}" / "result")
    pool_folds(tmp_path / "at_once")
    pool_folds(tmp_path / "together")
    for name in (POOLED, "photographs.csv", "lesions.csv"):
        assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "at_once" / name).read_bytes()


def rows_of(table: Path) -> list[dict[str, str]]:
    with open(table) as file:
        return [{name: value for name, value in row.items() if name != "ece"} for row in csv.DictReader(file)]


def check_close(after, before) -> None:
    """Holds equal content, but what is computed from middles of bins, which were wider."""
    if isinstance(before, dict):
        assert list(after) == list(before)
        for key, value in before.items():
            if key in ("ece", "mean_probability"):
                assert after[key] == pytest.approx(value, abs=0.005)
            else:
                check_close(after[key], value)
    elif isinstance(before, list):
        for one, other in zip(after, before, strict=True):
            check_close(one, other)
    else:
        assert after == before


def test_folds_of_the_earlier_version_are_pooled_to_the_same_scores(tmp_path):
    shutil.copytree(EARLIER, tmp_path, dirs_exist_ok=True)
    before = json.loads((tmp_path / POOLED).read_text())
    tables = {name: rows_of(tmp_path / name) for name in ("photographs.csv", "lesions.csv")}
    after = pool_folds(tmp_path)
    assert after.pop("known_photographs") == dict.fromkeys(after["classes"], after["photographs"])  # as ever
    assert after.pop("sparsification") is None  # its counts have no tiles
    points = after.pop("operating_points")
    assert "have no counts at other thresholds and areas" in points["why_not"] and not points["classes"]
    assert points["lacking"] == ["fold_0", "fold_1"]
    assert list(after) == list(before)
    for key in after.keys() - {"intervals", "over_classes", "per_photograph", "lesions"}:  # those with random draws
        check_close(after[key], before[key])
    assert after["intervals"]["frame"]["HE"]["dice"] == pytest.approx(before["intervals"]["frame"]["HE"]["dice"])
    assert {name: rows_of(tmp_path / name) for name in tables} == tables


OTHER_SEED = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, seed=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": OTHER_SEED}, "data.seed was 0 and is 1"),
        ({"folds": 5}, "--folds was 3 and is 5"),
        ({"plan": "another"}, "photographs, masks, or their folds"),
        ({"fold": 0}, "both are fold 0, which would count twice"),
        ({"held_out": {"2": "digest"}}, "the counts beside it belong to another fold"),
        ({"counts": ("00",)}, "the counts beside it belong to another fold"),
    ],
)
def test_folds_that_do_not_belong_together_are_refused_with_what_differs(tmp_path, changes, message):
    finish_fold(tmp_path, 0, ["0", "1"])
    finish_fold(tmp_path, 1, ["2", "3"], **changes)
    with pytest.raises(InputError, match=message) as error:
        pool_folds(tmp_path)
    assert "fold_1" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / POOLED).exists()


def test_a_photograph_in_two_folds_is_refused(tmp_path):
    finish_fold(tmp_path, 0, ["0", "1"])
    finish_fold(tmp_path, 1, ["1", "2"])
    with pytest.raises(InputError, match="photograph 1 was also scored in .*fold_0"):
        pool_folds(tmp_path)


@pytest.mark.parametrize("damage", ["{", '{"schema_version": 1}', '{"schema_version": 99}', "[]"])
def test_a_damaged_result_is_named_in_the_error(tmp_path, damage):
    folder = finish_fold(tmp_path, 0, ["0", "1"])
    (folder / FOLD).write_text(damage)
    with pytest.raises(InputError, match=r"fold_0.result.fold\.json: (damaged|schema version 99)") as error:
        read_folds(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("few_resamples")
def test_machines_may_differ_in_fields_that_change_no_score(tmp_path):
    elsewhere = dataclasses.replace(CONFIG, train=TrainConfig(strategy="cpus:2", cache="none"))
    finish_fold(tmp_path, 0, ["0", "1"])
    folder = finish_fold(tmp_path, 1, ["2", "3"], config=elsewhere)
    fingerprint = pool_folds(tmp_path)["config"]
    assert fingerprint == CONFIG.fingerprint()
    check_together(folder, read_folds(tmp_path)[folder], CONFIG, folds=FOLDS, plan="plan", what="this command")
