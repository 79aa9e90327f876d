"""Partly known photographs: only what is known is scored, and every number is that of the photographs that know it."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn import metrics

from configs import InputError
from pipeline.evaluation import bootstrap
from pipeline.evaluation.calibration import calibrate
from pipeline.evaluation.comparison import write_comparison
from pipeline.evaluation.counting import REGIONS, PhotographCounts, count_photograph, pool
from pipeline.evaluation.lesion_matching import froc, match_lesions, sensitivity_at
from pipeline.evaluation.probability_bins import place
from pipeline.evaluation.results import counts_writer, read_counts, read_result
from pipeline.evaluation.scores import best_threshold, score
from pipeline.evaluation.summary import write_summary
from pipeline.operating_point import OperatingPoint
from scripts.support.score_tables import COMPARED, crossvalidation_lines, evaluation_lines

CLASSES, BINS, THRESHOLDS = ("HE", "MA"), 64, (0.5, 0.4)
UNKNOWN = {1, 4}  # MA is unknown in these photographs
EMPTY = 2  # shows no lesion
EIGHT = np.ones((3, 3))


def drawn(number: int, side: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws probabilities and masks of two classes, of some ten regions each that partly agree, and regions known."""
    rng = np.random.default_rng(number)
    smooth = ndimage.gaussian_filter(rng.normal(size=(3, 2, side, side + 10)), (0, 0, 1.3, 1.3))
    masks = (smooth[0] > 0.2) & (number != EMPTY)
    probabilities = np.clip(0.3 + 0.4 * masks + 1.2 * smooth[1], 0, 1).astype(np.float32)
    return tuple(np.moveaxis(one, 0, -1) for one in (probabilities, masks, smooth[2] > -0.15))


def counted(case: str, probabilities, masks, *, known=None, min_area=(), retina=None) -> PhotographCounts:
    return count_photograph(
        case,
        probabilities,
        masks,
        field_of_view=np.indices(masks.shape[:2]).sum(axis=0) > 12 if retina is None else retina,
        classes=CLASSES,
        operating_point=OperatingPoint(THRESHOLDS, min_area),
        bins=BINS,
        known=known,
    )


def check_equal(one: PhotographCounts, other: PhotographCounts) -> None:
    for name in CLASSES:
        assert np.array_equal(one.lesions[name], other.lesions[name])
        assert np.array_equal(one.detections[name], other.detections[name])
        for region in REGIONS:
            a, b = one.counts[region][name], other.counts[region][name]
            assert np.array_equal(a.lesion, b.lesion) and np.array_equal(a.negatives, b.negatives)
            assert (a.true_positive, a.false_positive) == (b.true_positive, b.false_positive)


@given(st.integers(0, 10**6))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_scores_of_pixels_are_those_that_scikit_learn_has_of_the_known_pixels(seed):
    probabilities, masks, known = drawn(seed)
    retina = np.random.default_rng(seed).random(masks.shape[:2]) < 0.8
    found = counted("P", probabilities, masks, known=known, retina=retina)
    for index, name in enumerate(CLASSES):
        for region, where in (("frame", np.ones_like(retina)), ("field_of_view", retina)):
            chosen = known[..., index] & where
            mask, probability = masks[chosen][:, index], probabilities[chosen][:, index]
            values, level = score(found.counts[region][name]), place(probability, BINS)
            positive = probability >= np.float32(THRESHOLDS[index])
            assert values["pixels"] == chosen.sum()
            assert values["lesion_pixels"] == mask.sum()
            assert values["false_positive_pixels"] == np.count_nonzero(positive & ~mask)
            if mask.any():
                assert values["aupr"] == pytest.approx(metrics.average_precision_score(mask, level))
                assert values["dice"] == pytest.approx(metrics.f1_score(mask, positive))


@given(st.integers(0, 10**6), st.sampled_from([(), (3, 5)]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_nothing_depends_on_what_a_map_or_a_mask_says_where_nothing_is_known(seed, min_area):
    probabilities, masks, known = drawn(seed)
    others, masks_of_others, _ = drawn(seed + 1)
    one = counted("P", probabilities, masks, known=known, min_area=min_area)
    other = counted(
        "P",
        np.where(known, probabilities, others),
        np.where(known, masks, masks_of_others),
        known=known,
        min_area=min_area,
    )
    check_equal(one, other)


def test_what_is_known_throughout_is_counted_as_ever():
    probabilities, masks, _ = drawn(0)
    check_equal(counted("P", probabilities, masks), counted("P", probabilities, masks, known=np.ones_like(masks)))


def test_a_class_that_is_unknown_has_no_pixels_no_lesions_and_no_detections():
    probabilities, masks, _ = drawn(0)
    counts = counted("P", probabilities, masks, known=np.stack([masks[..., 0] | True, masks[..., 1] & False], axis=-1))
    assert counts.knows("HE") and not counts.knows("MA")
    assert len(counts.lesions["MA"]) == len(counts.detections["MA"]) == 0
    assert score(counts.counts["frame"]["MA"]) == {
        key: 0 if "pixels" in key else None for key in score(counts.counts["frame"]["MA"])
    }


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_detections_that_touch_the_unknown_count_if_they_match_and_not_at_all_if_they_do_not(seed):
    probabilities, masks, known = (array[..., 0] for array in drawn(seed))
    detected, mask = (probabilities >= 0.5) & known, masks & known
    lesions, detections = match_lesions(probabilities, mask, detected, known=known)
    labels, number = ndimage.label(detected, EIGHT)
    beside_unknown = ndimage.binary_dilation(~known, EIGHT)
    expected = []
    for label in range(1, number + 1):
        pixels = labels == label
        matched = 5 * np.count_nonzero(pixels & mask) >= np.count_nonzero(pixels)
        if matched or not (pixels & beside_unknown).any():
            expected.append((pixels.sum(), np.count_nonzero(pixels & mask), matched))
    found = zip(
        detections["area"].tolist(), detections["overlap"].tolist(), detections["matched"].tolist(), strict=True
    )
    assert sorted(found) == sorted(expected)
    labels, number = ndimage.label(mask, EIGHT)
    covered = ndimage.sum(detected, labels, np.arange(1, number + 1))  # also by detections that are not counted
    assert lesions["overlap"].tolist() == covered.tolist()
    assert np.array_equal(lesions["matched"], 5 * covered >= lesions["area"])


def test_a_detection_beside_an_ignored_region_is_no_false_alarm_and_one_away_from_it_is():
    probability, known = np.zeros((20, 30), np.float32), np.ones((20, 30), bool)
    known[5:15, 10:20] = False
    probability[8:12, 7:12] = 0.9  # reaches into it
    probability[2:4, 25:28] = 0.8
    _, detections = match_lesions(probability, known & False, (probability > 0.5) & known, known=known)
    assert [(int(one["x"]), int(one["area"]), bool(one["matched"])) for one in detections] == [(25, 6, False)]


def photograph(number: int) -> PhotographCounts:
    probabilities, masks, known = drawn(number)
    known[..., 0] = True
    known[..., 1] |= number != 3  # it is known in parts of photograph 3
    if number in UNKNOWN:
        known[..., 1] = False
    return counted(f"P{number}", probabilities, masks, known=known)


PHOTOGRAPHS = [photograph(number) for number in range(7)]
KNOWN = [one for number, one in enumerate(PHOTOGRAPHS) if number not in UNKNOWN]


def write(folder, photographs) -> dict:
    """Writes all files of a result, and returns the content of `scores.json`."""
    folder.mkdir(exist_ok=True)
    with counts_writer(folder, classes=CLASSES, bins=BINS, thresholds=THRESHOLDS) as writer:
        for one in photographs:
            writer.add(one)
    about = {
        "classes": list(CLASSES),
        "photographs": len(photographs),
        "threshold_source": "config",
        "threshold_seen_on": [],
        "seen_by_name": [],
        "named_alike": [],
        "min_area": dict.fromkeys(CLASSES, 1),
        "min_areas": {},
    }
    return write_summary(folder, read_counts(folder, about), about)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of all photographs, and of those in which MA is known."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 200)
        return folder, write(folder / "all", PHOTOGRAPHS), write(folder / "known", KNOWN)


def test_the_scores_of_a_class_are_those_of_the_photographs_in_which_it_is_known(results):
    _, of_all, of_known = results
    assert of_all["known_photographs"] == {"HE": 7, "MA": 5}
    assert of_known["known_photographs"] == {"HE": 5, "MA": 5}
    for region in REGIONS:
        for key in ("scores", "per_photograph", "without_lesion", "calibration"):
            assert of_all[key][region]["MA"] == of_known[key][region]["MA"]
        assert of_all["scores"][region]["HE"] != of_known["scores"][region]["HE"]
    assert of_all["without_lesion"]["frame"]["MA"]["photographs"] == 1
    for one in (of_all, of_known):
        lesions = one["lesions"]["MA"]
        lesions["froc"] = {**lesions["froc"], "intervals": None}
        lesions["calibration"] = {**lesions["calibration"], "interval": None}
    drawn_keys = {"sensitivity_interval", "false_positives_interval"}
    for key in of_all["lesions"]["MA"].keys() - drawn_keys:
        assert of_all["lesions"]["MA"][key] == of_known["lesions"]["MA"][key]


def test_a_resample_has_as_many_false_positives_per_photograph_as_its_known_photographs():
    draws = bootstrap.draw_photographs(len(PHOTOGRAPHS))
    known = np.array([one.knows("MA") for one in PHOTOGRAPHS])
    lesions, detections = ([getattr(one, what)["MA"] for one in PHOTOGRAPHS] for what in ("lesions", "detections"))
    samples = bootstrap.lesion_samples(lesions, detections, draws, known=known)
    pooled = bootstrap.pooled_samples(iter(PHOTOGRAPHS), draws, "MA")
    for number in (0, 1, bootstrap.AT_ONCE, len(draws) - 1):
        chosen = [place for place in np.repeat(np.arange(7), draws[number]) if known[place]]
        true, found = (np.concatenate([some[place] for place in chosen]) for some in (lesions, detections))
        curve = froc(true, found, len(chosen))
        assert samples["false_positives"][number] == pytest.approx(np.sum(~found["matched"]) / len(chosen))
        assert samples["froc"][number] == pytest.approx(sensitivity_at(*curve[1:]))
        expected = score(pool(PHOTOGRAPHS[place] for place in chosen)["frame"]["MA"])
        assert pooled["frame"]["dice"][number] == pytest.approx(expected["dice"])


def test_a_resample_without_a_known_photograph_has_no_score():
    known = np.array([True] + [False] * 6)
    lesions, detections = (
        [one.lesions["HE"] for one in PHOTOGRAPHS[:1]],
        [one.detections["HE"] for one in PHOTOGRAPHS[:1]],
    )
    nothing = [lesions[0][:0]] * 6
    draws = np.array([[1, 6, 0, 0, 0, 0, 0], [0, 7, 0, 0, 0, 0, 0]], np.uint16)
    samples = bootstrap.lesion_samples(lesions + nothing, detections + nothing, draws, known=known)
    assert np.isnan(samples["false_positives"]).tolist() == np.isnan(samples["froc"][:, 0]).tolist() == [False, True]


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("known_in", [0, 1])
def test_a_class_known_in_no_photograph_has_no_scores_and_one_known_in_one_has_no_intervals(tmp_path, known_in):
    chosen = [PHOTOGRAPHS[1], PHOTOGRAPHS[4], *KNOWN[1 : 1 + known_in]]
    content = write(tmp_path, chosen)
    assert json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail) == content  # no NaN
    assert content["known_photographs"]["MA"] == known_in
    assert set(content["intervals"]["frame"]["MA"].values()) == {None}
    assert content["intervals"]["frame"]["HE"]["aupr"] is not None
    lesions = content["lesions"]["MA"]
    assert lesions["false_positives_interval"] is lesions["sensitivity_interval"] is None
    lines = "\n".join(evaluation_lines(content))
    if known_in:
        assert "MA: known in 1 of 3 photographs; its scores are of these." in lines
        return
    assert "MA: labelled in none of these photographs" in lines
    empty = {name: {key: {"mean": None, "deviation": None} for key in COMPARED} for name in CLASSES}
    folds = {"finished": [0], "folds": 1, "photographs_in_all": 2, "over_folds": {"frame": empty}, "by_fold": []}
    folds["operating_points"] = {"why_not": "one fold is finished", "lacking": [], "classes": {}}
    lines = "\n".join(crossvalidation_lines({**content, **folds}))
    assert "lesions: 0 of 0 found (n/a), n/a false positives per photograph; known in 0 of 2" in lines
    assert not any(line.endswith(": ") for line in lines.splitlines())
    assert lesions["false_positives_per_photograph"] is None
    assert content["scores"]["frame"]["MA"]["specificity"] is None
    assert content["without_lesion"]["frame"]["MA"]["photographs"] == 0
    assert content["binary"] == []
    for key, one in content["over_classes"]["frame"].items():
        assert one["classes"] == ["HE"]
        assert one["value"] == content["scores"]["frame"]["HE"][key]
        assert one["interval"] == content["intervals"]["frame"]["HE"][key]


def test_false_detections_per_photograph_without_a_lesion_are_printed(results):
    _, content, _ = results
    healthy = content["without_lesion"]["frame"]["HE"]
    assert healthy["photographs"] == 1 < healthy["false_findings"]
    number = healthy["false_findings"]
    expected = f"HE: {number:.2f} false detections per photograph without a lesion of it: {number} in 1 photograph"
    assert expected in list(evaluation_lines(content))


def test_photographs_csv_is_blank_of_an_unknown_class_but_for_its_pixels(results):
    folder, _, _ = results
    with open(folder / "all" / "photographs.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["class"] == "MA" and row["region"] == "frame"]
    for number, row in enumerate(rows):
        kept = {"case", "class", "region", "lesion_pixels", "found_pixels", "false_positive_pixels", "pixels"}
        blank = {key for key, value in row.items() if value == ""}
        assert (row.keys() - kept <= blank) == (number in UNKNOWN)
        assert row["pixels"] == str(0 if number in UNKNOWN else KNOWN[0].height * KNOWN[0].width) or number == 3


@pytest.mark.usefixtures("few_resamples")
def test_results_are_compared_where_both_know_the_same_and_refused_otherwise(results, tmp_path):
    folder, _, _ = results
    content = write_comparison(tmp_path, read_result(folder / "all"), read_result(folder / "all"))
    assert content["known_photographs"] == {"HE": 7, "MA": 5}
    assert content["per_photograph"]["frame"]["MA"]["specificity"]["photographs"] == 5
    probabilities, masks, _ = drawn(1)
    write(tmp_path / "other", [counted("P1", probabilities, masks), *PHOTOGRAPHS[:1], *PHOTOGRAPHS[2:]])
    with pytest.raises(InputError, match=r"MA is known of 0 pixels of photograph P1 in .*all, but of 2,000 in .*other"):
        write_comparison(tmp_path, read_result(folder / "all"), read_result(tmp_path / "other"))


@pytest.mark.usefixtures("few_resamples")
def test_a_model_is_not_calibrated_on_photographs_without_labels_of_a_class(tmp_path, spec):
    write(tmp_path, [PHOTOGRAPHS[1], PHOTOGRAPHS[4]])
    with pytest.raises(InputError, match="--results: MA is labelled in none of the 2 photographs"):
        calibrate(None, spec(classes=CLASSES), read_result(tmp_path), points={})


def test_the_best_threshold_is_that_of_the_known_pixels():
    probabilities, masks, known = drawn(5)
    found = counted("P", probabilities, masks, known=known).counts["frame"]["HE"]
    chosen = known[..., 0]
    mask, probability = masks[chosen][:, 0], probabilities[chosen][:, 0]
    dices = [metrics.f1_score(mask, probability >= edge / BINS) for edge in range(1, BINS)]
    threshold = best_threshold(found.lesion, found.negatives)
    assert metrics.f1_score(mask, probability >= threshold) == max(dices)
