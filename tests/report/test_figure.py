"""Figures as files and as parts of a page."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

from benchmark.report.figure import (
    BLUE,
    COLUMN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PNG_DPI,
    Figure,
    canvas,
    inline,
    save,
    slugged,
    svg_of,
)

DATA = pd.DataFrame({"x": [1.0, 2.0], "y": [0.1 + 0.2, 1 / 3], "name": ["a", "b, c"]})


def draw(data: pd.DataFrame) -> Any:
    drawn, axes = canvas(COLUMN, 2)
    axes.plot(data["x"], data["y"], marker="o", color=BLUE)
    axes.axhline(0.2, color=MUTED)
    axes.axhline(0.25, color=GRID)
    axes.axhline(0.3, color=ORANGE)
    axes.set_xlabel("length, mm")
    return drawn


def figure(slug: str = "one") -> Figure:
    return Figure(slug, "Title", "Caption.", 'a line of "two" points & more', DATA, draw)


def test_the_same_numbers_give_the_same_svg() -> None:
    assert svg_of(figure()) == svg_of(figure())


def test_a_figure_is_four_files_and_the_table_holds_its_numbers_to_six_digits(
    tmp_path: Path,
) -> None:
    svg = save(figure(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.csv",
        "one.pdf",
        "one.png",
        "one.svg",
    ]
    assert (tmp_path / "one.svg").read_text(encoding="utf-8") == svg
    rows = list(csv.DictReader((tmp_path / "one.csv").read_text().splitlines()))
    assert [(row["x"], row["y"], row["name"]) for row in rows] == [
        ("1.0", "0.3", "a"),
        ("2.0", "0.333333", "b, c"),
    ]
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (round(COLUMN * PNG_DPI), 2 * PNG_DPI)


def test_the_same_numbers_give_the_same_files_on_any_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in them says when or with what they were made; the SVG is the one that is drawn
    alone.
    """
    made = []
    for day in ("0", "86400"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", day)  # what matplotlib would take for today
        save(figure(), tmp_path)
        made.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert made[0] == made[1]
    assert made[0]["one.svg"].decode() == svg_of(figure())
    assert made[0]["one.pdf"].startswith(b"%PDF-")
    assert not re.search(rb"/(CreationDate|Creator|Producer)", made[0]["one.pdf"])


def test_text_stays_text(tmp_path: Path) -> None:
    """It can be searched, read aloud and scaled; in a PDF its letters are TrueType, which journals
    ask for.
    """
    assert ">length, mm</text>" in svg_of(figure())
    save(figure(), tmp_path, ("pdf",))
    assert b"/CIDFontType2" in (tmp_path / "one.pdf").read_bytes()


class TestInAPage:
    """`inline` makes an element that disturbs nothing around it."""

    def test_it_is_named_for_who_cannot_see_it(self) -> None:
        root = ElementTree.fromstring(inline(svg_of(figure()), figure()))
        assert (root.get("role"), root.get("aria-label")) == (
            "img",
            'a line of "two" points & more',
        )

    def test_it_brings_no_style_or_metadata_into_the_page(self) -> None:
        found = ElementTree.iterparse(io.StringIO(inline(svg_of(figure()), figure())))
        names = {element.tag.rpartition("}")[2] for _, element in found}
        assert not names & {"style", "metadata", "script", "image"}
        assert "path" in names

    def test_every_mark_that_is_used_is_there_and_bears_the_figures_name(self) -> None:
        text = inline(svg_of(figure()), figure())
        there = re.findall(r' id="([^"]+)"', text)
        used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)
        assert {a or b for a, b in used} == set(there)
        assert there
        assert all(name.startswith("one-") for name in there)
        assert len(set(there)) == len(there)

    def test_two_figures_share_no_id(self) -> None:
        one, two = (
            set(re.findall(r' id="([^"]+)"', inline(svg_of(f), f)))
            for f in (figure("one"), figure("two"))
        )
        assert one
        assert not one & two

    def test_it_takes_the_inks_of_the_page(self) -> None:
        """Text in the page's colour, greys and blue from its variables, no paper; other colours
        stay.
        """
        text = inline(svg_of(figure()), figure())
        assert "currentColor" in text
        assert f"var(--muted, {MUTED})" in text
        assert f"var(--line, {GRID})" in text
        assert INK not in text
        assert "#fffffe" not in text
        assert f"stroke: var(--blue, {BLUE})" in text
        assert f"stroke: {ORANGE}" in text

    def test_it_has_the_size_of_its_box_alone(self) -> None:
        root = ElementTree.fromstring(inline(svg_of(figure()), figure()))
        assert root.get("width") is None
        assert root.get("viewBox") == f"0 0 {COLUMN * 72:g} 144"


@pytest.mark.parametrize("slug", ["one", "mean-dice"])
def test_an_address_in_the_picture_is_none_on_the_network(slug: str) -> None:
    """Nothing but namespaces looks like an address."""
    text = inline(svg_of(figure(slug)), figure(slug))
    assert set(re.findall(r'https?://[^"\s]+', text)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_a_name_of_a_file_is_plain() -> None:
    """Whatever an arm is called: ASCII letters, digits, points and hyphens."""
    assert slugged("mine", 'a"><i>x', "größe 3x3, alpha 0.5") == "mine-a-i-x-gr-e-3x3-alpha-0.5"


def test_a_name_is_no_formula() -> None:
    """matplotlib would set what stands between dollars as mathematics, or fail at it."""
    named = Figure("one", "t", "c", "a", DATA, lambda data: _titled(r"$\frac$"))
    assert r">$\frac$</text>" in svg_of(named)


def _titled(text: str) -> Any:
    drawn, axes = canvas(COLUMN, 2)
    axes.set_title(text)
    return drawn
