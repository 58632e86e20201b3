"""The page in a real browser: quiet, self-contained, sorted and filtered, by keyboard, on a phone,
in print.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from page_forms import content, gallery, hostile, page_of, table, wide_table

from baselines import ARMS
from benchmark.judge.judgement import SECTIONS
from benchmark.report.docs_pages import shipped
from benchmark.report.page.contents import Content
from benchmark.report.page.html import render
from benchmark.report.provenance import choices_table, commands_table, machines_table
from benchmark.runs.collect import reproduction_folder

pytest.importorskip("selenium", reason="selenium is not installed: pip install -e .[test]")
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

BROWSER = next(
    filter(None, map(shutil.which, ("google-chrome", "chromium", "chromium-browser"))), None
)
DRIVER = shutil.which("chromedriver")
NEEDS = "no Chromium with its driver: apt-get install chromium chromium-driver"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (BROWSER and DRIVER), reason=NEEDS)]
QUIET = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--force-prefers-reduced-motion"]  # fmt: skip
PHONE = 360  # CSS pixels, the narrowest phones in use
SEEN = "const seen = [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility());"
NO_STORAGE = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }});"


class Reader:
    """A browser and one page in it, with the few moves that the tests make."""

    def __init__(self, driver: Chrome, folder: Path) -> None:
        self.driver, self.folder = driver, folder

    def opens(self, page: Content) -> Reader:
        file = self.folder / "index.html"
        file.write_text(render(page), encoding="utf-8")
        self.driver.get(file.as_uri())
        return self

    def one(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        """What is seen of it."""
        return self.driver.execute_script(f"{SEEN} return seen;", css)

    def texts(self, css: str) -> list[str]:
        return self.driver.execute_script(
            f"{SEEN} return seen.map((one) => one.innerText.trim());", css
        )

    def writes(self, css: str, text: str) -> None:
        field = self.one(css)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def runs(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def style(self, css: str, name: str) -> str:
        return self.one(css).value_of_css_property(name)

    def tells(self, command: str, **parameters: Any) -> dict[str, Any]:
        return self.driver.execute_cdp_cmd(command, parameters)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def asked(self) -> set[str]:
        """The schemes of all that was requested since this was last asked, but for what the page's
        policy blocked.
        """
        events = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        log = [(event["method"], event["params"]) for event in events]
        blocked = {what["requestId"] for name, what in log if what.get("blockedReason") == "csp"}
        sent = [
            what
            for name, what in log
            if name == "Network.requestWillBeSent" and what["requestId"] not in blocked
        ]
        return {what["request"]["url"].partition(":")[0] for what in sent}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for word in [
        *QUIET,
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
        "--window-size=1280,900",
    ]:
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(
        options=options, service=Service(executable_path=DRIVER)
    )  # named, so that nothing is downloaded
    driver.get("about:blank")
    driver.get_log("performance")  # of the page that a browser begins with
    yield driver
    driver.quit()


@pytest.fixture
def reader(driver: Chrome, tmp_path: Path) -> Iterator[Reader]:
    """A page with one of everything; after every test, the browser had nothing to complain of and
    fetched nothing.
    """
    reader = Reader(driver, tmp_path).opens(content())
    yield reader
    assert reader.complaints() == []
    assert reader.asked() <= {"file", "data"}
    reader.tells("Emulation.clearDeviceMetricsOverride")
    reader.tells("Emulation.setEmulatedMedia", media="", features=[])


def column(reader: Reader, place: int) -> list[str]:
    return reader.texts(f"#table-1 tbody td:nth-child({place})")


def head(reader: Reader, place: int) -> WebElement:
    return reader.one(f"#table-1 th:nth-child({place}) button")


BY_DICE = ["0.090", "0.100", "0.500", "0.600", "0.700", "0.891", "0.891", "0.900"]


def test_a_click_sorts_by_number_and_missing_stays_last(reader: Reader) -> None:
    """Up, down, then the file's own order again; the empty Dice is last both ways."""
    before = column(reader, 2)
    states = []
    for expected in ([*BY_DICE, ""], [*BY_DICE[::-1], ""], before):
        head(reader, 2).click()
        assert column(reader, 2) == expected
        states.append(reader.one("#table-1 th:nth-child(2)").get_attribute("aria-sort"))
    assert states == ["ascending", "descending", None]


def test_full_precision_decides_where_the_shown_is_equal(reader: Reader) -> None:
    """By-image-2 has 0.89126 and by-image-10 0.89134; both are shown as 0.891."""
    head(reader, 2).click()
    assert column(reader, 1)[5:7] == ["by-image-2", "by-image-10"]


def test_the_keyboard_sorts_too(reader: Reader) -> None:
    """Texts sort with their numbers as numbers: 9 before 10; one column is sorted at a time."""
    head(reader, 2).click()
    head(reader, 1).send_keys(Keys.ENTER)
    assert column(reader, 1)[-3:] == ["by-image-7", "by-image-9", "by-image-10"]
    assert len(reader.all("#table-1 th[aria-sort]")) == 1


def test_shares_sort_as_shares(reader: Reader) -> None:
    """1/318 < 3/318 < 2/106 < 10/100 < 1/5."""
    head(reader, 3).send_keys(Keys.SPACE)
    assert column(reader, 3) == [
        "0/106",
        "1/318",
        "3/318",
        "2/106",
        "10/100",
        "1/5",
        "1/4",
        "1/2",
        "",
    ]


def test_equal_rows_keep_their_order(reader: Reader) -> None:
    head(reader, 4).click()
    assert column(reader, 1)[:7] == [f"by-image-{n}" for n in range(1, 8)]


def test_a_filter_keeps_rows_with_every_word_and_counts_them(reader: Reader) -> None:
    count = "[data-counts=table-1]"
    assert reader.one(count).text == "9 of 9 rows"
    reader.writes("[data-filters=table-1]", "IMAGE-1 reproduced")
    assert column(reader, 1) == ["by-image-10"]
    assert reader.one(count).text == "1 of 9 rows"
    reader.writes("[data-filters=table-1]", Keys.BACKSPACE)
    assert len(column(reader, 1)) == 9


def slices(reader: Reader) -> list[int]:
    return [
        int(text.split(",")[0].removeprefix("Slice ")) for text in reader.texts("#slices .told")
    ]


def choose(reader: Reader, name: str, label: str) -> None:
    """Choose by typing, as a keyboard does."""
    reader.one(f"#controls [name={name}]").send_keys(label)


def test_the_gallery_comes_in_batches_worst_first(reader: Reader) -> None:
    """24 of 30 at first; the button brings the rest, goes, and leaves the focus on the first new
    one.
    """
    assert slices(reader) == list(range(1, 25))
    assert reader.one("#shown").text == "30 of 30 tested slices match; the first 24 are shown"
    reader.one("#more").send_keys(Keys.ENTER)
    assert slices(reader) == list(range(1, 31))
    assert reader.driver.switch_to.active_element.text.startswith("Slice 25,")
    assert reader.all("#more") == []


def test_the_gallery_filters_by_arm(reader: Reader) -> None:
    """Otsu tested slices 1 and 2, found nothing on 1, and its Dice of 2 is not known."""
    choose(reader, "arm", "otsu")
    assert Select(reader.one("[name=run]")).first_selected_option.text == (
        "64x64 fp32 · by-image-1 · no seed · saw a click · protocol thesis, phantoms"
    )
    assert reader.texts("#slices .told") == [
        "Slice 1, patient P1\nDice 0.000\nArea 100 mm², predicted nothing",
        "Slice 2, patient P2\nDice none\nArea 200 mm², predicted 1 mm²",
    ]


def test_the_gallery_filters_by_dice_and_area(reader: Reader) -> None:
    """Slice n has Dice n/100 and 100 n mm2; both ends belong to a range."""
    reader.writes("[name=low]", "0.05")
    reader.writes("[name=high]", "0.1")
    assert slices(reader) == [5, 6, 7, 8, 9, 10]
    reader.writes("[name=small]", "700")
    reader.writes("[name=large]", "900")
    assert slices(reader) == [7, 8, 9]
    assert reader.one("#shown").text == "3 of 30 tested slices match"
    reader.writes("[name=named]", "p8")
    assert slices(reader) == [8]
    reader.writes("[name=named]", "9")
    assert slices(reader) == [9]


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
    choose(reader, "order", order)
    assert slices(reader)[0] == first


def test_outlines_come_and_go(reader: Reader) -> None:
    """Truth and prediction at first; a second run's joins when it is chosen, on the slices that it
    tested.
    """

    def kinds() -> list[str]:
        outlines = reader.all("#slices li:nth-child(2) .outline")
        return [str(e.get_attribute("class")) for e in outlines]

    assert kinds() == ["outline truth", "outline prediction"]
    reader.one("[name=truth]").send_keys(Keys.SPACE)
    choose(
        reader,
        "other",
        "otsu · 64x64 fp32 · by-image-1 · no seed · saw a click · protocol thesis, phantoms",
    )
    assert kinds() == ["outline prediction", "outline second"]
    assert "second run none" in reader.texts("#slices .told")[1]
    assert "second run not tested" in reader.texts("#slices .told")[2]
    reader.one("[name=second]").send_keys(Keys.SPACE)
    reader.one("[name=prediction]").send_keys(Keys.SPACE)
    assert kinds() == []


def test_a_slice_opens_larger_and_the_keyboard_leads_on(reader: Reader) -> None:
    """Enter opens, arrows go on and stop at the ends, Escape closes and gives the focus back."""
    card = reader.all("#slices button")[1]
    card.send_keys(Keys.ENTER)
    caption = reader.one("dialog p")
    keys = reader.driver.switch_to.active_element
    assert caption.text.startswith("Slice 2, patient P2.")
    for key, expected in [
        (Keys.ARROW_RIGHT, 3),
        (Keys.ARROW_LEFT, 2),
        (Keys.ARROW_LEFT, 1),
        (Keys.ARROW_LEFT, 1),
    ]:
        keys.send_keys(key)
        assert caption.text.startswith(f"Slice {expected},")
    label = reader.one("dialog .stage svg").get_attribute("aria-label")
    assert label == "Slice 1, patient P1. Dice 0.010. Area 100 mm², predicted 90 mm²"
    keys.send_keys(Keys.ESCAPE)
    assert reader.all("dialog") == []
    assert reader.driver.switch_to.active_element == card


def test_the_dialog_has_buttons_for_fingers(reader: Reader) -> None:
    reader.all("#slices button")[0].click()
    reader.one("dialog [name=next]").click()
    assert reader.one("dialog p").text.startswith("Slice 2,")
    reader.one("dialog [name=previous]").click()
    assert reader.one("dialog p").text.startswith("Slice 1,")
    reader.one("dialog [name=close]").click()
    assert reader.all("dialog") == []


LIGHT, DARK = "rgba(253, 253, 252, 1)", "rgba(21, 23, 26, 1)"


def paper(reader: Reader) -> str:
    return reader.style("body", "background-color")


def test_the_theme_follows_the_system_until_it_is_chosen(reader: Reader) -> None:
    reader.tells(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    button = reader.one("#theme")
    seen = [(button.text, paper(reader))]
    for _ in range(3):
        button.click()
        seen.append((button.text, paper(reader)))
    assert seen == [
        ("Theme: auto", DARK),
        ("Theme: light", LIGHT),
        ("Theme: dark", DARK),
        ("Theme: auto", DARK),
    ]


def test_a_chosen_theme_is_remembered(reader: Reader) -> None:
    for _ in range(2):
        reader.one("#theme").click()
    reader.driver.refresh()
    assert (reader.one("#theme").text, paper(reader)) == ("Theme: dark", DARK)
    reader.runs("localStorage.clear()")


def test_denied_storage_breaks_nothing(reader: Reader) -> None:
    made = reader.tells("Page.addScriptToEvaluateOnNewDocument", source=NO_STORAGE)
    reader.driver.refresh()
    reader.one("#theme").click()
    assert paper(reader) == LIGHT
    assert len(slices(reader)) == 24
    reader.tells("Page.removeScriptToEvaluateOnNewDocument", **made)


@pytest.mark.parametrize(
    "page", [content(), hostile(), content(gallery=None)], ids=["whole", "hostile", "no gallery"]
)
def test_a_phone_needs_no_sideways_scroll(reader: Reader, page: Content) -> None:
    reader.tells(
        "Emulation.setDeviceMetricsOverride",
        width=PHONE,
        height=740,
        deviceScaleFactor=1,
        mobile=False,
    )
    reader.opens(page)
    assert reader.runs(
        "return [innerWidth, document.documentElement.scrollWidth <= innerWidth]"
    ) == [PHONE, True]


CUT = "return [...document.querySelectorAll('.box')].filter((one) => one.scrollWidth > one.clientWidth + 1).length"


def narrow(reader: Reader, width: int) -> None:
    reader.tells(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=False,
    )
    reader.runs("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(reader: Reader, width: int) -> None:
    """With all that is folded open; what is too wide for a phone scrolls within its own box."""
    narrow(reader, width)
    assert reader.runs(
        "return [innerWidth, document.documentElement.scrollWidth <= innerWidth]"
    ) == [width, True]
    wider = """return [...document.querySelectorAll("main *")].filter((one) => !one.closest(".box, svg, .unseen")
      && one.getBoundingClientRect().right > innerWidth + 1).length"""
    assert reader.runs(wider) == 0
    assert (reader.runs(CUT) == 0) is (width == 1280)


def test_no_table_of_the_shipped_records_is_cut(reader: Reader) -> None:
    """At 1280 pixels, before a switch for more columns is touched; one at least has such a
    switch.
    """
    found = shipped()
    tables = [table for make in SECTIONS.values() for table in make(found)]
    tables += [commands_table(reproduction_folder(), found.collected.runs, ARMS),
               machines_table(reproduction_folder(), found.collected.runs), choices_table()]  # fmt: skip
    reader.opens(page_of(*tables))
    narrow(reader, 1280)
    cut = """return [...document.querySelectorAll(".sheet .box")].filter((one) => one.scrollWidth > one.clientWidth + 1)
      .map((one) => one.querySelector("caption").textContent)"""
    assert reader.runs(cut) == []
    assert len(reader.all(".columns")) > 1


def test_the_switch_shows_the_columns_that_wait(reader: Reader) -> None:
    """By keyboard, without any script of the page, and hides them again; the other tables stay as
    they are.
    """
    reader.opens(page_of(wide_table(), replace(wide_table(), title="Wide too.")))
    heads = "#table-1 th"
    assert [text.split()[1] for text in reader.texts(heads)] == ["0", "9"]
    reader.tells("Emulation.setScriptExecutionDisabled", value=True)
    reader.all(".columns")[0].send_keys(Keys.SPACE)
    assert [text.split()[1] for text in reader.texts(heads)] == [str(n) for n in range(10)]
    assert len(reader.all("#table-2 th")) == 2
    reader.all(".columns")[0].send_keys(Keys.SPACE)
    assert len(reader.all("#table-1 td")) == 2
    reader.tells("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("number", [3, 4], ids=["beneath a figure", "beneath a folded figure"])
def test_a_link_to_a_folded_table_opens_it(reader: Reader, number: int) -> None:
    assert reader.all(f"#table-{number}") == []
    reader.one(f'#tables a[href="#table-{number}"]').send_keys(Keys.ENTER)
    assert len(reader.all(f"#table-{number}")) == 1


def test_a_folded_table_sorts_when_it_is_opened(reader: Reader) -> None:
    """Its heads are buttons from the start."""
    reader.one('#tables a[href="#table-7"]').send_keys(Keys.ENTER)
    for _ in range(2):
        reader.one("#table-7 th button").click()
    assert reader.texts("#table-7 td")[:2] == ["key 12", "key 11"]


def test_print_opens_what_is_folded_and_drops_what_is_for_hands(reader: Reader) -> None:
    """In the dark theme too, paper is white; of a wide table it has the essential columns, as the
    screen does.
    """
    folded = "details:not([open]) td"
    assert reader.all(folded) == []
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    reader.tells("Emulation.setEmulatedMedia", media="print", features=features)
    assert paper(reader) == "rgba(255, 255, 255, 1)"
    assert (
        len(reader.all(folded)) == 1 + 2 + 2 + 13
    )  # of the figures, commands, machines and choices
    for css in ("nav", "#theme", "#controls", "#more", ".tools", ".files"):
        assert reader.all(css) == []
    assert {reader.style(css, "overflow-x") for css in (".sheet .box", ".art")} == {"visible"}
    assert base64.b64decode(reader.tells("Page.printToPDF")["data"]).startswith(b"%PDF-")


def test_paper_says_which_runs_the_gallery_shows(reader: Reader) -> None:
    """The lists in which they were chosen are not printed; on the screen they say it themselves."""
    choose(reader, "other", "otsu")
    assert reader.all("#which") == []
    reader.tells("Emulation.setEmulatedMedia", media="print")
    (legend,) = reader.texts("#which")
    first, _, second = legend.partition("; dotted: ")
    assert (
        first
        == "unet 5x5, alpha 0.5 · 64x64 fp32 · by-image-1 · seed 1 · protocol thesis, phantoms"
    )
    assert second.startswith("otsu · 64x64 fp32 · by-image-1 · no seed · saw a click")


def test_ranges_sort_by_where_they_begin(reader: Reader) -> None:
    """Clicked twice, both ways: all, under 663, from 663, from 1263; no seeds stay last."""
    ranges = ["1263 mm2 and more", "all", "663 to 1263 mm2", "under 663 mm2"]
    reader.opens(page_of(table(tumours=ranges, seeds=["10 x 1", "- x 1", "2 x 3", "3 x 1"])))
    head(reader, 1).click()
    assert column(reader, 1) == ["all", "under 663 mm2", "663 to 1263 mm2", "1263 mm2 and more"]
    head(reader, 1).click()
    assert column(reader, 1) == ["1263 mm2 and more", "663 to 1263 mm2", "under 663 mm2", "all"]
    head(reader, 2).click()
    assert column(reader, 2) == ["2 x 3", "3 x 1", "10 x 1", "- x 1"]


def test_a_gallery_of_lost_outlines_says_that_none_matches(reader: Reader) -> None:
    """So that the tests above cannot pass on outlines that are not there."""
    reader.opens(content(gallery={**gallery(), "outlines": {}}))
    assert slices(reader) == []
    assert reader.one("#shown").text == "0 of 0 tested slices match"


def test_a_gallery_without_a_run_is_empty(reader: Reader) -> None:
    reader.opens(content(gallery={**gallery(), "runs": [], "outlines": {}}))
    assert slices(reader) == []


def test_hostile_names_run_nothing(reader: Reader) -> None:
    """No alert, no complaint; the arm's name is in the list of arms as it was written."""
    reader.runs("window.alert = null")
    reader.opens(hostile())
    assert reader.runs("return document.images.length") == 0
    assert len(slices(reader)) == 24


def test_the_policy_blocks_what_would_leave_the_page(reader: Reader) -> None:
    """The browser itself refuses a picture from elsewhere and another script: nothing is requested,
    nothing runs.
    """
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
    assert reader.runs("return window.ran ?? null") is None
    assert all("Content Security Policy" in one for one in reader.complaints())


def test_without_script_everything_but_the_gallery_reads(reader: Reader) -> None:
    """Tables and figures stand as they are; controls that could do nothing are hidden; the gallery
    says why.
    """
    reader.tells("Emulation.setScriptExecutionDisabled", value=True)
    reader.driver.refresh()
    assert len(column(reader, 2)) == 9
    assert reader.all(".scripted") == []
    assert "The gallery needs JavaScript" in reader.one("#gallery").text
    reader.tells("Emulation.setScriptExecutionDisabled", value=False)
