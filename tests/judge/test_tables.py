"""One table in four forms, and what numbers look like in all of them."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.judge.tables import (
    FORMATS,
    WIDTH,
    Column,
    Ranked,
    Table,
    csv_of,
    render,
    rounded_csv,
)

ROWS = [{"what": "a, b", "share": 1 / 3, "n": 3}, {"what": 'say "c"', "share": math.nan, "n": 4}]
COLUMNS = (
    Column("what_is", lambda row: {3: "5% & more", 4: "a_b"}[row["n"]]),
    Column("share", "share", "{:.3f}"),
)
TABLE = Table("The title, 5%.", ROWS, COLUMNS, ("A note_1.", "Another."))


def plain(*rows: Mapping[str, object], **more: Any) -> Table:
    """A table that shows each field of its records as it is."""
    return Table("t", rows, [Column(name, name) for name in rows[0]], **more)


def parsed(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_text() -> None:
    head, ruled = ["The title, 5%.", "what_is    share"], ["---------  -------", "5% & more  0.333"]
    lines = TABLE.render().splitlines()
    assert lines == [*head, *ruled, "a_b", "", "A note_1.", "Another."]


def test_markdown_has_a_bold_title_and_a_blank_line_before_the_table() -> None:
    lines = TABLE.render("markdown").splitlines()
    assert lines[:3] == ["**The title, 5%.**", "", "| what_is   | share   |"]
    assert lines[-3:] == ["", "A note_1.", "Another."]


def test_latex_escapes_cells_and_comments_the_rest() -> None:
    lines = TABLE.render("latex").splitlines()
    assert lines[0] == "% The title, 5%."
    assert lines[-2:] == ["% A note_1.", "% Another."]
    body = lines[1:-3]
    assert (body[0], body[-1]) == (r"\begin{tabular}{ll}", r"\end{tabular}")
    assert [line.split() for line in body if "&" in line] == [
        [r"what\_is", "&", "share", r"\\"],
        [r"5\%", r"\&", "more", "&", "0.333", r"\\"],
        [r"a\_b", "&", r"\\"],
    ]


def test_latex_sets_long_texts_as_paragraphs() -> None:
    head = plain({"short": "a", "long": "many words " * 20}).render("latex").splitlines()[1]
    assert head == r"\begin{tabular}{lp{4cm}}"


def test_a_heading_s_words_stay_whole_where_other_texts_can_yield() -> None:
    """Nine columns of which one heading alone is a long word, over short numbers."""
    heads = [f"h{i} {i}" for i in range(8)]
    row = {**dict.fromkeys(heads, "words " * 3), "uninterruptedly": "1"}
    assert "uninterruptedly" in plain(row).render()


def test_csv_is_the_numbers_to_six_digits() -> None:
    found = parsed(TABLE.render("csv"))
    assert found.columns.tolist() == ["table", "what", "share", "n"]
    assert set(found["table"]) == {"The title, 5%."}
    pd.testing.assert_frame_equal(found.drop(columns="table"), pd.DataFrame(ROWS), rtol=5e-6)
    assert found["share"][0] == 0.333333


@pytest.mark.parametrize(
    ("computed", "written"),
    [
        (0.873400154055, "0.8734"),
        (0.873400154056, "0.8734"),  # by another processor
        (1.23456789e-12, "1.23457e-12"),
        (123.456789, "123.457"),
        (np.float32(0.1), "0.1"),
        (23850000.0, "23850000.0"),  # counted
        (452669, "452669"),
        (float("inf"), "inf"),
        (float("nan"), '""'),
        (None, '""'),
        ("0.873400154055", "0.873400154055"),  # a name
    ],
)
@pytest.mark.parametrize("kind", [None, object])
def test_what_is_computed_is_written_to_six_digits_whatever_column_it_stands_in(
    computed: object, written: str, kind: type | None
) -> None:
    assert rounded_csv(pd.DataFrame({"x": pd.Series([computed], dtype=kind)})) == f"x\n{written}\n"


def test_several_tables_are_one_csv() -> None:
    """Columns of all, empty where a table has none; whole numbers stay whole."""
    other = Table("Other.", [{"n": 7, "p": 0.5}], [Column("n", "n")])
    text = render([TABLE, other], "csv")
    assert text.splitlines()[-1] == "Other.,,,7,0.5"
    assert parsed(text)["n"].tolist() == [3, 4, 7]
    assert parsed(text).columns.tolist() == ["table", "what", "share", "n", "p"]


def test_no_table_is_no_text() -> None:
    assert [render([], form) for form in FORMATS] == [""] * len(FORMATS)


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "csv"])
def test_tables_stand_apart(form: str) -> None:
    assert render([TABLE, TABLE], form) == f"{TABLE.render(form)}\n\n{TABLE.render(form)}"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("nothing", [None, math.nan, np.nan, pd.NA])
def test_what_is_not_known_is_nothing(form: str, nothing: object) -> None:
    both = Column("ends", ("x", "y"), "{:.1f} to {:.1f}")
    columns = (Column("x", "x", "{:.2f}"), both, Column("z", "z"))
    made = Table("t", [{"x": nothing, "y": 1.0, "z": "a"}] * 3, columns)
    words = made.render(form).replace(",", " ").replace("|", " ").split()
    assert not {"nan", "None", "NaN", "<NA>", "to"} & set(words)
    assert made.sort_values(0) is made.sort_values(1) is None


def test_numbers_are_not_read_again() -> None:
    """tabulate would make 0.1 of 0.100 and 1000 of 1e3."""
    made = plain(*({"x": text} for text in ("0.100", "1e3", "+0.10")))
    assert made.render().splitlines()[3:] == ["0.100", "1e3", "+0.10"]


@pytest.mark.parametrize(
    ("column", "text", "rank"),
    [
        (Column("", "x", "{:.3f}"), "0.123", 0.12345),
        (Column("", "x", "{:+.1f}"), "+0.1", 0.12345),
        (Column("", "n"), "3", 3.0),
        (Column("", ("x", "n"), "{:.2f} to {:+d}"), "0.12 to +3", 0.12345),
        (Column("", lambda row: row["n"] / 4, "{:.1%}"), "75.0%", 0.75),
        (Column("", "x", lambda x: "< 0.5" if x < 0.5 else "more"), "< 0.5", 0.12345),
        (Column("", "size"), "512x256", 512.0),
        (Column("", lambda row: (None, row["n"]), lambda pair: f"- x {pair[1]}"), "- x 3", None),
    ],
)
def test_a_column_says_where_its_value_comes_from_and_how_it_is_shown(
    column: Column, text: str, rank: float | None
) -> None:
    """Beside the text stands the value that it was made from, in full: a page sorts by it."""
    record = {"x": 0.12345, "n": 3, "size": Ranked("512x256", 512)}
    made = Table("t", [record, {"x": 1.0, "n": 9, "size": Ranked("9x9", 9)}], [column])
    assert made.texts[""][0] == text
    assert (made.sort_values(0) or [None])[0] == rank


@pytest.mark.parametrize("values", [["a", "b"], [1, "b"], [True, False], [None, None], ["1", "2"]])
def test_a_column_with_a_word_or_a_flag_or_without_a_number_sorts_as_text(
    values: list[object],
) -> None:
    assert plain(*({"x": value} for value in values)).sort_values(0) is None


def test_csv_of_one_is_its_csv() -> None:
    assert csv_of([TABLE]) == TABLE.render("csv")


LONG = (
    "a question of some twenty words, which is far more than one cell of a table should hold " * 2
)
HEADS = ("what was asked", "mean Dice", "a long heading over short numbers", "95% interval")
CELLS = ((LONG, "0.100", "1", "-0.123 to +0.234"), (LONG, "0.200", "2", ""))
WIDE = [dict(zip(HEADS, cells, strict=True)) for cells in CELLS]


def test_text_keeps_within_a_terminal_and_loses_no_word() -> None:
    """Headings are wrapped before texts are, and numbers stay whole."""
    text = replace(plain(*WIDE), title="A title, " * 20, notes=("A note, " * 20,)).render()
    assert max(map(len, text.splitlines())) <= WIDTH == 100
    assert text.count("question") == text.count("should") == 4
    assert text.count("title,") == text.count("note,") == 20
    assert "-0.123 to +0.234" in text


def test_a_wide_text_keeps_the_essential_columns_and_says_which_are_left_out() -> None:
    made = plain(*WIDE, notes=("Note.",), essential=("what was asked", "mean Dice"))
    lines = made.render().splitlines()
    assert lines[1].split("  ")[0] == "what was asked"
    assert "mean" in lines[1]
    assert "interval" not in lines[1]
    assert " ".join(lines[-3:]) == (
        "Note. More columns in compare's other formats, such as --format markdown: a long heading "
        "over short numbers, 95% interval."
    )
    for form, line in (("markdown", 2), ("latex", 3)):
        assert "a long heading over short numbers" in made.render(form).splitlines()[line]
    assert parsed(made.render("csv")).columns.tolist() == ["table", *WIDE[0]]


def test_a_text_that_fits_keeps_every_column() -> None:
    assert replace(TABLE, essential=("share",)).render() == TABLE.render()
