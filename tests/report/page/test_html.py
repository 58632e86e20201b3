"""The page as text: it asks for nothing, escapes everything, and holds all in its order."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from urllib.parse import unquote

import pandas as pd
import pytest
from benchmark.report.page.columns import lesser
from benchmark.report.page.sorting import leading_number, sort_values
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

from benchmark.judge.judgement import Answer
from benchmark.judge.tables import Column, Table
from benchmark.report.figure import FORMS
from benchmark.report.page.contents import Chapter, Content, Part, placed
from benchmark.report.page.html import css_class, html_table, render

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


def test_a_page_asks_for_nothing(page: Page) -> None:
    """Whatever a browser would fetch is data in the file; links lead within, to figures, or are
    followed by hand.
    """
    for element in page.elements:
        fetched = {
            "src",
            "srcset",
            "poster",
            "action",
            "background",
            "xlink:href",
        } & element.attributes.keys()
        assert all(element.attributes[name].startswith("data:") for name in fetched)
        href = element.attributes.get("href", "#")
        by_hand = element.tag == "a" and "noopener" in element.attributes.get("rel", "")
        assert re.match(r"#|data:|figures/[\w.%-]+\.(png|svg|pdf|csv)$", href, re.ASCII) or by_hand
    assert not re.search(r"url\(|@import|@font-face", page.one("style").text)
    assert not re.search(
        r"\bfetch\(|XMLHttpRequest|import\(|sendBeacon", page.all("script")[-1].text
    )


def test_the_policy_forbids_all_but_the_pages_own_script(page: Page) -> None:
    """Content-Security-Policy, level 3: a hash source is the base64 of the sha256 of the element's
    text.
    """
    rules = (
        page.one("meta", **{"http-equiv": "Content-Security-Policy"})
        .attributes["content"]
        .split("; ")
    )
    digest = base64.b64encode(
        hashlib.sha256(page.all("script")[-1].text.encode()).digest()
    ).decode()
    assert {"default-src 'none'", "img-src data:", f"script-src 'sha256-{digest}'"} < set(rules)


def test_hostile_names_stay_text() -> None:
    """No name adds an element, an attribute or a script; each is read as it was written."""
    nasty, plain = Page(render(hostile())), Page(render(content()))
    assert nasty.all("img") == []
    assert len(nasty.all("script")) == len(plain.all("script")) == 2
    assert {name for e in nasty.elements for name in e.attributes} <= {
        n for e in plain.elements for n in e.attributes
    }
    (cell,) = nasty.within(nasty.one("table", id="table-1"), "td")
    assert (
        nasty.one("title").text
        == nasty.one("h1").text
        == nasty.all("th")[0].text
        == cell.text
        == HOSTILE
    )
    assert f"{HOSTILE} Redraws figure {HOSTILE} of the thesis." in nasty.all("figcaption")[0].text


def test_the_gallery_is_stored_whole() -> None:
    stored = Page(render(hostile())).one("script", type="application/json").text
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
    assert [e.attributes["href"] for e in whole.within(whole.one("nav"), "a")] == [
        f"#{name}" for name in order
    ]


def test_headings_never_skip_a_level(page: Page) -> None:
    """WCAG technique H42: one h1, and each heading at most one level below the one before."""
    levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4", "h5")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_ids_are_unique_and_every_reference_has_one(page: Page) -> None:
    ids = Counter(e.attributes["id"] for e in page.elements if "id" in e.attributes)
    assert set(ids.values()) == {1}
    names = ("aria-labelledby", "data-filters", "data-counts", "for")
    asked = {e.attributes[name] for e in page.elements for name in names if name in e.attributes}
    asked |= {
        e.attributes["href"][1:] for e in page.all("a") if e.attributes["href"].startswith("#")
    }
    assert asked <= set(ids)


def test_every_control_has_a_name(page: Page) -> None:
    assert all(
        e.text.strip() for e in page.all("button", "summary", "a", "legend", "caption", "th")
    )
    for control in page.all("input", "select"):
        assert any(above.tag == "label" for above in control.parents)


def test_what_scrolls_can_be_reached_and_is_named(page: Page) -> None:
    """WCAG 2.1.1: a box that scrolls takes the keyboard's focus."""
    boxes = [e for e in page.elements if "box" in e.attributes.get("class", "").split()]
    assert len(boxes) >= len(page.all("table"))
    for box in boxes:
        assert box.attributes["tabindex"] == "0"
        assert box.attributes["role"] in ("region", "group")
        assert {"aria-label", "aria-labelledby"} & box.attributes.keys()


def test_every_figure_is_told_in_words_and_links_its_files(whole: Page) -> None:
    for slug, element in zip(DRAWN, whole.all("figure"), strict=True):
        (drawn,) = whole.within(element, "svg")
        assert (drawn.attributes["role"], drawn.attributes["aria-label"]) == (
            "img",
            figure(slug).alt,
        )
        assert figure(slug).caption in element.text
        assert "Redraws figure 15 of the thesis." in element.text
        links = [e.attributes["href"] for e in whole.within(element, "a")]
        assert links == [f"figures/{slug}.{form}" for form in FORMS]


def test_a_hostile_slug_stays_one_file_name() -> None:
    """A browser that follows the link asks for a file in figures/ and of exactly that name."""
    nasty = Page(render(hostile()))
    element = nasty.all("figure")[0]
    links = [e.attributes["href"] for e in nasty.within(element, "a")]
    assert [link.count("/") for link in links] == [1, 1, 1, 1]
    assert [unquote(link) for link in links] == [f"figures/{HOSTILE}.{form}" for form in FORMS]
    assert re.fullmatch(r"[^\s<>\"']+", element.attributes["id"])


def test_runs_that_are_not_shown_are_named_with_their_reasons(whole: Page) -> None:
    text = whole.one("section", id="gallery").text
    assert "Not here, elsewhere: a, c." in text
    assert "Not here, unet 5x5, alpha 0.5: b." in text


def test_runs_that_were_not_judged_stand_where_it_says_how_it_was_run(whole: Page) -> None:
    assert [e.text for e in whole.within(whole.one("section", id="records"), "li")] == [
        "one: failed",
        "two: partial",
    ]


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        ("w", ["wide"]),
        ("n", ["beside"]),
        ("nn", ["", ""]),
        ("nnn", ["", "", "beside"]),
        ("nwn", ["beside", "wide", "beside"]),
        ("Nnn", ["beside", "", ""]),
        ("nN", ["", ""]),
        ("NN", ["beside", "beside"]),
    ],
)
def test_narrow_drawings_stand_two_by_two_and_one_alone_has_its_words_beside_it(
    row: str, kinds: list[str]
) -> None:
    """w is wide and N narrow with tables, which end its row, for they take the whole width."""
    figures = [
        figure(f"{n}", *([table(a=["1"])] if one == "N" else [])) for n, one in enumerate(row)
    ]
    drawings = {f"{n}": drawing(518 if one == "w" else 252) for n, one in enumerate(row)}
    assert [shown.kind for shown in placed(figures, drawings)] == kinds


def test_what_is_not_drawn_is_said(whole: Page) -> None:
    assert "Not drawn. No run of 9x9." in whole.one("section", id="grid").text


def test_a_table_is_folded_beneath_its_figure(whole: Page) -> None:
    """So is each of no figure, but for those of an opened chapter; further figures are folded with
    their tables.
    """
    folded = [e for e in whole.all("details") if "open" not in e.attributes]
    inside = [[one.attributes["id"] for one in whole.within(e, "table")] for e in folded]
    assert inside == [["table-3"], ["table-4"], ["table-4"], ["table-5"], ["table-6"], ["table-7"]]
    first = next(
        at for at, e in enumerate(whole.elements) if e.attributes.get("id") == "figure-lines"
    )
    after = [
        e.attributes["id"]
        for e in whole.elements[first:]
        if e.tag in ("table", "figure") and "id" in e.attributes
    ]
    assert after[:3] == ["figure-lines", "table-3", "figure-wide"]


def test_every_table_can_be_found_in_one_list(whole: Page) -> None:
    """By its title, in the page's order."""
    links = whole.within(whole.one("section", id="tables"), "a")
    assert [e.attributes["href"] for e in links] == [
        f"#{e.attributes['id']}" for e in whole.all("table")
    ]
    assert [e.text for e in links] == [e.text for e in whole.all("caption")]


class TestColumns:
    """A table that is too wide for a page of 1280 pixels shows its essential columns first."""

    def test_the_others_wait(self) -> None:
        assert lesser(wide_table()) == [False, *[True] * 8, False]

    def test_a_table_that_fits_keeps_all(self) -> None:
        assert lesser(replace(wide_table(), columns=wide_table().columns[:4])) == [False] * 4

    def test_where_none_is_named_none_waits(self) -> None:
        assert lesser(replace(wide_table(), essential=())) == [False] * 10

    def test_head_and_cells_wait_together_behind_a_switch_that_counts_them(
        self, whole: Page
    ) -> None:
        table = whole.one("table", id="table-4")
        box = [e for e in table.parents if e.tag == "details"][-1]
        waiting = [
            e
            for e in whole.within(box, "th", "td")
            if "lesser" in e.attributes.get("class", "").split()
        ]
        assert [e.tag for e in waiting] == ["th"] * 8 + ["td"] * 8
        (switch,) = [e for e in whole.within(box, "label") if "columns" in e.text]
        assert switch.text.strip() == "8 more columns: Wide."


def test_without_a_gallery_the_page_has_no_place_for_one() -> None:
    page = Page(render(PAGES["no gallery"]))
    assert (
        page.all("section", id="gallery")
        == page.all("a", href="#gallery")
        == page.all("form", "dialog")
        == []
    )


def test_an_answer_shows_two_sentences_and_folds_the_others() -> None:
    """Together with its verdict they are read at once; the longest would hide the pictures."""
    lines = tuple(f"Sentence {n}." for n in range(4))
    page = Page(
        render(
            Content("", "", [Part("answers", "", [Chapter()], [Answer("Why?", "missing", lines)])])
        )
    )
    (card,) = page.all("article")
    (folded,) = page.within(card, "details")
    assert [e.text for e in page.within(card, "p")[1:]] == list(lines)
    assert [e.text for e in page.within(folded, "summary", "p")] == ["2 more sentences", *lines[2:]]


def test_verdicts_never_speak_by_colour_alone(whole: Page) -> None:
    answers = [(e.attributes["class"], e.text) for e in whole.all("article")]
    assert [name for name, _ in answers] == ["answer good", "answer open", "answer found"]
    assert [re.search(r"[✓✕?•] [\w ,]+", text)[0] for _, text in answers] == [  # type: ignore[index]
        "✓ reproduced", "? 1 confirmed, 1 undecided", "• lower by patient",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("reproduced", "good"),
        ("not reproduced", "bad"),
        ("missing", "open"),
        ("2 confirmed", "good"),
        ("3 confirmed, 1 undecided", "open"),
        ("3 confirmed, 1 contradicted, 1 undecided", "bad"),
        ("not testable yet", "open"),
        ("lower by patient", "found"),
        ("something new", "found"),
    ],
)
def test_the_worst_of_several_verdicts_sets_the_tone(verdict: str, expected: str) -> None:
    assert css_class(verdict) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.9%", 0.9),
        ("3/318", 3 / 318),
        ("0/0", None),
        ("-0.105 to +0.034", -0.105),
        ("+121", 121.0),
        ("< 0.001", 0.001),
        ("1e-05", 1e-05),
        ("512x512", 512.0),
        ("3 x 5", 3.0),
        ("4 of 36", 4.0),
        ("663 to 1263 mm2", 663.0),
        ("", None),
        ("under 663 mm2", math.nextafter(663, 0)),
        ("underneath", None),
        ("- x 2", None),
        ("2026-11-23", None),
        ("6c1f301", None),
        ("56749f9", None),
        ("12e4567", None),
        ("2.13.0+cpu", None),
    ],
)
def test_a_text_sorts_by_the_number_it_leads_with(text: str, expected: float | None) -> None:
    """Dates, versions and commits begin with digits and are no numbers."""
    assert leading_number(text) == expected


def test_a_column_sorts_by_the_numbers_of_its_name() -> None:
    """0.89134 and 0.89126 are both shown as 0.891."""
    assert sort_values(arms(), 1) == [0.1, 0.89134, None, 0.89126, 0.9, 0.09, 0.5, 0.6, 0.7]


def test_all_sorts_before_every_range_of_a_column() -> None:
    ranges = ["663 to 1263 mm2", "all", "under 663 mm2", "-5"]
    values = sort_values(table(tumours=ranges), 0)
    assert values is not None
    assert [text for _, text in sorted(zip(values, ranges, strict=True))] == [  # type: ignore[type-var]
        "all", "-5", "under 663 mm2", "663 to 1263 mm2",
    ]  # fmt: skip


def test_a_dash_among_numbers_is_a_missing_number() -> None:
    """Seeds x splits of an arm without seeds."""
    assert sort_values(table(runs=["3 x 5", "- x 1", "-", ""]), 0) == [3, None, None, None]


@pytest.mark.parametrize("shown", [None, float("nan"), pd.NA, pd.NaT])
def test_what_is_missing_is_an_empty_cell(shown: object) -> None:
    prepared = html_table(Table("", [{"a": 1}, {"a": shown}], [Column("a", "a")]), "t")
    assert [(cell.text, cell.sort) for (cell,) in prepared.rows] == [("1", 1), ("", None)]


@pytest.mark.parametrize(
    "texts", [["all", "all"], ["all", "some", "663 mm2"], ["", ""], ["-", ""], ["reproduced", ""]]
)
def test_a_column_with_a_text_sorts_as_text(texts: list[str]) -> None:
    assert sort_values(table(tumours=texts), 0) is None


def test_a_flag_is_no_number() -> None:
    flagged = Table("", [{"click": True}, {"click": False}], [Column("click", "click")])
    assert sort_values(flagged, 0) is None


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"])), min_size=1, max_size=5))
def test_every_text_of_a_table_arrives(texts: list[str]) -> None:
    """Law: what `shown` holds is what the page's cells hold, whatever the texts are."""
    page = Page(render(page_of(table(a=texts, b=texts[::-1]))))
    cells = [
        re.sub("^[✓✕?] ", "", e.text) if "good" in e.attributes.get("class", "") else e.text
        for e in page.all("td")
    ]
    assert cells == [text for pair in zip(texts, texts[::-1], strict=True) for text in pair]


def test_a_table_takes_its_numbers_along(whole: Page) -> None:
    link = next(e for e in whole.all("a") if e.attributes.get("download") == "table-1.csv")
    kind, _, data = link.attributes["href"].partition(",")
    assert kind == "data:text/csv;charset=utf-8"
    assert unquote(data) == arms().render("csv") + "\n"


@pytest.mark.parametrize(("rows", "filtered"), [(6, False), (7, True)])
def test_a_long_table_has_a_box_to_filter_it(rows: int, filtered: bool) -> None:
    assert html_table(table(a=["x"] * rows), "t").filtered is filtered


def test_the_same_content_gives_the_same_page() -> None:
    assert render(content()) == render(content())


PALETTE = {
    name: pair
    for name, *pair in re.findall(
        r"--(\w+): light-dark\(#(\w{6}), #(\w{6})\)",
        files("benchmark.report.page").joinpath("page.css").read_text(encoding="utf-8"),
    )
}


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of an sRGB colour, rrggbb."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    light = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), light, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_wcags() -> None:
    """Black on white is 21:1; #767676 on white is 4.54:1, the well-known lightest grey that passes
    AA.
    """
    assert contrast("000000", "ffffff") == pytest.approx(21)
    assert contrast("767676", "ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "panel"])
@pytest.mark.parametrize(
    ("ink", "least"),
    [
        *((name, 4.5) for name in ("ink", "muted", "link", "good", "bad", "open", "found")),
        ("edge", 3),
        ("blue", 3),
    ],
)
def test_the_palette_reads(ink: str, ground: str, theme: int, least: float) -> None:
    """WCAG AA: 4.5:1 for text (1.4.3), 3:1 for the edges of controls and for what is drawn
    (1.4.11).
    """
    assert contrast(PALETTE[ink][theme], PALETTE[ground][theme]) >= least
