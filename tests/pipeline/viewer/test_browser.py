"""The page in a real browser, headless: by mouse, by keyboard alone, on a telephone, and in two windows."""

import functools
import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api as playwright

from pipeline.inference import load_segmenter, spec_of
from pipeline.planning import Stage
from pipeline.viewer import Corrections
from records import find_regions, read_photograph
from tests.chromium import CHROMIUM, needs_chromium

pytestmark = [pytest.mark.slow, needs_chromium]
NUMBER = re.compile(r"^\d+$")
PATIENCE = 500_000  # milliseconds for a training, and for what happens while its model is loaded
SAVED = re.compile("^saved .* by ")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright.expect.set_options(timeout=30_000)  # milliseconds; other tests may take the machine's time
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def served(serve, ask_at) -> Iterator[Any]:
    """A page of its own, whose photographs are segmented."""
    opened, photographs, output = serve()
    with opened as page:
        served = ask_at(page.url)._replace(output=output, photographs=photographs, folder=page.folder)
        served.wait_for("left", "right")
        yield served


@pytest.fixture
def open_window(served, open_at) -> Callable[..., Any]:
    """Opens the page of `served` in a window."""
    return functools.partial(open_at, served.url)


@pytest.fixture
def open_at(browser) -> Iterator[Callable[..., Any]]:
    """Opens a page in a window; what the page writes to the console, or throws, fails the test."""
    contexts, problems = [], []

    def make(url: str, width: int = 1100, height: int = 700, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        window = contexts[-1].new_page()
        window.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.goto(url)
        playwright.expect(window.locator(".count").first).to_have_text(NUMBER)
        return window

    yield make
    for context in contexts:
        context.close()
    assert [problem for problem in problems if "409" not in problem] == []


def mask(served: Any, name: str, case: str = "left") -> np.ndarray:
    return cv2.imread(str(served.output / "masks" / name / f"{case}.png"), cv2.IMREAD_UNCHANGED) > 0


def counts(window: Any) -> list[int]:
    return [int(text) for text in window.locator(".class .count").all_text_contents()]


def correct_from_nothing(window: Any) -> None:
    """Begins to correct with empty masks: those of the tiny model cover nearly everything."""
    for name in ("HE", "MA"):
        window.get_by_label(f"Threshold of {name}").fill("254")
    window.click("#correct")
    window.locator("#tools").wait_for()


def saved(window: Any) -> None:
    """Waits until everything is saved."""
    playwright.expect(window.locator("#saved")).to_have_text(re.compile("^saving"))
    playwright.expect(window.locator("#saved")).to_have_text(SAVED)


def at(window: Any, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the fitted photograph `left`, 130x96, is on the screen."""
    box = window.locator("#main").bounding_box()
    zoom = min(box["width"] / 130, box["height"] / 96)
    return (
        box["x"] + box["width"] / 2 + (x - 65) * zoom,
        box["y"] + box["height"] / 2 + (y - 48) * zoom,
    )


def test_lesions_are_counted_as_the_server_counts_them_and_sliders_act_at_once(served, open_window):
    window = open_window()
    assert counts(window) == served.cases()["left"]["lesions"]
    threshold = window.get_by_label("Threshold of HE")
    threshold.fill("254")
    assert counts(window)[0] == 0
    threshold.fill("1")
    assert counts(window)[0] >= 1
    window.get_by_label("Least area of HE").fill("100")
    assert counts(window)[0] <= 1
    window.get_by_text("The model's thresholds").click()
    assert counts(window) == served.cases()["left"]["lesions"]


def test_a_photograph_is_dropped_drawn_on_saved_and_there_again_after_a_reload(served, open_window, fundus):
    window = open_window()
    content = cv2.imencode(".png", fundus(96, 130, seed=11).photograph)[1].tobytes()
    window.set_input_files("#files", {"name": "dropped.png", "mimeType": "image/png", "buffer": content})
    playwright.expect(window.locator("#title")).to_have_text("dropped")
    playwright.expect(window.locator(".count").first).to_have_text(NUMBER)
    correct_from_nothing(window)
    window.locator("#brush").fill("10")
    window.mouse.move(*at(window, 20, 70))
    window.mouse.down()
    window.mouse.move(*at(window, 60, 70), steps=20)
    window.mouse.up()
    window.get_by_label("HE is complete in this photograph").check()
    saved(window)
    drawn = mask(served, "HE", "dropped")
    assert drawn[70, 20:60].all()
    assert drawn[67:73, 40].all()
    assert not drawn[77:, 30:50].any()
    assert (served.output / "labels.csv").read_text() == "case,labelled,absent\ndropped,HE,\n"
    assert (served.output / "images" / "dropped.png").read_bytes() == content
    window.keyboard.press("Control+z")
    window.keyboard.press("Control+z")
    saved(window)
    assert not mask(served, "HE", "dropped").any()
    window.keyboard.press("Control+y")
    window.keyboard.press("Control+y")
    saved(window)
    np.testing.assert_array_equal(mask(served, "HE", "dropped"), drawn)
    window.reload()
    window.get_by_role("button", name="dropped").click()
    window.click("#correct")
    playwright.expect(window.locator("#saved")).to_have_text(SAVED)
    playwright.expect(window.get_by_label("HE is complete in this photograph")).to_be_checked()
    painted = (
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(one => one > 0)"
    )
    assert window.locator("#main .mask").evaluate(painted)
    window.get_by_role("button", name="Remove").click()
    playwright.expect(window.locator("#list")).not_to_contain_text("dropped")
    playwright.expect(window.locator("#title")).to_have_text("left")
    assert not list((served.folder / "uploads").iterdir())
    np.testing.assert_array_equal(mask(served, "HE", "dropped"), drawn)


def test_lesions_are_counted_while_they_are_drawn(served, open_window):
    window = open_window()
    correct_from_nothing(window)
    playwright.expect(window.locator(".count").first).to_have_text("0")
    window.locator("#brush").fill("6")
    for x, y in ((20, 20), (40, 20), (100, 70)):
        window.mouse.click(*at(window, x, y))
    playwright.expect(window.locator(".count").first).to_have_text("3")
    assert window.locator("#quadrants tbody tr").first.locator("td").all_text_contents() == ["2", "0", "0", "1"]
    window.mouse.move(*at(window, 20, 20))
    window.mouse.down()
    window.mouse.move(*at(window, 40, 20), steps=5)
    window.mouse.up()
    playwright.expect(window.locator(".count").first).to_have_text("2")
    saved(window)
    mask_of_left = mask(served, "HE")
    assert len(find_regions(mask_of_left).area) == 2
    window.keyboard.press("Control+z")
    playwright.expect(window.locator(".count").first).to_have_text("3")


def test_every_tool_does_what_it_says(served, open_window):
    window = open_window()
    correct_from_nothing(window)
    window.get_by_role("button", name="Polygon").click()
    for x, y in ((10, 10), (30, 10), (30, 24), (10, 24)):
        window.mouse.click(*at(window, x, y))
    window.locator("#main").focus()
    window.keyboard.press("Enter")
    window.get_by_role("button", name="Ignore", exact=True).click()
    window.get_by_label("Ignore for all classes").check()
    window.locator("#brush").fill("4")
    window.mouse.click(*at(window, 100, 80))
    saved(window)
    polygon = np.zeros((96, 130), bool)
    polygon[11:23, 11:29] = True
    assert mask(served, "HE")[polygon].all()
    polygon[9:25, 9:31] = True
    assert not mask(served, "HE")[~polygon].any()
    for name in ("HE_ignore", "MA_ignore"):
        assert mask(served, name)[80, 100]
        assert mask(served, name).sum() < 30
    window.get_by_role("button", name="Reject").click()
    window.mouse.click(*at(window, 20, 17))
    window.get_by_role("button", name="Eraser").click()
    window.locator("#brush").fill("12")
    window.mouse.click(*at(window, 100, 80))
    saved(window)
    assert not mask(served, "HE").any()
    assert not (served.output / "masks" / "HE_ignore" / "left.png").exists()
    assert mask(served, "MA_ignore")[80, 100]
    window.get_by_role("button", name="Accept").click()
    window.mouse.click(*at(window, 65, 48))
    saved(window)
    assert mask(served, "HE")[48, 65]


# Random strokes, polygons and whole lesions; all of them are undone, and done again.
EDIT = """async () => {
  const {Editor} = await import("/static/editor.js");
  let seed = 7;
  const random = (most) => (seed = seed * 48271 % 2147483647) % most;
  const width = 70, height = 50;
  const plane = () => Uint8Array.from({length: width * height}, () => random(10) === 0 ? random(256) : 0);
  const editor = new Editor({width, height, lesion: plane(), ignored: plane(), complete: new Set([1])});
  const states = [[...editor.bytes(), ...editor.complete].join()];
  const place = () => ({x: random(width + 20) - 10, y: random(height + 20) - 10});
  while (states.length < 80) {
    const kind = random(6), bits = 1 << random(8);
    editor.begin();
    if (kind < 3) editor.stroke(["draw", "erase", "ignore"][kind], bits, place(), place(), 1 + random(9));
    else if (kind === 3) editor.polygon("draw", bits, [place(), place(), place(), place()]);
    else if (kind === 4) editor.reject(random(8), random(width), random(height));
    else { editor.end(); editor.setComplete(random(3), random(2) === 1); }
    if (kind < 5) editor.end();
    const state = [...editor.bytes(), ...editor.complete].join();
    if (editor.done.length === states.length) states.push(state);
  }
  let wrong = 0, steps = 0;
  for (let step = states.length - 2; step >= 0; step--, steps++) {
    editor.undo();
    wrong += [...editor.bytes(), ...editor.complete].join() !== states[step];
  }
  const isAtStart = !editor.undo();
  for (let step = 1; step < states.length; step++) {
    editor.redo();
    wrong += [...editor.bytes(), ...editor.complete].join() !== states[step];
  }
  return {wrong, steps, isAtStart, isAtEnd: !editor.redo()};
}"""


def test_eighty_steps_can_be_undone_and_done_again(open_window):
    assert open_window().evaluate(EDIT) == {"wrong": 0, "steps": 79, "isAtStart": True, "isAtEnd": True}


def test_the_second_window_is_told_and_loses_nothing_in_silence(served, open_window):
    first, second = open_window(), open_window()
    playwright.expect(second.locator("#banner")).to_contain_text("another window")
    for window in (first, second):
        correct_from_nothing(window)
    first.mouse.click(*at(first, 20, 70))
    playwright.expect(first.locator("#saved")).to_have_text(SAVED)
    of_first = mask(served, "HE")
    second.locator("#by").fill("Grace")
    second.mouse.click(*at(second, 100, 20))
    playwright.expect(second.locator("#banner")).to_contain_text("saved this photograph in another window")
    np.testing.assert_array_equal(mask(served, "HE"), of_first)
    second.get_by_role("button", name="Save mine instead").click()
    playwright.expect(second.locator("#saved")).to_have_text(re.compile("by Grace"))
    assert mask(served, "HE")[20, 100]


def test_it_works_by_keyboard_alone(served, open_window):
    window = open_window()

    def tab_to(selector: str) -> None:
        for _ in range(80):
            if window.locator(selector).evaluate("element => element === document.activeElement"):
                return
            window.keyboard.press("Tab")
        raise AssertionError(f"{selector} cannot be reached by Tab")

    tab_to("#list li:nth-child(2) button")
    window.keyboard.press("Enter")
    playwright.expect(window.locator("#title")).to_have_text("right")
    playwright.expect(window.locator(".count").first).to_have_text(NUMBER)
    tab_to("[aria-label='Threshold of HE']")
    window.keyboard.press("End")
    assert counts(window)[0] == 0
    tab_to("#correct")
    window.keyboard.press("Enter")
    window.locator("#tools").wait_for()
    tab_to("#main")
    for key in ("+", "0", "b", "]", "ArrowRight", "ArrowRight", " "):
        window.keyboard.press(key)
    playwright.expect(window.locator("#readout")).to_contain_text("HE ")
    playwright.expect(window.locator("#saved")).to_have_text(SAVED)
    assert mask(served, "HE", "right").any()
    tab_to("#look")
    window.keyboard.press("Enter")
    playwright.expect(window.locator("#tools")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["wide", "narrow"])
def test_axe_finds_no_fault_of_accessibility_while_looking_and_while_correcting(open_window, scheme, size):
    window = open_window(*size, color_scheme=scheme)
    for mode in ("#look", "#correct"):
        window.click(mode)
        found = Axe().run(window)
        assert found.violations_count == 0, found.generate_report()
    window.evaluate("document.body.append(document.createElement('button'))")
    assert Axe().run(window).violations_count > 0  # of a button without a name


def test_nothing_is_wider_than_a_telephone(open_window):
    window = open_window(390, 844, has_touch=True, is_mobile=True)
    assert window.evaluate("document.documentElement.scrollWidth") <= 390
    window.locator("#correct").tap()
    window.locator("#tools").wait_for()
    assert window.evaluate("document.documentElement.scrollWidth") <= 390
    window.evaluate("scrollTo(0, 0)")
    shown = window.locator("#main").bounding_box()
    assert shown["y"] + shown["height"] <= 844  # the tools leave the whole photograph in view
    assert shown["height"] > 844 / 2
    window.locator("#tool-class").select_option("MA")
    playwright.expect(window.locator(".class.chosen .name")).to_have_text("MA")


class Commands:
    """Runs stages as real commands, in forks; see the fixture `forked`."""

    def __init__(self, forked: Any):
        self.forked = forked

    def run(self, stages: Sequence[Stage], log: Path, began: Callable[[int], None]) -> int:
        for number, stage in enumerate(stages):
            began(number)
            done = self.forked(name=stage.command, arguments=stage.arguments)
            log.write_text(done.stdout + done.stderr)
            if done.returncode:
                return done.returncode
        return 0

    def stop(self) -> None:
        """The test that trains waits for the end."""


@pytest.fixture
def trainable(serve, ask_at, forked) -> Iterator[Any]:
    """A page of its own, which can train."""
    opened, photographs, output = serve(runner=lambda: Commands(forked))
    with opened as page:
        served = ask_at(page.url)._replace(output=output, photographs=photographs)
        served.wait_for("left", "right")
        yield served


def test_a_model_is_trained_on_what_was_corrected_and_then_looked_with(trainable, correct, open_at):
    output, folder = trainable.output, trainable.output / "trainings" / "1" / "run" / "model"
    window, other = open_at(trainable.url), open_at(trainable.url, 390, 844, has_touch=True, is_mobile=True)
    about = window.locator("#train-about")
    playwright.expect(about).to_contain_text("Correct at least 5 photographs first")
    assert window.locator("#train-begin").is_hidden()
    correct(Corrections(output, ("HE", "MA"), max_pixels=10**6, model=""), 1, 5)
    window.reload()
    playwright.expect(about).to_contain_text("the 5 corrected photographs")
    window.locator("#train-minutes").fill("0.03")
    window.click("#train-begin")
    for one in (window, other):
        playwright.expect(one.locator("#train-stop")).to_be_visible()
    playwright.expect(window.locator("#train-now")).to_have_text("Done.", timeout=PATIENCE)
    rows = window.locator("#train-scores tbody tr")
    assert [text[:2] for text in rows.all_text_contents()] == ["HE", "MA"]
    assert all(re.fullmatch(r"[01]\.\d{3}", text) for text in rows.locator("td").all_text_contents())
    assert "Loss" in window.locator("#train-curves").inner_text()
    commands = window.locator("#train-commands").text_content()
    assert f"# new model: {folder}" in commands
    assert "python -m scripts.train" in commands and "--config.train.max_minutes=0.03" in commands
    assert Axe().run(window).violations_count == 0
    window.click("#train-use-new")
    for one in (window, other):  # the second one is told, and loads the page anew as well
        playwright.expect(one.locator("#train-use-first")).to_be_visible(timeout=PATIENCE)
    session = trainable.ask("GET", "/api/session").json
    assert session["folders"] == [str(folder)]
    assert session["thresholds"] == list(spec_of(folder).thresholds)
    case = trainable.wait_for("left")["left"]
    levels = gzip.decompress(trainable.ask("GET", f"/api/photographs/{case['number']}/map").body)
    photograph = read_photograph(trainable.photographs / "left.png", max_pixels=10**6)
    segmenter = load_segmenter(folder)
    expected = segmenter.segment_measured(segmenter.measure(photograph)).scaled
    got = np.frombuffer(levels, np.uint8).reshape(2, *expected.shape[:2])
    assert np.abs(np.moveaxis(got, 0, -1) / 255 - expected).max() <= 0.5 / 255 + 1e-6
    playwright.expect(window.locator(".count").first).to_have_text(NUMBER, timeout=PATIENCE)


def test_nothing_is_fetched_from_anywhere_else(served, open_window, browser):
    context = browser.new_context()
    window, asked = context.new_page(), []
    window.on("request", lambda request: asked.append(request.url))
    window.goto(served.url)
    playwright.expect(window.locator(".count").first).to_have_text(NUMBER)
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((served.url, "blob:"))] == []
    context.close()
