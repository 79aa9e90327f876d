"""Intervals, result folders and comparisons, from counts of small photographs."""

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from configs import InputError
from pipeline.evaluation import bootstrap
from pipeline.evaluation.comparison import write_comparison
from pipeline.evaluation.counting import REGIONS, PhotographCounts, count_photograph, pool
from pipeline.evaluation.lesion_matching import FALSE_POSITIVES, LESION, froc, sensitivity_at
from pipeline.evaluation.probability_bins import lower_edges
from pipeline.evaluation.results import counts_writer, read_counts, read_result
from pipeline.evaluation.scores import PIXELS, SCORES, score
from pipeline.evaluation.summary import write_summary
from pipeline.operating_point import OperatingPoint
from records import PhotographIdentity

CLASSES, BINS, THRESHOLDS = ("HE", "MA"), 160, (0.5, 0.4)
EMPTY = 2  # this photograph shows no lesion


def counted(number: int, case: str, *, sharpness: float = 1) -> PhotographCounts:
    rng = np.random.default_rng(number)
    masks = np.zeros((40, 50, 2), bool)
    if number != EMPTY:
        for _ in range(12):
            y, x, c = rng.integers(0, 36), rng.integers(0, 46), rng.integers(0, 2)
            masks[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6), c] = True
    noise = rng.normal(0, 0.25 / sharpness, masks.shape)
    probabilities = np.clip(0.2 + 0.45 * masks + noise, 0, 1).astype(np.float32)
    retina = np.indices((40, 50)).sum(axis=0) > 10
    return count_photograph(
        case,
        probabilities,
        masks,
        field_of_view=retina,
        classes=CLASSES,
        operating_point=OperatingPoint(THRESHOLDS),
        bins=BINS,
    )


PHOTOGRAPHS = [counted(number, f"P{number}") for number in range(7)]


def write_counts(folder, photographs, *, identities=(), **about) -> dict:
    """Writes `counts.npz` and a `scores.json` that only describes the run, and returns that description."""
    folder.mkdir(exist_ok=True)
    with counts_writer(folder, classes=CLASSES, bins=BINS, thresholds=THRESHOLDS) as writer:
        for photograph, identity in itertools.zip_longest(photographs, identities):
            writer.add(photograph, identity)
    about = {"split": "test", "thresholds": dict(zip(CLASSES, THRESHOLDS, strict=True)), **about}
    (folder / "scores.json").write_text(json.dumps(about))
    return about


def write(folder, photographs, **about) -> dict:
    """Writes all files of a result, and returns the content of `scores.json`."""
    about = write_counts(folder, photographs, **about)
    return write_summary(folder, read_counts(folder, about), about)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "one"
    write(folder, PHOTOGRAPHS, model="m")
    return folder


@pytest.fixture(scope="module")
def content(folder):
    return json.loads((folder / "scores.json").read_text(), parse_constant=pytest.fail)  # no NaN


@pytest.fixture(scope="module")
def draws():
    return bootstrap.draw_photographs(len(PHOTOGRAPHS))


@pytest.fixture
def few_resamples(monkeypatch):
    """Draws few resamples, for tests that do not depend on their number."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)


def check_equal(one: PhotographCounts, other: PhotographCounts) -> None:
    assert (one.case, one.height, one.width) == (other.case, other.height, other.width)
    for name in CLASSES:
        assert np.array_equal(one.lesions[name], other.lesions[name])
        assert np.array_equal(one.detections[name], other.detections[name])
        for region in REGIONS:
            a, b = one.counts[region][name], other.counts[region][name]
            assert np.array_equal(a.lesion, b.lesion)
            assert np.array_equal(a.negatives, b.negatives)
            assert (a.true_positive, a.false_positive) == (b.true_positive, b.false_positive)


def test_counts_are_read_as_they_were_written_again_and_again(folder):
    result = read_result(folder)
    assert (result.classes, result.bins, result.thresholds) == (CLASSES, BINS, (THRESHOLDS,))
    assert result.about["model"] == "m"
    for _ in range(2):
        for read, photograph in zip(result.photographs(), PHOTOGRAPHS, strict=True):
            check_equal(read, photograph)


def test_results_of_different_photographs_are_read_as_one(folder, tmp_path):
    write_counts(tmp_path / "a", PHOTOGRAPHS[:3])
    write_counts(tmp_path / "b", PHOTOGRAPHS[3:])
    both = read_result(tmp_path / "a", tmp_path / "b")
    assert both.cases == read_result(folder).cases
    for read, photograph in zip(both.photographs(), PHOTOGRAPHS, strict=True):
        check_equal(read, photograph)


def test_what_photographs_are_recognised_by_is_read_back_if_all_folders_say_it(tmp_path):
    identities = [PhotographIdentity(photograph.case, f"digest {photograph.case}", "0f") for photograph in PHOTOGRAPHS]
    for name, part in (("a", slice(0, 3)), ("b", slice(3, None))):
        write_counts(tmp_path / name, PHOTOGRAPHS[part], identities=identities[part])
    assert read_result(tmp_path / "a", tmp_path / "b").identities == tuple(identities)
    write_counts(tmp_path / "b", PHOTOGRAPHS[3:])  # as an earlier version did
    assert read_result(tmp_path / "a", tmp_path / "b").identities == ()


def test_a_photograph_in_two_results_and_other_classes_are_refused(folder, tmp_path):
    write_counts(tmp_path / "a", PHOTOGRAPHS[:1])
    with pytest.raises(InputError, match=f"photograph P0 was also scored in {folder}"):
        read_result(folder, tmp_path / "a")
    with counts_writer(tmp_path, classes=("HE",), bins=BINS, thresholds=(0.5,)) as writer:
        writer.add(PHOTOGRAPHS[0])
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(InputError, match=r"classes \('HE',\), but"):
        read_result(folder, tmp_path)


def test_missing_and_damaged_results_are_named_in_the_error(folder, tmp_path):
    with pytest.raises(InputError, match=r"no scores\.json there"):
        read_result(tmp_path)
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(InputError, match=r"no counts\.npz there"):
        read_result(tmp_path)
    (tmp_path / "counts.npz").write_bytes((folder / "counts.npz").read_bytes()[:-300])
    with pytest.raises(InputError, match=r"counts\.npz: damaged"):
        read_result(tmp_path)


def test_an_interrupted_writer_leaves_no_file(tmp_path):
    def interrupted() -> None:
        with counts_writer(tmp_path, classes=CLASSES, bins=BINS, thresholds=THRESHOLDS) as writer:
            writer.add(PHOTOGRAPHS[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_scores_json_holds_the_pooled_scores_and_means_over_classes(content):
    pooled = pool(PHOTOGRAPHS)
    for region in REGIONS:
        for name in CLASSES:
            assert content["scores"][region][name] == score(pooled[region][name])
        for key in SCORES:
            values = [content["scores"][region][name][key] for name in CLASSES]
            assert content["over_classes"][region][key]["value"] == pytest.approx(np.mean(values))
            assert content["over_classes"][region][key]["classes"] == list(CLASSES)


@pytest.mark.usefixtures("few_resamples")
def test_a_class_that_no_photograph_shows_is_left_out_of_the_mean(tmp_path):
    content = write(tmp_path, [PHOTOGRAPHS[EMPTY], counted(EMPTY, "Q")])
    assert content["over_classes"]["frame"]["aupr"] == {"value": None, "interval": None, "classes": []}
    assert content["intervals"]["frame"]["HE"]["aupr"] is None
    assert content["lesions"]["HE"]["sensitivity"] is None
    without = content["without_lesion"]["frame"]["HE"]
    counts = PHOTOGRAPHS[EMPTY].counts["frame"]["HE"]
    assert without["photographs"] == without["with_false_positives"] == 2
    assert without["false_positive_pixels"] == 2 * counts.false_positive > 0
    assert without["false_findings"] == 2 * len(PHOTOGRAPHS[EMPTY].detections["HE"])
    assert without["false_positive_share"] == counts.false_positive / counts.negatives.sum()


def test_one_photograph_has_no_intervals(tmp_path):
    content = write(tmp_path, PHOTOGRAPHS[:1])
    assert content["bootstrap"] is None
    assert content["intervals"]["frame"]["HE"]["dice"] is None
    assert content["over_classes"]["frame"]["dice"]["interval"] is None
    assert content["per_photograph"]["frame"]["HE"]["dice"]["mean_interval"] is None
    assert content["lesions"]["HE"]["sensitivity_interval"] is None
    assert set(content["lesions"]["HE"]["froc"]["intervals"]) == {None}


def rows(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_photographs_csv_has_a_row_for_every_photograph_class_and_region(folder, content):
    table = rows(folder / "photographs.csv")
    assert [(row["case"], row["region"], row["class"]) for row in table] == [
        (photograph.case, region, name) for photograph in PHOTOGRAPHS for region in REGIONS for name in CLASSES
    ]
    for row in table:
        photograph = PHOTOGRAPHS[int(row["case"][1])]
        for key, value in score(photograph.counts[row["region"]][row["class"]]).items():
            assert row[key] == ("" if value is None else str(value))
        assert int(row["lesions"]) == len(photograph.lesions[row["class"]])
    for key in PIXELS:
        total = sum(int(row[key]) for row in table if (row["region"], row["class"]) == ("frame", "HE"))
        assert total == content["scores"]["frame"]["HE"][key]
    assert {row["aupr"] for row in table if row["case"] == f"P{EMPTY}"} == {""}


def test_lesions_csv_has_a_row_for_every_lesion_and_detection(folder, content):
    table = rows(folder / "lesions.csv")
    assert list(table[0]) == ["case", "class", "kind", "number", *LESION.names]
    for name in CLASSES:
        true, found = (
            [row for row in table if (row["class"], row["kind"]) == (name, kind)] for kind in ("lesion", "finding")
        )
        assert len(true) == content["lesions"][name]["lesions"]
        assert sum(row["matched"] == "1" for row in true) == content["lesions"][name]["found"]
        assert sum(row["matched"] == "0" for row in found) == content["lesions"][name]["false_positives"]


def test_each_photograph_counts_as_often_as_it_is_drawn(draws):
    """Scores of a draw are those of the photographs side by side, each as often as it is drawn."""
    samples = bootstrap.pooled_samples(iter(PHOTOGRAPHS), draws, "HE")
    lesions = [photograph.lesions["HE"] for photograph in PHOTOGRAPHS]
    detections = [photograph.detections["HE"] for photograph in PHOTOGRAPHS]
    of_lesions = bootstrap.lesion_samples(lesions, detections, draws, known=np.ones(len(PHOTOGRAPHS), bool))
    assert (draws.sum(axis=1) == len(PHOTOGRAPHS)).all()
    for number in (0, 1, bootstrap.AT_ONCE, len(draws) - 1):
        drawn = np.repeat(np.arange(len(PHOTOGRAPHS)), draws[number])
        pooled = pool(PHOTOGRAPHS[place] for place in drawn)
        for region in REGIONS:
            expected = score(pooled[region]["HE"])
            for key in SCORES:
                assert samples[region][key][number] == pytest.approx(expected[key])
        true, found = (np.concatenate([some[place] for place in drawn]) for some in (lesions, detections))
        curve = froc(true, found, len(drawn))
        assert of_lesions["froc"][number] == pytest.approx(sensitivity_at(*curve[1:]))
        assert of_lesions["false_positives"][number] == pytest.approx(curve[1][-1])
        assert of_lesions["sensitivity"][number] == pytest.approx(true["matched"].mean())


def test_pooled_intervals_are_near_scipys_bootstrap(content):
    def pooled_dice(true_positive, false_positive, lesion, axis):
        right, wrong, all_lesion = (values.sum(axis=axis) for values in (true_positive, false_positive, lesion))
        return 2 * right / (all_lesion + right + wrong)

    counts = [photograph.counts["frame"]["HE"] for photograph in PHOTOGRAPHS]
    columns = np.array([(one.true_positive, one.false_positive, one.lesion.sum()) for one in counts], float).T
    expected = stats.bootstrap(
        tuple(columns), pooled_dice, paired=True, method="percentile", n_resamples=4000, rng=1, vectorized=True
    ).confidence_interval
    low, high = content["intervals"]["frame"]["HE"]["dice"]
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)
    assert low < content["scores"]["frame"]["HE"]["dice"] < high


def test_means_and_medians_are_over_the_photographs_that_have_the_score(content):
    values = [score(photograph.counts["frame"]["MA"])["dice"] for photograph in PHOTOGRAPHS]
    known = [value for value in values if value is not None]
    found = content["per_photograph"]["frame"]["MA"]["dice"]
    assert found["photographs"] == len(known) < len(values)
    assert (found["mean"], found["median"]) == pytest.approx((np.mean(known), np.median(known)))
    assert found["mean_interval"][0] < found["mean"] < found["mean_interval"][1]


def test_lesion_scores_are_those_of_all_lesions_together(content):
    lesions, detections = (
        np.concatenate([some["HE"] for some in parts])
        for parts in zip(*((one.lesions, one.detections) for one in PHOTOGRAPHS), strict=True)
    )
    found = content["lesions"]["HE"]
    curve = froc(lesions, detections, len(PHOTOGRAPHS))
    assert found["froc"]["false_positives"] == list(FALSE_POSITIVES)
    assert found["froc"]["sensitivity"] == sensitivity_at(*curve[1:])
    assert found["froc"]["reaches"] == found["false_positives_per_photograph"] == curve[1][-1]
    assert found["sensitivity_one_pixel"] == np.mean(lesions["overlap"] > 0) >= found["sensitivity"]
    assert sum(row["lesions"] for row in found["by_size"]) == len(lesions)


def test_classes_whose_maps_are_masks_are_listed_as_binary(tmp_path, content):
    mask = np.zeros((20, 20, 2), bool)
    mask[3:8, 3:8] = True
    found = np.roll(mask, 2, axis=0).astype(np.float32)
    counts = count_photograph(
        "M",
        found,
        mask,
        field_of_view=np.ones((20, 20), bool),
        classes=CLASSES,
        operating_point=OperatingPoint(THRESHOLDS),
        bins=BINS,
    )
    assert write(tmp_path, [counts])["binary"] == list(CLASSES)
    assert content["binary"] == []


def test_photographs_of_a_result_are_read_one_at_a_time(folder):
    photographs = read_result(folder).photographs()
    assert next(photographs).case == "P0"
    assert next(photographs).case == "P1"


@pytest.fixture(scope="module")
def sharper(tmp_path_factory):
    """The same photographs from a model with less noise, scored in another order."""
    folder = tmp_path_factory.mktemp("results") / "two"
    write_counts(folder, [counted(number, f"P{number}", sharpness=2) for number in (3, 1, 0, 2, 6, 5, 4)])
    return folder


@pytest.mark.usefixtures("few_resamples")
def test_a_comparison_pairs_photographs_whatever_their_order(folder, sharper, tmp_path):
    one, other = read_result(folder), read_result(sharper)
    content = write_comparison(tmp_path, one, other)
    assert content == json.loads((tmp_path / "compare.json").read_text())
    dice = [
        {photograph.case: score(photograph.counts["frame"]["HE"])["dice"] for photograph in result.photographs()}
        for result in (one, other)
    ]
    differences = [dice[1][case] - value for case, value in dice[0].items() if value is not None]
    found = content["per_photograph"]["frame"]["HE"]["dice"]
    assert found["mean"] == pytest.approx(np.mean(differences))
    assert found["better"] == np.mean(np.array(differences) > 0)
    assert found["photographs"] == 6
    table = {
        row["case"]: row
        for row in rows(tmp_path / "compare.csv")
        if (row["class"], row["region"], row["score"]) == ("HE", "frame", "dice")
    }
    assert {case: float(row["difference"]) for case, row in table.items()} == pytest.approx(
        {case: dice[1][case] - value for case, value in dice[0].items() if value is not None}
    )


@pytest.mark.usefixtures("few_resamples")
def test_the_pooled_difference_and_its_interval_are_paired(folder, sharper, tmp_path):
    content = write_comparison(tmp_path, read_result(folder), read_result(sharper))
    found = content["pooled"]["frame"]["HE"]["dice"]
    assert found["difference"] == pytest.approx(found["other"] - found["one"])
    assert 0 < found["interval"][0] < found["difference"] < found["interval"][1]
    by_case = {photograph.case: photograph for photograph in read_result(sharper).photographs()}
    draws = bootstrap.draw_photographs(len(PHOTOGRAPHS))
    drawn = [
        bootstrap.pooled_samples(photographs, draws, "HE")["frame"]["dice"]
        for photographs in (iter(PHOTOGRAPHS), (by_case[photograph.case] for photograph in PHOTOGRAPHS))
    ]
    assert found["interval"] == pytest.approx(np.quantile(drawn[1] - drawn[0], [0.025, 0.975]))


@pytest.mark.usefixtures("few_resamples")
def test_a_result_does_not_differ_from_itself(folder, tmp_path):
    content = write_comparison(tmp_path, read_result(folder), read_result(folder))
    found = content["pooled"]["field_of_view"]["MA"]["aupr"]
    assert (found["difference"], found["interval"]) == (0, [0, 0])
    assert content["per_photograph"]["frame"]["MA"]["ece"]["better"] == 0


def test_results_of_different_photographs_or_splits_are_not_compared(folder, tmp_path):
    write_counts(tmp_path / "fewer", PHOTOGRAPHS[:5])
    with pytest.raises(InputError, match=r"2 photographs of .*one are not in .*fewer \(P5, P6\)"):
        write_comparison(tmp_path, read_result(folder), read_result(tmp_path / "fewer"))
    write_counts(tmp_path / "other", PHOTOGRAPHS, split="train")
    with pytest.raises(InputError, match="has split test and .* has train"):
        write_comparison(tmp_path, read_result(folder), read_result(tmp_path / "other"))


def as_an_earlier_version(source: Path, folder: Path) -> None:
    """Copies a result with `counts.npz` of schema version 1: equal bins alone, and no edges."""
    folder.mkdir()
    shutil.copy(source / "scores.json", folder)
    with np.load(source / "counts.npz") as arrays:
        content = {name: array for name, array in arrays.items() if name != "edges"}
    first = np.searchsorted(lower_edges(BINS), np.arange(BINS) / BINS)
    for name in [name for name in content if name.endswith("histograms")]:
        content[name] = np.add.reduceat(content[name], first, axis=-1)
    np.savez_compressed(folder / "counts.npz", **{**content, "schema_version": np.array(1)})


def test_a_result_of_an_earlier_version_has_its_scores_and_is_compared_with_none_of_this_one(folder, tmp_path):
    as_an_earlier_version(folder, tmp_path / "earlier")
    result = read_result(tmp_path / "earlier")
    assert (result.schema_version, read_result(folder).schema_version) == (1, 2)
    for read, photograph in zip(result.photographs(), PHOTOGRAPHS, strict=True):
        of_earlier, now = read.counts["frame"]["HE"], photograph.counts["frame"]["HE"]
        assert score(of_earlier)["aupr_33"] == score(now)["aupr_33"]  # their thresholds are equal edges
        assert (of_earlier.pixels, of_earlier.true_positive) == (now.pixels, now.true_positive)
    with pytest.raises(InputError, match=r"earlier is of an earlier version, .* run python -m scripts\.eval again"):
        write_comparison(tmp_path, read_result(folder), result)
