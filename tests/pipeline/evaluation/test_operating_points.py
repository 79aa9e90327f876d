"""Operating points that were earned, compared with loops over folds, photographs and the grid."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation import bootstrap
from pipeline.evaluation.counting import REGIONS, Counts, PhotographCounts
from pipeline.evaluation.fold_results import FOLD
from pipeline.evaluation.lesion_matching import LESION
from pipeline.evaluation.operating_points import WAYS, choose, earned_operating_points, table_rows
from pipeline.evaluation.results import SCORES, counts_writer, read_result
from pipeline.evaluation.sweeps import AREAS, OUTCOMES, THRESHOLDS

BINS = 1280
FOLDS = {"fold_0": 4, "fold_1": 3, "fold_2": 4}  # photographs of each


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def draw_sweep(rng: np.random.Generator, *, noise: int = 0) -> tuple[np.ndarray, int, int]:
    """Draws what a photograph counts: a sweep, lesion pixels and lesions; `noise` small false detections."""
    lesions, pixels = int(rng.integers(2, 9)), int(rng.integers(300, 900))
    place = np.arange(len(THRESHOLDS))[:, None] + rng.normal(0, 0.5)
    part = np.repeat(1 / (1 + np.exp((place - 11) / 2)), len(AREAS), axis=1)
    part_false = np.repeat(1 / (1 + np.exp((place - 6) / 2)), len(AREAS), axis=1)
    small = np.exp(-np.arange(len(AREAS)) / 1.5)[None, :]
    found = np.floor(lesions * part * (1 - 0.02 * np.arange(len(AREAS)))[None, :])
    false_detections = np.floor(20 * part_false + noise * small * part)
    true = np.floor(pixels * part)
    false = np.floor(pixels * part_false + 10 * noise * small * part)
    return np.array([true, false, found, false_detections, found]).astype(np.int64), pixels, lesions


def photograph(case: str, drawn: tuple[np.ndarray, int, int] | None, *, lesions: bool = True) -> PhotographCounts:
    """Returns counts of a photograph of one class; None: it is unknown there."""
    sweep, pixels, number = drawn if drawn is not None else (np.zeros((5, len(THRESHOLDS), len(AREAS)), int), 0, 0)
    if not lesions:
        sweep, pixels, number = sweep.copy(), 0, 0
        sweep[[0, 2, 4]] = 0
    at = sweep[:, 9, 0]
    negatives = np.zeros(BINS, np.int64)
    negatives[3] = 10**5 if drawn is not None else 0
    lesion = np.zeros(BINS, np.int64)
    lesion[700] = pixels
    counts = Counts(lesion, negatives, int(at[0]), int(at[1]))
    true, detections = np.zeros(number, LESION), np.zeros(at[2] + at[3], LESION)
    true["matched"][: at[4]] = True
    detections["matched"][: at[2]] = True
    by_class = {region: {"HE": counts} for region in REGIONS}
    return PhotographCounts(case, 10, 10, by_class, {"HE": true}, {"HE": detections}, factor=0.5, sweeps={"HE": sweep})


def write(folder: Path, photographs: list[PhotographCounts]) -> Path:
    folder.mkdir(parents=True)
    with counts_writer(folder, classes=("HE",), bins=BINS, thresholds=(0.5,)) as writer:
        for one in photographs:
            writer.add(one)
    (folder / SCORES).write_text(json.dumps({}))
    return folder


def write_folds(workdir: Path, photographs: dict[str, list[PhotographCounts]]) -> list[Path]:
    folders = [write(workdir / name / "result" / "0", several) for name, several in photographs.items()]
    for folder in folders:
        (folder.parent / FOLD).write_text("{}")
    return folders


def drawn_folds(seed: int = 0, **options) -> dict[str, list[PhotographCounts]]:
    rng = np.random.default_rng(seed)
    return {
        name: [photograph(f"{name} {number}", draw_sweep(rng, **options)) for number in range(count)]
        for name, count in FOLDS.items()
    }


def of_folds(workdir: Path, photographs: dict[str, list[PhotographCounts]]) -> dict:
    return earned_operating_points(read_result(*write_folds(workdir, photographs)))


def dice_of(sums: np.ndarray, pixels: int) -> Fraction:
    return Fraction(2 * int(sums[0]), pixels + int(sums[0]) + int(sums[1]))


def f1_of(sums: np.ndarray, lesions: int) -> Fraction:
    found, right = Fraction(int(sums[4]), lesions), Fraction(int(sums[2]), max(int(sums[2] + sums[3]), 1))
    return 2 * found * right / (found + right) if found + right else Fraction(0)


@given(st.integers(0, 10**6), st.integers(0, 40))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_the_points_are_the_best_of_a_loop_over_the_grid(seed, noise):
    rng = np.random.default_rng(seed)
    sweep, pixels, lesions = draw_sweep(rng, noise=noise)
    chosen = choose(sweep, np.array([pixels, lesions, 1]))
    dice = [[dice_of(sweep[:, t, a], pixels) for a in range(len(AREAS))] for t in range(len(THRESHOLDS))]
    f1 = [[f1_of(sweep[:, t, a], lesions) for a in range(len(AREAS))] for t in range(len(THRESHOLDS))]
    threshold, area = chosen["threshold"]
    assert area == 0 and dice[threshold][0] == max(row[0] for row in dice)
    least = dice[threshold][0], f1[threshold][0]
    for way, thresholds in (("area", [threshold]), ("both", range(len(THRESHOLDS)))):
        t, a = chosen[way]
        assert t in thresholds and dice[t][a] >= least[0] and f1[t][a] >= least[1]
        values = [
            dice[i][j] + f1[i][j]
            for i in thresholds
            for j in range(len(AREAS))
            if dice[i][j] >= least[0] and f1[i][j] >= least[1]
        ]
        assert float(dice[t][a] + f1[t][a]) == pytest.approx(float(max(values)), abs=1e-12)


def test_every_photograph_is_scored_at_what_was_chosen_without_its_fold(tmp_path):
    photographs = drawn_folds(noise=30)
    content = of_folds(tmp_path, photographs)["classes"]["HE"]
    for way in WAYS:
        sums, pixels, lesions = np.zeros(len(OUTCOMES), np.int64), 0, 0
        for entry in content["by_fold"][way]:
            others = [one for name, several in photographs.items() if name != entry["left_out"] for one in several]
            labelled = (
                [one.counts["frame"]["HE"].lesion.sum() for one in others],
                [len(o.lesions["HE"]) for o in others],
            )
            without = choose(sum(one.sweeps["HE"] for one in others), np.array([*map(sum, labelled), len(others)]))[way]
            assert (entry["threshold"], entry["min_area"]) == (THRESHOLDS[without.threshold], AREAS[without.area])
            for one in photographs[entry["left_out"]]:
                sums += one.sweeps["HE"][:, without.threshold, without.area]
                pixels += int(one.counts["frame"]["HE"].lesion.sum())
                lesions += len(one.lesions["HE"])
        scores = content["scores"][way]
        assert scores["dice"]["value"] == pytest.approx(float(dice_of(sums, pixels)))
        assert scores["lesion_f1"]["value"] == pytest.approx(float(f1_of(sums, lesions)))
        assert scores["lesion_sensitivity"]["value"] == pytest.approx(sums[4] / lesions)
        assert scores["lesion_precision"]["value"] == pytest.approx(sums[2] / (sums[2] + sums[3]))
        assert scores["false_detections"]["value"] == pytest.approx(sums[3] / sum(FOLDS.values()))
        low, high = scores["dice"]["interval"]
        assert low < scores["dice"]["value"] < high
    before = content["scores"]["before"]
    sums = sum(one.sweeps["HE"][:, 9, 0] for several in photographs.values() for one in several)
    assert before["false_detections"]["value"] == pytest.approx(sums[3] / sum(FOLDS.values()))
    assert before["dice"]["value"] == pytest.approx(float(dice_of(sums, pixels)))


def test_what_is_chosen_for_a_fold_does_not_depend_on_its_photographs(tmp_path):
    one, other = drawn_folds(noise=30), drawn_folds(noise=30)
    other["fold_1"] = [photograph(f"fold_1 {n}", draw_sweep(np.random.default_rng(90 + n))) for n in range(3)]
    first, second = (of_folds(tmp_path / name, drawn) for name, drawn in (("one", one), ("other", other)))
    for way in WAYS:
        chosen = [{e["left_out"]: e for e in c["classes"]["HE"]["by_fold"][way]}["fold_1"] for c in (first, second)]
        assert chosen[0] == chosen[1]


def test_an_area_is_taken_where_it_drops_many_false_detections_and_reduces_them_at_equal_sensitivity(tmp_path):
    content = of_folds(tmp_path, drawn_folds(noise=60))["classes"]["HE"]
    assert content["chosen"]["way"] in ("area", "both") and content["chosen"]["min_area"] > 0
    assert content["differences"]["area"]["helps"]
    assert content["differences"]["area"]["lesion_f1"]["interval"][0] > 0
    taken = content["scores"][content["chosen"]["way"]]
    assert taken["false_detections"]["value"] < content["scores"]["threshold"]["false_detections"]["value"]
    assert taken["without_areas"]["difference"]["interval"][1] < 0


def test_without_small_false_detections_no_area_is_taken_and_the_threshold_is_that_of_all_bins(tmp_path):
    content = of_folds(tmp_path, drawn_folds(noise=0))["classes"]["HE"]
    assert (content["chosen"]["way"], content["chosen"]["min_area"]) == ("threshold", 0)
    assert not content["differences"]["area"]["helps"] and not content["differences"]["both"]["helps"]
    assert 3 / BINS < content["chosen"]["threshold"] <= 700 / BINS  # where the histograms' lesions and others part
    assert content["chosen"]["threshold"] not in THRESHOLDS


def test_an_area_that_raises_lesion_f1_but_not_dice_is_not_taken(tmp_path):
    """Dropping regions loses lesion pixels here, as of small lesions beside a large one that a few pixels of find."""
    photographs = drawn_folds(noise=60)
    for several in photographs.values():
        for one in several:
            one.sweeps["HE"][0] -= one.sweeps["HE"][0] * np.minimum(np.arange(len(AREAS)), 9) // 10
            one.sweeps["HE"][1] = one.sweeps["HE"][1][:, :1]
    content = of_folds(tmp_path, photographs)["classes"]["HE"]
    assert content["chosen"]["min_area"] == 0


def test_false_detections_at_equal_sensitivity_are_read_between_the_thresholds_of_the_grid(tmp_path):
    photographs = drawn_folds(noise=60)
    content = of_folds(tmp_path, photographs)["classes"]["HE"]
    total = sum(one.sweeps["HE"][:, :, 0] for several in photographs.values() for one in several)
    lesions = sum(len(one.lesions["HE"]) for several in photographs.values() for one in several)
    sensitivity, false = total[4] / lesions, total[3] / sum(FOLDS.values())
    for way in WAYS:
        wanted = content["scores"][way]["lesion_sensitivity"]["value"]
        expected = np.interp(wanted, sensitivity[::-1], false[::-1])  # both fall from threshold to threshold
        assert content["scores"][way]["without_areas"]["false_detections"]["value"] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("change", "why_not"),
    [
        (lambda name, one: None, "labelled in none of the photographs"),
        (lambda name, one: False, "no photograph shows a lesion of it"),
        (lambda name, one: name == "fold_1", "lesions of it are in one fold only"),
    ],
)
def test_nothing_is_chosen_for_a_class_that_is_unknown_or_has_no_lesions_to_score(tmp_path, change, why_not):
    rng = np.random.default_rng(0)
    photographs = {}
    for name, count in FOLDS.items():
        shows = change(name, None)
        drawn = [None if shows is None else draw_sweep(rng) for _ in range(count)]
        photographs[name] = [photograph(f"{name} {n}", one, lesions=bool(shows)) for n, one in enumerate(drawn)]
    content = of_folds(tmp_path, photographs)
    of_class = content["classes"]["HE"]
    assert content["why_not"] is None and why_not in of_class["why_not"] and of_class["chosen"] is None
    assert len(table_rows(content)) == 1  # the names of the columns


def test_a_class_that_is_unknown_in_one_fold_is_chosen_on_the_others(tmp_path):
    photographs = drawn_folds(noise=30)
    photographs["fold_1"] = [photograph(one.case, None) for one in photographs["fold_1"]]
    content = of_folds(tmp_path, photographs)["classes"]["HE"]
    assert content["chosen"] is not None
    known = [one for several in photographs.values() for one in several if one.knows("HE")]
    false = sum(int(one.sweeps["HE"][3, 9, 0]) for one in known)
    assert content["scores"]["before"]["false_detections"]["value"] == pytest.approx(false / len(known))


def test_results_without_sweeps_and_a_single_fold_say_why_nothing_is_chosen(tmp_path):
    photographs = drawn_folds()
    alone = of_folds(tmp_path / "alone", {"fold_0": photographs["fold_0"]})
    assert "one fold is finished" in alone["why_not"] and alone["classes"] == {}
    for one in photographs["fold_1"]:
        one.sweeps.clear()
    content = of_folds(tmp_path / "all", photographs)
    assert content["lacking"] == ["fold_1"] and content["classes"] == {}
    assert "3 of 11 photographs, such as fold_1 0, have no counts at other thresholds" in content["why_not"]


def test_of_an_evaluation_each_photograph_is_a_fold_of_its_own(tmp_path):
    several = drawn_folds()["fold_0"]
    content = earned_operating_points(read_result(write(tmp_path / "result", several)))
    chosen = content["classes"]["HE"]["by_fold"]["threshold"]
    assert [entry["left_out"] for entry in chosen] == [one.case for one in several]


def test_folds_of_one_number_of_two_cross_validations_are_two_folds(tmp_path):
    """Each has lesions in its first fold only, which together are two folds."""
    folders = []
    for number, name in enumerate(("one", "other")):
        rng = np.random.default_rng(number)
        drawn = {fold: [photograph(f"{name} {fold}", draw_sweep(rng), lesions=fold == "fold_0")] for fold in FOLDS}
        folders += write_folds(tmp_path / name, drawn)
    of_class = earned_operating_points(read_result(*folders))["classes"]["HE"]
    assert of_class["chosen"] is not None and len(of_class["by_fold"]["threshold"]) == 2 * len(FOLDS)


def test_the_table_has_the_numbers_of_every_way(tmp_path):
    content = of_folds(tmp_path, drawn_folds(noise=60))
    head, *rows = table_rows(content)
    assert [row[1] for row in rows] == ["before", *WAYS] and {len(row) for row in rows} == {len(head)}
    taken = [dict(zip(head, row, strict=True)) for row in rows if row[2]]
    assert len(taken) == 1 and taken[0]["min_area"] == content["classes"]["HE"]["chosen"]["min_area"]
    assert taken[0]["dice"] == content["classes"]["HE"]["scores"][taken[0]["scored_at"]]["dice"]["value"]
