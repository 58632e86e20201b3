"""The page as text: it asks for nothing, escapes everything, and holds all in its order."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from urllib.parse import unquote

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_forms import (
    DRAWN,
    HOSTILE,
    Page,
    arms,
    content,
    drawing,
    figure,
    gallery,
    hostile,
    page_of,
    table,
    wide_table,
)

from benchmark.judge.answers import Answer
from benchmark.judge.tables import Column, Table
from benchmark.report.figure import FORMS
from benchmark.report.page.contents import Chapter, Content, Part, placed
from benchmark.report.page.html import render
from benchmark.report.page.html_table import css_class, html_table, lesser

PAGES = {
    "whole": content(),
    "hostile": hostile(),
    "bare": Content("Nothing yet", "0 runs."),
    "no gallery": content(gallery=None),
}


@pytest.fixture(scope="module", params=list(PAGES))
def page(request: pytest.FixtureRequest) -> Page:
    return Page(render(PAGES[request.param]))


@pytest.fixture(scope="module")
def whole() -> Page:
    return Page(render(PAGES["whole"]))


@pytest.fixture(scope="module")
def nasty() -> Page:
    return Page(render(PAGES["hostile"]))


def test_a_page_asks_for_nothing(page: Page) -> None:
    """What a browser would fetch is in the file; links lead within, to figures, or by hand."""
    fetched = {"src", "srcset", "poster", "action", "background", "xlink:href"}
    for element in page.elements:
        for name in fetched & element.attributes.keys():
            assert element.attributes[name].startswith("data:")
        href = element.attributes.get("href", "#")
        by_hand = element.tag == "a" and "noopener" in element.attributes.get("rel", "")
        beside = r"#|data:|figures/[\w.%-]+\.(png|svg|pdf|csv)$|[\w.%-]+$"
        assert re.match(beside, href, re.ASCII) or by_hand
    script = page.all("script")[-1].text
    assert not re.search(r"url\(|@import|@font-face", page.one("style").text)
    assert not re.search(r"\bfetch\(|XMLHttpRequest|import\(|sendBeacon", script)


def test_the_policy_forbids_all_but_the_pages_own_script(page: Page) -> None:
    """Content-Security-Policy, level 3: a hash source is the base64 of the script's sha256."""
    rules = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    script = page.all("script")[-1].text.encode()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    expected = {"default-src 'none'", "img-src data:", f"script-src 'sha256-{digest}'"}
    assert expected < set(rules.split("; "))


def test_hostile_names_stay_text(nasty: Page, whole: Page) -> None:
    """No name adds an element, an attribute or a script; each is read as it was written."""
    assert nasty.all("img") == []
    assert len(nasty.all("script")) == len(whole.all("script")) == 2
    names, usual = ({n for e in p.elements for n in e.attributes} for p in (nasty, whole))
    assert names <= usual
    (cell,) = nasty.within(nasty.one("table", id="table-1"), "td")
    elements = (nasty.one("title"), nasty.one("h1"), nasty.all("th")[0], cell)
    assert {element.text for element in elements} == {HOSTILE}
    assert f"{HOSTILE} Redraws figure {HOSTILE} of the thesis." in nasty.all("figcaption")[0].text


def test_the_gallery_is_stored_whole(nasty: Page) -> None:
    stored = nasty.one("script", type="application/json").text
    assert json.loads(stored) == gallery(name=HOSTILE)


def test_a_gallery_with_nan_is_refused() -> None:
    broken = gallery()
    broken["outlines"]["first"]["1"]["dice"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        render(content(gallery=broken))


def test_parts_stand_in_their_order_then_the_gallery_the_tables_and_the_data(whole: Page) -> None:
    """And so they do in the contents."""
    order = [e.attributes["id"] for e in whole.all("section")]
    assert order == ["answers", "arms", "grid", "records", "choices", "gallery", "tables", "data"]
    links = whole.within(whole.one("nav"), "a")
    assert [e.attributes["href"] for e in links] == [f"#{name}" for name in order]


def test_headings_never_skip_a_level(page: Page) -> None:
    """WCAG technique H42: one h1, and each heading at most one level below the one before."""
    levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4", "h5")]
    assert levels[0] == levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_ids_are_unique_and_every_reference_has_one(page: Page) -> None:
    ids = Counter(e.attributes["id"] for e in page.elements if "id" in e.attributes)
    assert set(ids.values()) == {1}
    names = ("aria-labelledby", "data-filters", "data-counts", "for")
    asked = {e.attributes[name] for e in page.elements for name in names if name in e.attributes}
    links = (e.attributes["href"] for e in page.all("a"))
    assert asked | {href[1:] for href in links if href.startswith("#")} <= set(ids)


def test_every_control_has_a_name_and_what_scrolls_can_be_reached(page: Page) -> None:
    """WCAG 2.1.1: a box that scrolls takes the keyboard's focus."""
    named = page.all("button", "summary", "a", "legend", "caption", "th")
    assert all(e.text.strip() for e in named)
    for control in page.all("input", "select"):
        assert any(above.tag == "label" for above in control.parents)
    boxes = [e for e in page.elements if "box" in e.attributes.get("class", "").split()]
    assert len(boxes) >= len(page.all("table"))
    for box in boxes:
        assert box.attributes["tabindex"] == "0"
        assert box.attributes["role"] in ("region", "group")
        assert {"aria-label", "aria-labelledby"} & box.attributes.keys()


def test_every_figure_is_put_in_words_and_links_its_files(whole: Page) -> None:
    for slug, element in zip(DRAWN, whole.all("figure"), strict=True):
        (svg,) = whole.within(element, "svg")
        assert (svg.attributes["role"], svg.attributes["aria-label"]) == ("img", figure(slug).alt)
        assert figure(slug).caption in element.text
        assert "Redraws figure 15 of the thesis." in element.text
        links = [e.attributes["href"] for e in whole.within(element, "a")]
        assert links == [f"figures/{slug}.{form}" for form in FORMS]


def test_a_hostile_slug_stays_one_file_name(nasty: Page) -> None:
    """A browser that follows the link asks for a file in figures/ and of exactly that name."""
    element = nasty.all("figure")[0]
    links = [e.attributes["href"] for e in nasty.within(element, "a")]
    assert [link.count("/") for link in links] == [1, 1, 1, 1]
    assert [unquote(link) for link in links] == [f"figures/{HOSTILE}.{form}" for form in FORMS]
    assert re.fullmatch(r"[^\s<>\"']+", element.attributes["id"])


def test_what_is_not_shown_is_named_with_its_reason(whole: Page) -> None:
    """Runs of the gallery, runs that were not judged, figures that were not made."""
    text = whole.one("section", id="gallery").text
    assert "Not here, elsewhere: a, c." in text
    assert "Not here, unet 5x5, alpha 0.5: b." in text
    waiting = whole.within(whole.one("section", id="records"), "li")
    assert [e.text for e in waiting] == ["one: failed", "two: partial"]
    assert "Not drawn. No run of 9x9." in whole.one("section", id="grid").text


@pytest.mark.parametrize(
    ("row", "kinds"),
    [("w", ["wide"]), ("n", ["beside"]), ("nn", ["", ""]), ("nnn", ["", "", "beside"]),
     ("nwn", ["beside", "wide", "beside"]), ("Nnn", ["beside", "", ""]), ("nN", ["", ""]),
     ("NN", ["beside", "beside"])],
)  # fmt: skip
def test_narrow_drawings_stand_two_by_two_and_one_alone_has_its_words_beside_it(
    row: str, kinds: list[str]
) -> None:
    """w is wide and N narrow with tables, which end its row, for they take the whole width."""
    tables = {"N": [table(a=["1"])]}
    figures = [figure(f"{n}", *tables.get(kind, [])) for n, kind in enumerate(row)]
    drawings = {f"{n}": drawing(518 if kind == "w" else 252) for n, kind in enumerate(row)}
    assert [shown.kind for shown in placed(figures, drawings)] == kinds


def test_a_table_is_folded_beneath_its_figure_and_can_be_found_in_one_list(whole: Page) -> None:
    """So is each of no figure, but in an opened chapter; further figures fold with their tables."""
    folded = [e for e in whole.all("details") if "open" not in e.attributes]
    inside = [t.attributes["id"] for e in folded for t in whole.within(e, "table")]
    assert inside == [f"table-{n}" for n in (3, 4, 4, 5, 6, 7)]
    marks = [e.attributes["id"] for e in whole.all("table", "figure")]
    assert marks[2:5] == ["figure-lines", "table-3", "figure-wide"]
    links = whole.within(whole.one("section", id="tables"), "a")
    tables = [f"#{e.attributes['id']}" for e in whole.all("table")]
    assert [e.attributes["href"] for e in links] == tables
    assert [e.text for e in links] == [e.text for e in whole.all("caption")]


def test_columns_wait_where_a_table_is_too_wide_and_some_are_essential() -> None:
    """For a page of 1280 pixels."""
    wide = wide_table()
    assert lesser(wide) == [False, *[True] * 8, False]
    assert lesser(replace(wide, columns=wide.columns[:4])) == [False] * 4
    assert lesser(replace(wide, essential=())) == [False] * 10


def test_head_and_cells_wait_together_behind_a_switch_that_counts_them(whole: Page) -> None:
    box = [e for e in whole.one("table", id="table-4").parents if e.tag == "details"][-1]
    cells = whole.within(box, "th", "td")
    waiting = [e.tag for e in cells if "lesser" in e.attributes.get("class", "").split()]
    assert waiting == ["th"] * 8 + ["td"] * 8
    (switch,) = [e for e in whole.within(box, "label") if "columns" in e.text]
    assert switch.text.strip() == "8 more columns: Wide."


def test_without_a_gallery_the_page_has_no_place_for_one() -> None:
    page = Page(render(PAGES["no gallery"]))
    assert page.all("section", id="gallery") + page.all("a", href="#gallery") == []
    assert page.all("form", "dialog") == []


def test_an_answer_shows_two_sentences_and_folds_the_others() -> None:
    """Together with its verdict they are read at once; the longest would hide the pictures."""
    lines = tuple(f"Sentence {n}." for n in range(4))
    part = Part("answers", "", [Chapter("Below")], [Answer("Why?", "missing", lines)])
    page = Page(text := render(Content("", "", [part])))
    assert text.index('<div class="cards">') < text.index("<h3>Below</h3>")  # they stand first
    (card,) = page.all("article")
    (folded,) = page.within(card, "details")
    assert [e.text for e in page.within(card, "p")[1:]] == list(lines)
    assert [e.text for e in page.within(folded, "summary", "p")] == ["2 more sentences", *lines[2:]]


def test_verdicts_never_speak_by_colour_alone(whole: Page) -> None:
    answers = [(e.attributes["class"], e.text) for e in whole.all("article")]
    signs = {"good": "✓ reproduced", "open": "? 1 confirmed, 1 undecided",
             "found": "• lower by patient"}  # fmt: skip
    assert [name for name, _ in answers] == [f"answer {name}" for name in signs]
    for (_, text), sign in zip(answers, signs.values(), strict=True):
        assert sign in text


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("reproduced", "good"), ("not reproduced", "bad"), ("missing", "open"),
     ("2 confirmed", "good"), ("3 confirmed, 1 undecided", "open"),
     ("3 confirmed, 1 contradicted, 1 undecided", "bad"), ("not testable yet", "open"),
     ("lower by patient", "found"), ("something new", "found")],
)  # fmt: skip
def test_the_worst_of_several_verdicts_sets_the_colour(verdict: str, expected: str) -> None:
    assert css_class(verdict) == expected


def test_a_cell_sorts_by_its_columns_value() -> None:
    """0.89134 and 0.89126 are both shown as 0.891; a word sorts as text."""
    rows = html_table(arms(), "t").rows
    dice = [0.1, 0.89134, None, 0.89126, 0.9, 0.09, 0.5, 0.6, 0.7]
    assert [row[1].sort for row in rows] == dice
    assert [rows[1][1].text, rows[3][1].text] == ["0.891", "0.891"]
    assert {row[0].sort for row in rows} == {None}


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT])
def test_what_is_missing_is_an_empty_cell(value: object) -> None:
    prepared = html_table(Table("", [{"a": 1}, {"a": value}], [Column("a", "a")]), "t")
    assert [(cell.text, cell.sort) for (cell,) in prepared.rows] == [("1", 1), ("", None)]


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"])), min_size=1, max_size=5))
def test_every_text_of_a_table_arrives(texts: list[str]) -> None:
    """Law: what a table shows is what the page's cells hold, whatever the texts are."""
    page = Page(render(page_of(table(a=texts, b=texts[::-1]))))
    cells = [
        re.sub("^[✓✕?] ", "", e.text) if "good" in e.attributes.get("class", "") else e.text
        for e in page.all("td")
    ]
    assert cells == [text for pair in zip(texts, texts[::-1], strict=True) for text in pair]


def test_a_table_takes_its_numbers_along(whole: Page) -> None:
    (link,) = whole.all("a", download="table-1.csv")
    kind, _, data = link.attributes["href"].partition(",")
    assert kind == "data:text/csv;charset=utf-8"
    assert unquote(data) == arms().render("csv") + "\n"


@pytest.mark.parametrize(("rows", "filtered"), [(6, False), (7, True)])
def test_a_long_table_has_a_box_to_filter_it(rows: int, filtered: bool) -> None:
    assert html_table(table(a=["x"] * rows), "t").filtered is filtered


def test_the_same_content_gives_the_same_page() -> None:
    assert render(content()) == render(content())


CSS = files("benchmark.report.page").joinpath("page.css").read_text(encoding="utf-8")
COLOUR = r"--(\w+): light-dark\(#(\w{6}), #(\w{6})\)"
PALETTE = {name: pair for name, *pair in re.findall(COLOUR, CSS)}
TEXT = ("ink", "muted", "link", "good", "bad", "open", "found")


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of an sRGB colour, rrggbb."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    light = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), light, strict=True))


def contrast(colour: str, other: str) -> float:
    low, high = sorted((luminance(colour), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_wcags() -> None:
    """Black on white is 21:1; #767676 on white 4.54:1, the lightest grey that passes AA."""
    assert contrast("000000", "ffffff") == pytest.approx(21)
    assert contrast("767676", "ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("paper", ["paper", "panel"])
@pytest.mark.parametrize("ink", [*TEXT, "edge", "blue"])
def test_the_palette_reads(ink: str, paper: str, theme: int) -> None:
    """WCAG AA: 4.5:1 for text (1.4.3), 3:1 for edges and for what is plotted (1.4.11)."""
    least = 4.5 if ink in TEXT else 3
    assert contrast(PALETTE[ink][theme], PALETTE[paper][theme]) >= least
