"""The page in a real browser: quiet, sorted and filtered, by keyboard, on a phone, in print."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from page_forms import content, gallery, hostile, page_of, wide_table

from baselines import ARMS
from benchmark.judge.judgement import SECTIONS
from benchmark.judge.shipped import shipped
from benchmark.report.checklists.known import Known
from benchmark.report.checklists.sheet import CHECKLISTS, load, sheet
from benchmark.report.page.contents import Content
from benchmark.report.page.html import render
from benchmark.report.provenance import choices_table, commands_table, machines_table
from benchmark.report.run_files import read
from benchmark.runs.collect import reproduction_folder

pytest.importorskip("selenium", reason="selenium is not installed: pip install -e .[test]")
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

BROWSERS = ("google-chrome", "chromium", "chromium-browser")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
DRIVER = shutil.which("chromedriver")
NEEDS = "no Chromium with its driver: apt-get install chromium chromium-driver"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (BROWSER and DRIVER), reason=NEEDS)]
QUIET = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--force-prefers-reduced-motion"]  # fmt: skip
PHONE = 360  # CSS pixels, the narrowest phones in use
DARK_SYSTEM = [{"name": "prefers-color-scheme", "value": "dark"}]
SEEN = """const seen = [...document.querySelectorAll(arguments[0])]
  .filter((element) => element.checkVisibility());"""
NO_STORAGE = """Object.defineProperty(window, 'localStorage',
  {get() { throw new DOMException('denied', 'SecurityError'); }});"""
CUT = """return [...document.querySelectorAll(".box")]
  .filter((box) => box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.querySelector("caption")?.textContent)"""
BEYOND = """return [...document.querySelectorAll("main *")]
  .filter((element) => !element.closest(".box, svg, .unseen")
    && element.getBoundingClientRect().right > innerWidth + 1).length"""
WIDTHS = "return [innerWidth, document.documentElement.scrollWidth <= innerWidth]"


class Reader:
    """A browser and one page in it, with the few moves that the tests make."""

    def __init__(self, driver: Chrome, folder: Path) -> None:
        self.driver, self.file, self.run = driver, folder / "index.html", driver.execute_script

    def opens(self, page: Content) -> Reader:
        self.file.write_text(render(page), encoding="utf-8")
        self.driver.get(self.file.as_uri())
        return self

    def one(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        """What is seen of it."""
        return self.run(f"{SEEN} return seen;", css)

    def texts(self, css: str) -> list[str]:
        return self.run(f"{SEEN} return seen.map((element) => element.innerText.trim());", css)

    def writes(self, css: str, text: str) -> None:
        field = self.one(css)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def chooses(self, name: str, label: str) -> None:
        """By typing, as a keyboard does."""
        self.one(f"#controls [name={name}]").send_keys(label)

    def style(self, css: str, name: str) -> str:
        return self.one(css).value_of_css_property(name)

    def asks(self, command: str, **parameters: Any) -> dict[str, Any]:
        return self.driver.execute_cdp_cmd(command, parameters)

    def narrows(self, width: int) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.asks("Emulation.setDeviceMetricsOverride", **size)

    def unfolds(self) -> None:
        self.run("document.querySelectorAll('details').forEach((box) => { box.open = true; })")

    def stops_script(self, stopped: bool) -> None:
        self.asks("Emulation.setScriptExecutionDisabled", value=stopped)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requested(self) -> set[str]:
        """The schemes of what was requested since this was last asked, but for what was blocked."""
        log = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        events = [(entry["message"]["method"], entry["message"]["params"]) for entry in log]
        blocked = {event["requestId"] for _, event in events if event.get("blockedReason") == "csp"}
        return {
            event["request"]["url"].partition(":")[0]
            for name, event in events
            if name == "Network.requestWillBeSent" and event["requestId"] not in blocked
        }

    def column(self, place: int) -> list[str]:
        return self.texts(f"#table-1 tbody td:nth-child({place})")

    def head(self, place: int) -> WebElement:
        return self.one(f"#table-1 th:nth-child({place}) button")

    def slices(self) -> list[int]:
        texts = self.texts("#slices .words")
        return [int(text.split(",")[0].removeprefix("Slice ")) for text in texts]

    def paper(self) -> str:
        return self.style("body", "background-color")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    profile = f"--user-data-dir={tmp_path_factory.mktemp('profile')}"
    for word in [*QUIET, profile, "--window-size=1280,900"]:
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(executable_path=DRIVER)  # named, so that nothing is downloaded
    driver = Chrome(options=options, service=service)
    driver.get("about:blank")
    driver.get_log("performance")  # of the page that a browser begins with
    yield driver
    driver.quit()


@pytest.fixture
def reader(driver: Chrome, tmp_path: Path) -> Iterator[Reader]:
    """A page with one of everything.

    After every test, the browser had nothing to complain of and fetched nothing.
    """
    reader = Reader(driver, tmp_path).opens(content())
    yield reader
    assert reader.complaints() == []
    assert reader.requested() <= {"file", "data"}
    reader.asks("Emulation.clearDeviceMetricsOverride")
    reader.asks("Emulation.setEmulatedMedia", media="", features=[])


BY_DICE = ["0.090", "0.100", "0.500", "0.600", "0.700", "0.891", "0.891", "0.900"]
SHARES = ["0/106", "1/318", "3/318", "2/106", "10/100", "1/5", "1/4", "1/2"]


def test_a_click_sorts_by_number_and_missing_stays_last(reader: Reader) -> None:
    """Up, down, then the file's own order again; the empty Dice is last both ways.

    By-image-2 has 0.89126 and by-image-10 0.89134; both are shown as 0.891.
    """
    before, states = reader.column(2), []
    for expected in ([*BY_DICE, ""], [*BY_DICE[::-1], ""], before):
        reader.head(2).click()
        assert reader.column(2) == expected
        states.append(reader.one("#table-1 th:nth-child(2)").get_attribute("aria-sort"))
        if len(states) == 1:
            assert reader.column(1)[5:7] == ["by-image-2", "by-image-10"]
    assert states == ["ascending", "descending", None]


def test_the_keyboard_sorts_too(reader: Reader) -> None:
    """Texts sort with their numbers as numbers: 9 before 10; one column is sorted at a time.

    Shares sort as shares, and equal rows keep their order.
    """
    reader.head(3).send_keys(Keys.SPACE)
    assert reader.column(3) == [*SHARES, ""]
    reader.head(1).send_keys(Keys.ENTER)
    assert reader.column(1)[-3:] == ["by-image-7", "by-image-9", "by-image-10"]
    assert len(reader.all("#table-1 th[aria-sort]")) == 1
    for _ in range(2):
        reader.head(1).send_keys(Keys.ENTER)
    reader.head(4).send_keys(Keys.ENTER)
    assert reader.column(1)[:7] == [f"by-image-{n}" for n in range(1, 8)]


def test_a_filter_keeps_rows_with_every_word_and_counts_them(reader: Reader) -> None:
    count = reader.one("[data-counts=table-1]")
    assert count.text == "9 of 9 rows"
    reader.writes("[data-filters=table-1]", "IMAGE-1 reproduced")
    assert reader.column(1) == ["by-image-10"]
    assert count.text == "1 of 9 rows"
    reader.writes("[data-filters=table-1]", Keys.BACKSPACE)
    assert len(reader.column(1)) == 9


def test_the_gallery_comes_in_batches_worst_first(reader: Reader) -> None:
    """24 of 30 first; the button brings the rest, goes, and leaves the focus on the next one."""
    assert reader.slices() == list(range(1, 25))
    assert reader.one("#shown").text == "30 of 30 tested slices match; the first 24 are shown"
    reader.one("#more").send_keys(Keys.ENTER)
    assert reader.slices() == list(range(1, 31))
    assert reader.driver.switch_to.active_element.text.startswith("Slice 25,")
    assert reader.all("#more") == []


def test_the_gallery_filters_by_arm(reader: Reader) -> None:
    """Otsu tested slices 1 and 2, found nothing on 1, and its Dice of 2 is not known."""
    reader.chooses("arm", "otsu")
    assert Select(reader.one("[name=run]")).first_selected_option.text == (
        "64x64 fp32 · by-image-1 · no seed · saw a click · protocol thesis, phantoms"
    )
    assert reader.texts("#slices .words") == [
        "Slice 1, patient P1\nDice 0.000\nArea 100 mm², predicted nothing",
        "Slice 2, patient P2\nDice none\nArea 200 mm², predicted 1 mm²",
    ]


def test_the_gallery_filters_by_dice_area_and_name(reader: Reader) -> None:
    """Slice n has Dice n/100 and 100 n mm2; both ends belong to a range."""
    for fields, expected in (
        ({"low": "0.05", "high": "0.1"}, [5, 6, 7, 8, 9, 10]),
        ({"small": "700", "large": "900"}, [7, 8, 9]),
        ({"named": "p8"}, [8]),
        ({"named": "9"}, [9]),
    ):
        for name, text in fields.items():
            reader.writes(f"[name={name}]", text)
        assert reader.slices() == expected
        assert reader.one("#shown").text == f"{len(expected)} of 30 tested slices match"


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("highest Dice first", 30),
        ("slice number", 1),
        ("largest tumour first", 30),
        ("smallest tumour first", 1),
    ],
)
def test_the_gallery_sorts(reader: Reader, order: str, first: int) -> None:
    reader.chooses("order", order)
    assert reader.slices()[0] == first


def test_outlines_come_and_go(reader: Reader) -> None:
    """Truth and prediction at first; a second run's joins on the slices that it tested."""

    def kinds() -> list[str]:
        outlines = reader.all("#slices li:nth-child(2) .outline")
        return [str(e.get_attribute("class")).removeprefix("outline ") for e in outlines]

    assert kinds() == ["truth", "prediction"]
    reader.one("[name=truth]").send_keys(Keys.SPACE)
    reader.chooses("other", "otsu")
    assert kinds() == ["prediction", "second"]
    assert "second run none" in reader.texts("#slices .words")[1]
    assert "second run not tested" in reader.texts("#slices .words")[2]
    reader.one("[name=second]").send_keys(Keys.SPACE)
    reader.one("[name=prediction]").send_keys(Keys.SPACE)
    assert kinds() == []


def test_a_slice_opens_larger_and_the_keyboard_leads_on(reader: Reader) -> None:
    """Enter opens, arrows go on and stop at the ends, Escape closes and gives the focus back."""
    card = reader.all("#slices button")[1]
    card.send_keys(Keys.ENTER)
    caption, keys = reader.one("dialog p"), reader.driver.switch_to.active_element
    assert caption.text.startswith("Slice 2, patient P2.")
    left, right = Keys.ARROW_LEFT, Keys.ARROW_RIGHT
    for key, expected in ((right, 3), (left, 2), (left, 1), (left, 1)):
        keys.send_keys(key)
        assert caption.text.startswith(f"Slice {expected},")
    label = reader.one("dialog .stage svg").get_attribute("aria-label")
    assert label == "Slice 1, patient P1. Dice 0.010. Area 100 mm², predicted 90 mm²"
    keys.send_keys(Keys.ESCAPE)
    assert reader.all("dialog") == []
    assert reader.driver.switch_to.active_element == card


def test_the_dialog_has_buttons_for_fingers(reader: Reader) -> None:
    reader.all("#slices button")[0].click()
    for name, expected in (("next", 2), ("previous", 1)):
        reader.one(f"dialog [name={name}]").click()
        assert reader.one("dialog p").text.startswith(f"Slice {expected},")
    reader.one("dialog [name=close]").click()
    assert reader.all("dialog") == []


LIGHT, DARK, WHITE = "rgba(253, 253, 252, 1)", "rgba(21, 23, 26, 1)", "rgba(255, 255, 255, 1)"


def test_the_theme_follows_the_system_until_it_is_chosen_and_is_remembered(reader: Reader) -> None:
    reader.asks("Emulation.setEmulatedMedia", features=DARK_SYSTEM)
    for name, colour in (("auto", DARK), ("light", LIGHT), ("dark", DARK), ("auto", DARK)):
        assert (reader.one("#theme").text, reader.paper()) == (f"Theme: {name}", colour)
        reader.driver.refresh()
        assert (reader.one("#theme").text, reader.paper()) == (f"Theme: {name}", colour)
        reader.one("#theme").click()
    reader.run("localStorage.clear()")


def test_denied_storage_breaks_nothing(reader: Reader) -> None:
    made = reader.asks("Page.addScriptToEvaluateOnNewDocument", source=NO_STORAGE)
    reader.driver.refresh()
    reader.one("#theme").click()
    assert reader.paper() == LIGHT
    assert len(reader.slices()) == 24
    reader.asks("Page.removeScriptToEvaluateOnNewDocument", **made)


@pytest.mark.parametrize("width", [1280, 390, PHONE])
def test_nothing_is_wider_than_the_window(reader: Reader, width: int) -> None:
    """With all that is folded open; what is too wide for a phone scrolls within its own box."""
    for page in (hostile(), content(gallery=None), content()):
        reader.narrows(width)
        reader.opens(page)
        assert reader.run(WIDTHS) == [width, True]
    reader.unfolds()
    assert reader.run(WIDTHS) == [width, True]
    assert reader.run(BEYOND) == 0
    assert (reader.run(CUT) == []) is (width == 1280)


def test_no_table_of_the_shipped_records_is_cut(reader: Reader) -> None:
    """At 1280 pixels, before a switch for more columns is touched; some have such a switch."""
    judgement, root = shipped(), reproduction_folder()
    runs = judgement.collected.runs
    tables = [table for make in SECTIONS.values() for table in make(judgement)]
    tables += [commands_table(root, runs, ARMS), machines_table(root, runs), choices_table()]
    known = Known(judgement, read(root, runs["run_id"]))
    tables += [sheet(load(slug), known) for slug in CHECKLISTS]
    reader.opens(page_of(*tables))
    reader.narrows(1280)
    reader.unfolds()
    assert reader.run(CUT) == []
    assert len(reader.all(".columns")) > 1


def test_the_switch_shows_the_columns_that_wait(reader: Reader) -> None:
    """By keyboard, without any script of the page; the other tables stay as they are."""
    reader.opens(page_of(wide_table(), replace(wide_table(), title="Wide too.")))
    reader.stops_script(True)
    for shown in (["0", "9"], [str(n) for n in range(10)], ["0", "9"]):
        assert [text.split()[1] for text in reader.texts("#table-1 th")] == shown
        assert len(reader.all("#table-1 td")) == len(shown)
        assert len(reader.all("#table-2 th")) == 2
        reader.all(".columns")[0].send_keys(Keys.SPACE)
    reader.stops_script(False)


def test_a_link_to_a_folded_table_opens_it_and_then_it_sorts(reader: Reader) -> None:
    """Beneath a figure, beneath a folded figure and alone; its heads are buttons from the start."""
    for number in (3, 4, 7):
        assert reader.all(f"#table-{number}") == []
        reader.one(f'#tables a[href="#table-{number}"]').send_keys(Keys.ENTER)
        assert len(reader.all(f"#table-{number}")) == 1
    for _ in range(2):
        reader.one("#table-7 th button").click()
    assert reader.texts("#table-7 td")[:2] == ["key 12", "key 11"]


def test_print_opens_what_is_folded_and_drops_what_is_for_hands(reader: Reader) -> None:
    """In the dark theme too, paper is white.

    Of a wide table it has the essential columns, as the screen does: cells of the figures,
    commands, machines and choices.
    """
    folded = "details:not([open]) td"
    assert reader.all(folded) == []
    reader.asks("Emulation.setEmulatedMedia", media="print", features=DARK_SYSTEM)
    assert reader.paper() == WHITE
    assert len(reader.all(folded)) == 1 + 2 + 2 + 13
    for css in ("nav", "#theme", "#controls", "#more", ".tools", ".files"):
        assert reader.all(css) == []
    assert {reader.style(css, "overflow-x") for css in (".table .box", ".art")} == {"visible"}
    assert base64.b64decode(reader.asks("Page.printToPDF")["data"]).startswith(b"%PDF-")


def test_paper_says_which_runs_the_gallery_shows(reader: Reader) -> None:
    """The lists in which they were chosen are not printed; on the screen they say it themselves."""
    reader.chooses("other", "otsu")
    assert reader.all("#which") == []
    reader.asks("Emulation.setEmulatedMedia", media="print")
    (legend,) = reader.texts("#which")
    assert legend == (
        "unet 5x5, alpha 0.5 · 64x64 fp32 · by-image-1 · seed 1 · protocol thesis, phantoms; "
        "dotted: otsu · 64x64 fp32 · by-image-1 · no seed · saw a click · protocol thesis, phantoms"
    )


@pytest.mark.parametrize("lost", [{"outlines": {}}, {"outlines": {}, "runs": []}])
def test_a_gallery_of_lost_outlines_says_that_none_matches(
    reader: Reader, lost: dict[str, Any]
) -> None:
    """So that the tests above cannot pass on outlines that are not there."""
    reader.opens(content(gallery={**gallery(), **lost}))
    assert reader.slices() == []
    if "runs" not in lost:
        assert reader.one("#shown").text == "0 of 0 tested slices match"


def test_hostile_names_run_nothing(reader: Reader) -> None:
    """No alert, no complaint; the slices are shown."""
    reader.run("window.alert = null")
    reader.opens(hostile())
    assert reader.run("return document.images.length") == 0
    assert len(reader.slices()) == 24


def test_the_policy_blocks_what_would_leave_the_page(reader: Reader) -> None:
    """The browser itself refuses a picture from elsewhere and another script."""
    blocked = reader.driver.execute_async_script("""
        const done = arguments[0], seen = [];
        document.addEventListener("securitypolicyviolation", (event) => {
          seen.push(event.effectiveDirective);
          if (seen.length === 2) done(seen.sort());
        });
        const image = new Image();
        image.src = "https://example.invalid/x.png";
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(image, script);
    """)
    assert blocked == ["img-src", "script-src-elem"]
    assert reader.run("return window.ran ?? null") is None
    assert all("Content Security Policy" in message for message in reader.complaints())


def test_without_script_everything_but_the_gallery_reads(reader: Reader) -> None:
    """Controls that could do nothing are hidden; the gallery says why."""
    reader.stops_script(True)
    reader.driver.refresh()
    assert len(reader.column(2)) == 9
    assert reader.all(".scripted") == []
    assert "The gallery needs JavaScript" in reader.one("#gallery").text
    reader.stops_script(False)
