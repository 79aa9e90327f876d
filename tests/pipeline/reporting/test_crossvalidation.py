"""The report of a cross-validation: numbers of crossval.json, what was earned or why nothing was, and no network."""

import html.parser
import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from configs import Config, DataConfig
from pipeline.evaluation import FoldResult, bootstrap, count_photograph, pool_folds, write_fold
from pipeline.evaluation.results import COUNTS, SCORES, counts_writer
from pipeline.operating_point import OperatingPoint
from pipeline.reporting.crossvalidation import write_crossvalidation_report
from records.files import sha256_of

CLASSES = ("HE", "<b>", "SE")  # a class named like a tag, and one that is nowhere labelled
FOLDS = {0: "abcd", 2: "efgh"}  # of three
EARLIER = Path(__file__).parents[1] / "data" / "earlier_crossval"  # written before there were sweeps


class Page(html.parser.HTMLParser):
    """A parsed page: its attributes, and its text; the cells of a row of a table are separated by "|"."""

    def __init__(self, path: Path):
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: set[str] = set()
        self.source, self.text = path.read_text(encoding="utf-8"), ""
        self.feed(self.source)
        self.text = re.sub(r"[ \n]+", " ", self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.text += {"td": "|", "th": "|", "small": " "}.get(tag, "")

    def handle_data(self, data):
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


class Written(NamedTuple):
    content: dict
    page: Page


def count(case: str):
    """Counts a photograph that shows lesions of two classes, whose maps also have specks, and nothing of the third."""
    rng = np.random.default_rng(ord(case))
    masks, maps = np.zeros((40, 48, 3), bool), rng.uniform(0, 0.2, (40, 48, 3)).astype(np.float32)
    for index in (0, 1):
        for y, x in ((4, 5), (20, 9), (25, 30)):
            masks[y : y + 6, x : x + 5 + index, index] = True
            maps[y : y + 6, x : x + 5, index] = rng.uniform(0.5, 0.95)
        for y, x in rng.integers(0, (40, 48), (6 + 3 * index, 2)):
            maps[y, x, index] = rng.uniform(0.5, 0.9)
    known = np.ones_like(masks) & [True, True, False]
    retina = np.ones(masks.shape[:2], bool)
    point = OperatingPoint((0.5,) * 3)
    options = {"field_of_view": retina, "classes": CLASSES, "operating_point": point, "bins": 1280, "known": known}
    return count_photograph(case, maps, masks & known, **options, factor=1.0, sweeps=True)


def finish_fold(workdir: Path, fold: int, cases: str) -> None:
    folder = workdir / f"fold_{fold}" / "result"
    (folder / "0").mkdir(parents=True)
    with counts_writer(folder / "0", classes=CLASSES, bins=1280, thresholds=(0.5,) * 3) as writer:
        for case in cases:
            writer.add(count(case))
    (folder / "0" / SCORES).write_text(json.dumps({"threshold_source": "validation", "source": "photographs & masks"}))
    result = FoldResult(
        fold=fold,
        folds=3,
        plan="plan",
        photographs=11,
        config=Config(data=DataConfig(classes=CLASSES)),
        held_out=dict.fromkeys(cases, "digest"),
        training=5,
        validation=2,
        seconds={"shard": 30.0, "train": 60.0},
        sources=("0",),
        counts=(sha256_of(folder / "0" / COUNTS),),
    )
    write_fold(folder, result)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    """Two of three folds with sweeps, their models, and the report of one fold's evaluation."""
    folder = tmp_path_factory.mktemp("crossval")
    for fold, cases in FOLDS.items():
        finish_fold(folder, fold, cases)
        (folder / f"fold_{fold}" / "run" / "model").mkdir(parents=True)
        (folder / f"fold_{fold}" / "run" / "model" / "segmenter.json").write_text("{}")
    (folder / "fold_0" / "result" / "0" / "report.html").write_text("")
    return folder


@pytest.fixture(scope="module")
def write():
    def pool(workdir: Path) -> Written:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bootstrap, "RESAMPLES", 100)  # the report shows intervals, whatever they are
            content = pool_folds(workdir)
        return Written(content, Page(write_crossvalidation_report(workdir, content)))

    return pool


@pytest.fixture(scope="module")
def written(write, workdir) -> Written:
    return write(workdir)


@pytest.fixture(scope="module")
def earlier(write, tmp_path_factory) -> Written:
    return write(Path(shutil.copytree(EARLIER, tmp_path_factory.mktemp("earlier") / "workdir")))


def scored(one: dict, digits: int = 3) -> str:
    low, high = one["interval"]
    return f"{one['value']:.{digits}f} {low:.{digits}f} – {high:.{digits}f}"


def test_pooled_scores_are_those_of_crossval_json(written):
    for region in ("frame", "field_of_view"):
        for name in CLASSES[:2]:
            for key in ("aupr", "dice", "sensitivity", "ppv"):
                value = written.content["scores"][region][name][key]
                interval = written.content["intervals"][region][name][key]
                assert "|" + scored({"value": value, "interval": interval}) in written.page.text


def test_it_says_which_folds_and_photographs_the_scores_come_from_and_what_is_missing(written, earlier):
    text = written.page.text
    assert "Cross-validation: 8 photographs scored out of fold" in text
    assert "Fold 1 of 3 is not finished, so these scores are of 8 of 11 photographs." in text
    assert "|1|not finished" in text and "photographs & masks" in text
    for fold, cases in FOLDS.items():
        assert f"|{fold}|5|2|4|1.5|best Dice on the validation photographs of the training|" in text
        for case in cases:
            assert f"|{case}|HE|{fold}|" in text
    assert "not finished" not in earlier.page.text


def test_each_fold_has_its_scores_and_their_mean_and_deviation_follow(written):
    for name in CLASSES[:2]:
        for fold in written.content["by_fold"]:
            values = fold["scores"]["frame"][name]
            assert f"|{name}|{fold['fold']}|{values['aupr']:.3f}|{values['dice']:.3f}|0.5 " in written.page.text
        over = written.content["over_folds"]["frame"][name]
        means = "|".join(f"{over[key]['mean']:.3f} ± {over[key]['deviation']:.3f}" for key in ("aupr", "dice"))
        assert f"|{name}|mean ± deviation|{means}|" in written.page.text


def test_every_way_to_choose_has_its_scores_and_the_one_that_is_taken_is_marked(written):
    keys = ("dice", "lesion_sensitivity", "lesion_precision", "lesion_f1")
    for name in CLASSES[:2]:
        of_class = written.content["operating_points"]["classes"][name]
        for way, label in {"before": "Thresholds of the folds", "area": "Threshold, then least area"}.items():
            scores = of_class["scores"][way]
            cells = "|".join(scored(scores[key]) for key in keys)
            mark = " taken" if of_class["chosen"]["way"] == way else ""
            assert f"|{label}{mark}|{cells}|{scored(scores['false_detections'], 2)}" in written.page.text
        assert of_class["chosen"]["way"] == "area"  # the specks are smaller than any lesion
        chosen = f"threshold {of_class['chosen']['threshold']:.3g}, least area {of_class['chosen']['min_area']:g}"
        assert f"{name}: {chosen}" in written.page.text
        one = of_class["differences"]["area"]["dice"]
        low, high = one["interval"]
        difference = f"compared with one threshold: Dice {one['value']:+.3f} ({low:+.3f} to {high:+.3f})"
        assert difference in written.page.text
    assert written.page.source.count('<tr class="taken">') == 2


def test_false_detections_at_equal_sensitivity_are_in_a_table_and_drawn_with_their_intervals(written):
    for name in CLASSES[:2]:
        of_class = written.content["operating_points"]["classes"][name]
        taken, chosen = of_class["scores"][of_class["chosen"]["way"]], of_class["chosen"]
        before, after = taken["without_areas"]["false_detections"], taken["false_detections"]
        difference = taken["without_areas"]["difference"]
        low, high = difference["interval"]
        row = "|".join(
            [name, f"{chosen['threshold']:.3g}", f"{chosen['min_area']:g}", scored(taken["lesion_sensitivity"])]
        )
        assert f"|{row}|{scored(before, 2)}|{scored(after, 2)}|{difference['value']:+.2f}" in written.page.text
        assert f"{low:+.2f} to {high:+.2f}" in written.page.text
        label = f"{name}, false detections per photograph: one threshold, every region {before['value']:.2f}, what is"
        assert any(one.startswith(label) for one in written.page.values("aria-label"))
    assert written.page.source.count('class="whisker"') == 4
    assert written.page.source.count('class="length before"') == 2


def test_a_class_without_a_chosen_point_says_why(written):
    assert "SE No threshold or least area is chosen: labelled in none of the photographs." in written.page.text


def test_the_report_of_an_earlier_cross_validation_says_why_nothing_is_chosen_and_what_to_do(earlier):
    text = earlier.page.text
    assert "No thresholds and least areas are chosen: 4 of 4 photographs, such as" in text
    assert "have no counts at other thresholds and areas, which eval --sweep makes." in text
    assert "To choose them, remove fold_0/result, fold_1/result and run the same crossval command again" in text
    assert 'class="taken"' not in earlier.page.source and "Scored at" not in text
    assert "python -m" not in text  # the models of the folds are not there


def test_the_next_commands_are_those_that_the_command_prints(written, workdir):
    assert (
        f"python -m scripts.ensemble '--models={workdir}/fold_*/run/model' --output={workdir}/ens" in written.page.text
    )
    assert f"python -m scripts.calibrate --model={workdir}/ensemble --results={workdir} --output=" in written.page.text


def test_names_are_escaped(written):
    assert "b" not in written.page.tags
    assert "|<b>|" in written.page.text


def test_nothing_comes_from_elsewhere_and_links_lead_to_places_in_the_page_or_to_the_folds_reports(written, earlier):
    for page in (written.page, earlier.page):
        assert not re.search(r"https?://|url\(|@import", page.source)
        assert not page.values("src") and not page.tags & {"link", "iframe", "object", "embed", "img"}
        assert any(value.startswith("default-src 'none'") for value in page.values("content"))
        places = page.values("id")
        assert len(places) == len(set(places))
        outside = {link for link in page.values("href") if link.removeprefix("#") not in places}
        assert outside == ({"fold_0/result/0/report.html"} if page is written.page else set())
