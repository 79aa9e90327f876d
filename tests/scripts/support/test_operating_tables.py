"""What crossval prints of operating points: what is taken, with its scores, and why there is none."""

from scripts.support.operating_tables import operating_point_lines


def scored(value: float) -> dict:
    return {"value": value, "interval": [value - 0.1, value + 0.1]}


def scores(base: float, *, without: float | None = None) -> dict:
    keys = ("dice", "lesion_sensitivity", "lesion_precision", "lesion_f1", "false_detections")
    row = {key: scored(base + number / 100) for number, key in enumerate(keys)}
    if without is None:
        return row
    return row | {"without_areas": {"false_detections": scored(without), "difference": scored(base - without)}}


def compared(beside: str, *, helps: bool) -> dict:
    return {"beside": beside, "dice": scored(0.01), "lesion_f1": scored(-0.2), "helps": helps}


def test_each_class_has_its_point_the_scores_of_all_ways_and_false_detections_at_equal_sensitivity():
    of_class = {
        "why_not": None,
        "chosen": {"way": "area", "threshold": 0.3, "min_area": 6.0},
        "scores": {
            "before": scores(0.1),
            "threshold": scores(0.2, without=0.9),
            "area": scores(0.3, without=0.8),
            "both": scores(0.4, without=0.7),
        },
        "differences": {"area": compared("threshold", helps=True), "both": compared("area", helps=False)},
    }
    content = {"why_not": None, "lacking": [], "classes": {"HE": of_class}}
    lines = list(operating_point_lines(content))
    assert lines[1] == "HE: threshold 0.3, least area 6, chosen on all folds"
    assert [line.split("  ")[1] for line in lines[3:7]] == [
        "thresholds of the folds",
        "one threshold",
        "threshold, then least area *",
        "both at once",
    ]
    assert "0.300 (0.200–0.400)" in lines[5] and "0.34 (0.24–0.44)" in lines[5]
    assert lines[7].endswith("Dice +0.010 (-0.090, +0.110), lesion F1 -0.200 (-0.300, -0.100): taken")
    assert lines[8].startswith("  both at once, compared with threshold, then least area:")
    assert lines[8].endswith("not taken")
    assert "at 0.310 of the lesions found: 0.80 (0.70–0.90) with one threshold and every region, 0.34" in lines[9]


def test_without_counts_or_lesions_one_line_says_why_and_what_to_do():
    lacking = {"why_not": "3 of 5 photographs lack counts", "lacking": ["fold_0", "fold_2"], "classes": {}}
    first, second = operating_point_lines(lacking)
    assert first == "no thresholds and least areas chosen: 3 of 5 photographs lack counts."
    assert second.startswith("To choose them, remove fold_0/result, fold_2/result and run the same crossval command")
    unknown = {"why_not": None, "classes": {"SE": {"why_not": "labelled in none of the photographs"}}}
    *_, line = operating_point_lines(unknown)
    assert line == "SE: no threshold or least area chosen: labelled in none of the photographs."
