"""One table in four forms, and what numbers look like in all of them."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest

from benchmark.judge.tables import (
    FORMATS,
    WIDTH,
    Table,
    between,
    csv_of,
    digits,
    render,
    rounded_csv,
)

THIRD = 1 / 3
NUMBERS = pd.DataFrame({"what": ["a, b", 'say "c"'], "share": [THIRD, float("nan")], "n": [3, 4]})
SHOWN = pd.DataFrame({"what_is": ["5% & more", "a_b"], "share": digits(NUMBERS["share"], 3)})
TABLE = Table("The title, 5%.", NUMBERS, SHOWN, ("A note_1.", "Another."))


def parsed(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_text() -> None:
    assert TABLE.render().splitlines() == [
        "The title, 5%.",
        "what_is    share",
        "---------  -------",
        "5% & more  0.333",
        "a_b",
        "",
        "A note_1.",
        "Another.",
    ]


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


def test_csv_is_the_numbers_to_six_digits() -> None:
    found = parsed(TABLE.render("csv"))
    assert found.columns.tolist() == ["table", "what", "share", "n"]
    assert set(found["table"]) == {"The title, 5%."}
    pd.testing.assert_frame_equal(found.drop(columns="table"), NUMBERS, rtol=5e-6)
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
    other = Table("Other.", pd.DataFrame({"n": [7], "p": [0.5]}), pd.DataFrame({"n": ["7"]}))
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
def test_what_is_not_known_is_nothing(form: str) -> None:
    unknown = [float("nan"), None, np.nan]
    made = Table(
        "t", pd.DataFrame({"x": unknown}), pd.DataFrame({"x": digits(unknown, 2), "y": ["a"] * 3})
    )
    assert not {"nan", "None", "NaN"} & set(
        made.render(form).replace(",", " ").replace("|", " ").split()
    )


def test_numbers_are_not_read_again() -> None:
    """tabulate would make 0.1 of 0.100 and 1000 of 1e3."""
    made = Table("t", pd.DataFrame(), pd.DataFrame({"x": ["0.100", "1e3", "+0.10"]}))
    assert made.render().splitlines()[3:] == ["0.100", "1e3", "+0.10"]


def test_digits() -> None:
    assert digits([0.12345, -0.5, None, math.nan], 3) == ["0.123", "-0.500", "", ""]
    assert digits([0.5, -0.5, 0.0], 1, sign=True) == ["+0.5", "-0.5", "+0.0"]
    assert digits([], 1) == []


def test_between() -> None:
    assert between([0.1, None, 0.1], [0.2, 0.2, math.nan], 2) == ["0.10 to 0.20", "", ""]
    assert between([-1.0], [1.0], 0, sign=True) == ["-1 to +1"]


def test_csv_of_one_is_its_csv() -> None:
    assert csv_of([TABLE]) == TABLE.render("csv")


WIDE = pd.DataFrame(
    {
        "what was asked": [
            "a question of some twenty words, which is far more than one cell of a table should hold "
            * 2
        ]
        * 2,
        "mean Dice": ["0.100", "0.200"],
        "a long heading over short numbers": ["1", "2"],
        "95% interval": ["-0.123 to +0.234", ""],
    }
)


def test_text_keeps_within_a_terminal_and_loses_no_word() -> None:
    """Headings are wrapped before texts are, and numbers stay whole."""
    text = Table("A title, " * 20, WIDE, WIDE, ("A note, " * 20,)).render()
    assert max(map(len, text.splitlines())) <= WIDTH == 100
    assert text.count("question") == text.count("should") == 4
    assert text.count("title,") == text.count("note,") == 20
    assert "-0.123 to +0.234" in text


def test_a_wide_text_keeps_the_essential_columns_and_says_which_are_left_out() -> None:
    made = Table("t", WIDE, WIDE, ("Note.",), ("what was asked", "mean Dice"))
    lines = made.render().splitlines()
    assert lines[1].split("  ")[0] == "what was asked"
    assert "mean" in lines[1]
    assert "interval" not in lines[1]
    assert " ".join(lines[-3:]) == (
        "Note. More columns in compare's other formats, such as --format markdown: a long heading over short numbers, "
        "95% interval."
    )
    for form in ("markdown", "latex"):
        assert (
            "a long heading over short numbers"
            in made.render(form).splitlines()[2 if form == "markdown" else 3]
        )
    assert parsed(made.render("csv")).columns.tolist() == ["table", *WIDE]


def test_a_text_that_fits_keeps_every_column() -> None:
    made = Table("t", NUMBERS, SHOWN, (), ("share",))
    assert made.render() == Table("t", NUMBERS, SHOWN).render()
