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
    COLUMN,
    PNG_DPI,
    SVG,
    XLINK,
    Figure,
    canvas,
    inline,
    save,
    slugged,
    svg_of,
)
from benchmark.report.inks import BLUE, GRID, INK, MUTED, ORANGE, PAPER

DATA = pd.DataFrame({"x": [1.0, 2.0], "y": [0.1 + 0.2, 1 / 3], "name": ["a", "b, c"]})
ALT = 'a line of "two" points & more'
ID = r' id="([^"]+)"'


def plot(data: pd.DataFrame) -> Any:
    whole, axes = canvas(COLUMN, 2)
    axes.plot(data["x"], data["y"], marker="o", color=BLUE)
    for y, colour in ((0.2, MUTED), (0.25, GRID), (0.3, ORANGE)):
        axes.axhline(y, color=colour)
    axes.set_xlabel("length, mm")
    axes.set_title(r"$\frac$")  # a name is no formula: mathematics to matplotlib, or a failure
    return whole


def figure(slug: str = "one") -> Figure:
    return Figure(slug, "Title", "Caption.", ALT, DATA, plot)


@pytest.fixture(scope="module")
def element() -> str:
    return inline(svg_of(figure()), figure())


def test_a_figure_is_four_files_and_the_table_holds_its_numbers_to_six_digits(
    tmp_path: Path,
) -> None:
    svg = save(figure(), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["one.csv", "one.pdf", "one.png", "one.svg"]
    assert (tmp_path / "one.svg").read_text(encoding="utf-8") == svg
    rows = csv.DictReader((tmp_path / "one.csv").read_text().splitlines())
    assert [tuple(row.values()) for row in rows] == [
        ("1.0", "0.3", "a"),
        ("2.0", "0.333333", "b, c"),
    ]
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (round(COLUMN * PNG_DPI), 2 * PNG_DPI)


def test_the_same_numbers_give_the_same_files_on_any_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says when or with what they were made; the SVG is the one that is made alone."""
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
    """It can be searched, read aloud and scaled; journals ask a PDF for letters in TrueType."""
    svg = svg_of(figure())
    assert ">length, mm</text>" in svg
    assert r">$\frac$</text>" in svg
    save(figure(), tmp_path, ("pdf",))
    assert b"/CIDFontType2" in (tmp_path / "one.pdf").read_bytes()


class TestInAPage:
    """`inline` makes an element that disturbs nothing around it."""

    def test_it_is_named_for_who_cannot_see_it_and_has_the_size_of_its_box(
        self, element: str
    ) -> None:
        root = ElementTree.fromstring(element)
        assert (root.get("role"), root.get("aria-label")) == ("img", ALT)
        assert (root.get("width"), root.get("viewBox")) == (None, f"0 0 {COLUMN * 72:g} 144")

    def test_it_brings_no_style_or_metadata_into_the_page(self, element: str) -> None:
        parsed = ElementTree.iterparse(io.StringIO(element))
        names = {child.tag.rpartition("}")[2] for _, child in parsed}
        assert not names & {"style", "metadata", "script", "image"}
        assert "path" in names

    def test_every_mark_that_is_used_is_there_and_bears_the_figures_name(
        self, element: str
    ) -> None:
        there = re.findall(ID, element)
        used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', element)
        assert {a or b for a, b in used} == set(there)
        assert there
        assert all(name.startswith("one-") for name in there)
        assert len(set(there)) == len(there)

    def test_two_figures_share_no_id(self, element: str) -> None:
        other = inline(svg_of(figure("two")), figure("two"))
        assert not set(re.findall(ID, element)) & set(re.findall(ID, other))

    def test_it_takes_the_inks_of_the_page(self, element: str) -> None:
        """Text in the page's colour, greys and blue its own, no paper; other colours stay."""
        for ink in ("currentColor", f"var(--muted, {MUTED})", f"var(--line, {GRID})"):
            assert ink in element
        assert INK not in element
        assert PAPER not in element
        assert f"stroke: var(--blue, {BLUE})" in element
        assert f"stroke: {ORANGE}" in element

    def test_nothing_but_namespaces_looks_like_an_address(self, element: str) -> None:
        assert set(re.findall(r'https?://[^"\s]+', element)) == {SVG, XLINK}


def test_a_name_of_a_file_is_plain() -> None:
    """Whatever an arm is called: ASCII letters, digits, points and hyphens."""
    assert slugged("mine", 'a"><i>x', "größe 3x3, alpha 0.5") == "mine-a-i-x-gr-e-3x3-alpha-0.5"
