"""The report: complete, self-contained, and interactive in a browser."""

import html
import html.parser
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest

from pipeline.evaluation import LoadedCase, Seen, audit, bootstrap, count_photograph, read_result
from pipeline.evaluation.results import counts_writer
from pipeline.evaluation.summary import write_summary
from pipeline.operating_point import OperatingPoint
from pipeline.reporting.gallery import Gallery, mean_dice
from pipeline.reporting.rendering import REPORT
from pipeline.reporting.report import write_report
from records import SamePhotograph, field_of_view, perceptual_hash
from records.shards.sharding import read_shard
from tests.chromium import CHROMIUM, needs_chromium

CLASSES, THRESHOLDS = ("HE", "MA"), (0.5, 0.25)


class Page(html.parser.HTMLParser):
    """A parsed page: its elements as (tag, attributes), and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.elements if attribute in attributes]


class Written(NamedTuple):
    path: Path
    scores: dict
    gallery: Gallery
    dice: dict[str, float]
    page: Page


class Scored(NamedTuple):
    folder: Path
    scores: dict
    gallery: Gallery
    dice: dict[str, float]
    hashes: dict[str, str]


@pytest.fixture(scope="module")
def score(records_set, tmp_path_factory):
    """Scores photographs of `records_set` with maps that find some of the lesions."""

    def evaluate(
        *cases: str,
        names: Mapping[str, str] = MappingProxyType({}),
        unknown: Mapping[str, str] = MappingProxyType({}),  # a class that is unknown in a case
    ) -> Scored:
        folder = tmp_path_factory.mktemp("report")
        gallery, dice, hashes = Gallery(CLASSES, OperatingPoint(THRESHOLDS)), {}, {}
        with counts_writer(folder, classes=CLASSES, bins=64, thresholds=THRESHOLDS) as writer:
            for seed, own in enumerate(cases):
                name, (photograph, masks) = names.get(own, own), records_set.pictures[own]
                known = np.ones_like(masks) & [one != unknown.get(own) for one in CLASSES]
                loaded = LoadedCase(name, photograph, masks & known, field_of_view(photograph), known)
                probabilities = partly_right(masks, seed)
                counts = count_photograph(
                    name,
                    probabilities,
                    masks,
                    field_of_view=loaded.field_of_view,
                    classes=CLASSES,
                    operating_point=OperatingPoint(THRESHOLDS),
                    bins=64,
                    known=known,
                )
                writer.add(counts)
                gallery.look(loaded, probabilities, counts)
                dice[name], hashes[name] = mean_dice(counts), perceptual_hash(photograph)
        (folder / "scores.json").write_text("{}")
        about = {
            "model": "runs/a/model",
            "predictions": None,
            "source": "photographs & masks",
            "layout": "paired_folders",
            "split": "test",
            "records": str(records_set.folder),
            "photographs": len(dice),
            "left_out": [],
            "classes": list(CLASSES),
            "bins": 64,
            "thresholds": dict(zip(CLASSES, THRESHOLDS, strict=True)),
            "threshold_source": "validation",
            "threshold_seen": False,
            "threshold_seen_on": [],
            "seen_by_name": [],
            "named_alike": [],
            "min_area": dict.fromkeys(CLASSES, 1),
            "versions": {"tensorflow": "2.21.0"},
            "fingerprints": {"config": "c0ffee", "records": "bada55"},
            "seconds": {"segmenting": 1.5, "scoring": 0.25},
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bootstrap, "RESAMPLES", 100)  # the report shows intervals, whatever they are
            scores = write_summary(folder, read_result(folder), about)
        return Scored(folder, scores, gallery, dice, hashes)

    return evaluate


def partly_right(masks: np.ndarray, seed: int) -> np.ndarray:
    """Returns a map float32 `[H, W, C]` that finds the lesions of the lower half, and something at the top."""
    rng = np.random.default_rng(seed)
    positive = masks.copy()
    positive[: positive.shape[0] // 2] = False
    positive[5:10, 5 : 5 + 5 * seed] = True
    shape = positive.shape
    return np.where(positive, rng.uniform(0.5, 1, shape), rng.uniform(0, 0.2, shape)).astype(np.float32)


@pytest.fixture(scope="module")
def scored(score, records_set) -> Scored:
    return score(*records_set.pictures)


@pytest.fixture(scope="module")
def write(records_set, scored, tmp_path_factory):
    """Writes a report of what was scored, with another description of the run."""

    def render(scored: Scored = scored, *, with_index: bool = True, tiles=None, **about) -> Written:
        folder = tmp_path_factory.mktemp("report")
        index = records_set.index if with_index else None
        scores = {**scored.scores, **({} if with_index else {"records": None}), **about}
        seen = Seen([SamePhotograph("A", "A", "file")], [SamePhotograph("D", "D", "name")], named_alike=["E"])
        leaks = audit(index, seen, scored.hashes)
        write_report(
            folder,
            read_result(scored.folder),
            scores,
            gallery=scored.gallery,
            audit=leaks,
            index=index,
            tiles=tiles,
        )
        path = folder / REPORT
        return Written(path, scores, scored.gallery, scored.dice, Page(path.read_text(encoding="utf-8")))

    return render


@pytest.fixture(scope="module")
def written(write) -> Written:
    return write(tiles={"bce_dice": 0.125, "dice_coef": 0.8125})


def test_the_file_needs_nothing_outside_itself(written):
    page = written.page
    for source in page.values("src"):
        assert source.startswith("data:image/jpeg;base64,")
    assert page.values("src")
    assert all(link.startswith("#") for link in page.values("href"))
    assert not re.search(r"https?://|url\(|@import", written.path.read_text())
    assert not {tag for tag, _ in page.elements} & {"link", "iframe", "object", "embed"}
    policy = next(attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'")


def test_every_link_leads_to_a_place_in_the_file_and_places_are_unique(written):
    places = written.page.values("id")
    assert len(places) == len(set(places))
    assert {link.removeprefix("#") for link in written.page.values("href")} <= set(places)


def test_it_has_styles_for_phones_paper_and_dark_mode(written):
    text = written.path.read_text()
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        e[1] for e in written.page.elements
    ]
    assert "@media print" in text
    assert "prefers-color-scheme: dark" in text


def test_headline_numbers_and_intervals_are_those_of_scores_json(written):
    for name in CLASSES:
        for key in ("aupr", "dice", "iou", "sensitivity", "ppv", "specificity", "roc_auc", "ece"):
            value, interval = (
                written.scores["scores"]["frame"][name][key],
                written.scores["intervals"]["frame"][name][key],
            )
            assert f"{value:.3f}{interval[0]:.3f} – {interval[1]:.3f}" in written.page.text
    mean = written.scores["over_classes"]["frame"]["aupr"]
    assert f"AUPR, exact{mean['value']:.3f}{mean['interval'][0]:.3f} – {mean['interval'][1]:.3f}" in written.page.text


def test_the_table_has_a_row_per_photograph_and_class_the_worst_first_and_blanks_for_undefined_dice(written):
    table = re.search(r'<table class="sortable".*?</table>', written.path.read_text(), re.DOTALL)[0]
    rows = re.findall(r"<tr><td>(?:<a [^>]*>)?(\w+)(?:</a>)?</td><td>(\w+)</td><td [^>]*data-value=\"([^\"]*)\"", table)
    assert len(rows) == 2 * len(written.dice)
    order = list(dict.fromkeys(case for case, _, _ in rows))
    with_lesions = [case for case in order if written.dice[case] is not None]
    assert with_lesions == sorted(with_lesions, key=written.dice.get)
    assert order[-1] == "C"  # the one without a lesion
    assert [value for case, _, value in rows if case == "C"] == ["", ""]


def test_all_definitions_of_aupr_and_the_scores_of_tiles_are_explained(written):
    text = " ".join(written.page.text.split())
    for definition in ("aupr", "aupr_33", "aupr_33_trapezoid", "aupr_11_trapezoid"):
        for name in CLASSES:
            assert f"{written.scores['scores']['frame'][name][definition]:.3f}" in text
    assert "IDRiD challenge (Porwal et al. 2020" in text
    assert "it is not average precision" in text
    assert "dice_coef of tilesevaluation.csv0.812" in text.replace(" evaluation", "evaluation").replace(
        " 0.812", "0.812"
    )
    assert "can be too high: only tiles that show a lesion are scored" in text


def test_every_photograph_of_the_gallery_is_shown_on_both_sides_with_its_missed_lesions(written):
    shown = [*written.gallery.worst, *written.gallery.best, *written.gallery.false_alarms]
    text = written.path.read_text()
    assert len(shown) == len(written.dice)  # none of the seven is left out
    for photograph in shown:
        assert f'alt="{photograph.case} with outlines of the ground truth"' in text
        assert f'alt="{photograph.case} with outlines of the detections"' in text
    assert text.count("<rect") == 2 * sum(len(photograph.missed) for photograph in shown) > 0


def test_a_missed_lesion_leads_to_the_record_that_holds_it(written, records_set):
    text = written.path.read_text()
    rows = re.findall(
        r"<td>(\w+), (\w+) (\d+)</td><td class=.number.>(\d+), (\d+)</td>.*?<td>(fundus_tiles[^<]*)<small>record (\d+)",
        text,
        re.DOTALL,
    )
    shown = [*written.gallery.worst, *written.gallery.best, *written.gallery.false_alarms]
    assert len(rows) == sum(len(photograph.missed) for photograph in shown)
    for case, name, _, y, x, shard, record in rows[::5]:
        tile = list(read_shard(records_set.folder / shard))[int(record)]
        assert tile.case == case
        assert tile.y <= int(y) < tile.y + 64
        assert tile.x <= int(x) < tile.x + 64
        assert name in CLASSES


def test_the_command_in_the_report_writes_the_tile_of_a_record(written, records_set, tmp_path, monkeypatch):
    name = records_set.index.splits["train"].shards[0].name
    command = re.search(r"<pre>(.*?)</pre>", written.path.read_text(), re.DOTALL)[1]
    program, option, code, shard, record = shlex.split(html.unescape(command))
    assert (program, option, shard, record) == ("python", "-c", f"{records_set.folder}/SHARD", "RECORD")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["-c", shard.replace("SHARD", name), "1"])
    exec(code, {})
    assert (tmp_path / "tile.png").read_bytes() == list(read_shard(records_set.folder / name))[1].image


def test_without_records_it_says_what_is_missing(write):
    text = " ".join(write(with_index=False).page.text.split())
    assert "Tiles, shards and records are only known with --records." in text
    assert "the scored photographs could only be compared with those that the model lists." in text


def test_leaks_are_announced_at_the_top_and_listed(written):
    text = " ".join(written.page.text.split())
    assert re.search(r"The leak audit found \d+ leaks?: ", text)
    assert "✗ scored photographs that the model was trained on: 1A" in text
    assert "Of 1 of the scored photographs only the name says that the model has seen them" in text
    assert "1 of the scored photographs have names that the model lists, but are not those photographs." in text
    assert "1 of the scored photographs belong to the model's validation split" in text


def test_a_threshold_that_was_given_or_chosen_on_these_photographs_is_mentioned(write, written):
    assert "--threshold" not in written.page.text
    assert "was given on the command line (--threshold)" in write(threshold_source="given").page.text
    seen = write(threshold_seen=True, threshold_seen_on=["A", "D"])
    assert "was chosen on 2 of these photographs, so" in seen.page.text
    named = write(threshold_seen=True, threshold_seen_on=["A"], seen_by_name=["A"])
    assert "was chosen on 1 of these photographs, as far as their names tell, so" in named.page.text


def test_dropped_small_detections_are_mentioned(write, written):
    assert "--min_area" not in written.page.text
    text = write(min_area={"HE": 9, "MA": 1}).page.text
    assert "Detections of fewer pixels than --min_area were dropped (HE 9, MA 1)" in text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("validation", "(best Dice on the validation photographs of the training)"),
        ("held out", "(best Dice on photographs scored by networks that had not seen them)"),
        ("config", "(from the config)"),
        ("given", "(given with --threshold)"),
        ("unknown", "(the model does not say where they come from)"),
    ],
)
def test_the_report_says_where_thresholds_come_from(write, source, text):
    assert text in write(threshold_source=source).page.text


def test_it_says_in_how_many_photographs_a_class_is_known_and_leaves_out_the_others(score, write):
    report = write(score("A", "B", "C", unknown={"A": "MA", "C": "MA"}), with_index=False)
    assert "known in 1 of 3 photographs" in report.page.text
    assert "; not labelled: MA" in report.page.text
    rows = re.findall(r"<tr><td>(?:<a[^>]*>)?(\w)(?:</a>)?</td><td>(HE|MA)</td>", report.path.read_text())
    assert sorted(rows) == [("A", "HE"), ("B", "HE"), ("B", "MA"), ("C", "HE")]
    nowhere = write(score("A", "C", unknown={"A": "MA", "C": "MA"}), with_index=False)
    assert "not labelled in any photograph" in nowhere.page.text
    assert "known in" not in nowhere.page.text


def test_it_has_the_false_detections_per_photograph_without_a_lesion(score, write):
    report = write(score("A", "C"), with_index=False)
    number = report.scores["without_lesion"]["frame"]["HE"]["false_findings"]
    assert report.scores["without_lesion"]["frame"]["HE"]["photographs"] == 1 <= number
    row = f'<td class="number">{number}</td><td class="number">{number:.2f}</td>'
    assert "per photograph" in report.page.text and row in report.path.read_text()


def test_it_has_the_curve_of_tiles_unless_they_are_unknown(written, write):
    assert "What correcting tiles removes" in written.page.text
    assert f"of {written.scores['sparsification']['tiles']} tiles removes" in written.page.text
    assert "What correcting tiles removes" not in write(sparsification=None).page.text


def test_names_with_markup_are_escaped(score, write):
    evil = "<img src=x onerror=alert(1)>"
    report = write(score("A", "B", names={"B": evil}), left_out=[{"case": "<b>", "why": "mask & photograph <differ>"}])
    assert evil not in report.path.read_text()
    assert evil in report.page.text
    assert "mask & photograph <differ>" in report.page.text
    assert "photographs & masks" in report.page.text


def test_without_a_gallery_or_an_audit_it_says_so(scored, tmp_path):
    page = Page(write_report(tmp_path, read_result(scored.folder), scored.scores).read_text())
    assert "this report was written from the counts alone" in page.text
    assert "There was no leak audit." in page.text
    assert not page.values("src")


def browse(path: Path, tmp_path: Path) -> tuple[str, list[str]]:
    """Opens a page in headless Chromium, and returns its DOM and the messages on the console."""
    options = [
        "--headless",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--virtual-time-budget=2000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root otherwise
    done = subprocess.run(
        [CHROMIUM, *options, *sandbox, "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@needs_chromium
def test_chromium_opens_it_without_a_message_on_the_console(written, tmp_path):
    dom, console = browse(written.path, tmp_path)
    assert console == []
    assert "<title>Evaluation: test photographs, HE, MA</title>" in dom


@needs_chromium
def test_chromium_sorts_enlarges_and_follows_a_missed_lesion(written, tmp_path):
    clicks = """<script>
      const rows = document.querySelector(".sortable").tBodies[0].rows;
      const order = () => [...rows].map((row) => row.cells[2].dataset.value);
      const said = {}, head = document.querySelectorAll(".sortable .sort")[2];
      head.click(); said.up = order(); head.click(); said.down = order();
      document.querySelector(".enlarge").click();
      said.enlarged = document.querySelectorAll("dialog[open] img").length;
      const missed = document.querySelector("dialog .stage a");
      missed.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
      setTimeout(() => {
        said.closed = !document.querySelector("dialog").open;
        said.followed = document.querySelector("details[open] tr:target") !== null;
        document.title = "said " + JSON.stringify(said);
      }, 300);
      </script></body>"""
    acted = tmp_path / "acted.html"
    acted.write_text(written.path.read_text().replace("</body>", clicks))
    dom, console = browse(acted, tmp_path)
    assert console == []
    assert '"enlarged":2' in dom
    assert '"closed":true,"followed":true' in dom
    up, down = (
        [float(text) if text else None for text in re.findall(r'"([^"]*)"', re.search(rf'"{name}":\[(.*?)\]', dom)[1])]
        for name in ("up", "down")
    )
    known = sorted(value for value in up if value is not None)
    blanks = [None] * (len(up) - len(known))
    assert blanks
    assert up == known + blanks
    assert down == known[::-1] + blanks
