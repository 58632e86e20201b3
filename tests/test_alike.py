"""What two processors may write differently, and what they may not."""

from __future__ import annotations

import pytest
from alike import apart, svg_apart


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        ("Dice 0.898, 3 seeds", "Dice 0.898, 3 seeds"),
        ("a,0.888975\n", "a,0.888974\n"),
        ("0.88898", "0.888979"),  # 0.888980 without its zero
        ("0.9 [0.8, 1.0]", "0.899999 [0.8, 1.0]"),
        ("p = 1.2e-05", "p = 1.3e-05"),
        ("-0.0000", "+0.0001"),
        ("| 9.99 | x |\n|---|---|", "| 10.00 | x   |\n|-------|---|"),
    ],
)
def test_the_last_digit_printed_may_differ_by_one(stored: str, computed: str) -> None:
    assert apart(stored, computed) == []
    assert apart(computed, stored) == []


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        ("Dice 0.898", "Dice 0.896"),
        ("3 seeds", "4 seeds"),  # counted, not measured
        ("0.898 holds", "0.898 does not hold"),
        ("0.898", "0.898, 0.897"),
        ("0.888975", "0.888973"),
        ("0.12", "-0.12"),
        ("by-image-1", "by-image-2"),
        ("1.2e-05", "1.2e-06"),
        ("a", "a "),
    ],
)
def test_anything_else_is_told(stored: str, computed: str) -> None:
    assert apart(stored, computed)
    assert apart(computed, stored)


DRAWN = (
    '<path id="m{0}" d="M {1} 2.5"/><use href="#m{0}"/><g clip-path="url(#p{0})"/><text>{2}</text>'
)


def test_a_drawing_may_name_its_marks_otherwise_and_move_a_hair() -> None:
    stored, drawn = DRAWN.format("1a2", "44", "0.898"), DRAWN.format("9f", "43.999999", "0.898")
    assert svg_apart(stored, drawn) == []


@pytest.mark.parametrize(
    "other", [("1a2", "44.02", "0.898"), ("1a2", "44", "0.798"), ("1a2", "44", "high")]
)
def test_a_drawing_of_other_numbers_or_words_is_told(other: tuple[str, str, str]) -> None:
    assert svg_apart(DRAWN.format("1a2", "44", "0.898"), DRAWN.format(*other))


def test_a_mark_that_means_another_is_told() -> None:
    one, other = '<a id="x"/><a id="y"/><use href="#x"/>', '<a id="x"/><a id="y"/><use href="#y"/>'
    assert svg_apart(one, other)
