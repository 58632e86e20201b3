"""Laws of the speed tables."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from performance.clock import TRAINING, split
from performance.job import Measurement
from performance.table import Work, main_table, ratio

SECONDS = st.floats(0.01, 1000)
TAKEN = st.builds(Measurement, st.integers(1, 100), SECONDS, st.integers(1, 50), SECONDS)
PAIRS = st.lists(st.tuples(TAKEN, TAKEN), min_size=1, max_size=7)
WORK = Work(epoch_train=482, epoch_val=120, gflop_per_image=22.0, peak_gflop_per_second=400.0)


@given(PAIRS, st.randoms())
def test_the_order_of_rounds_does_not_matter(
    pairs: list[tuple[Measurement, Measurement]], rng: random.Random
) -> None:
    shuffled = rng.sample(pairs, len(pairs))
    tables = [
        main_table({"ours": [a for a, _ in some], "peer": [b for _, b in some]}, "ours", WORK)
        for some in (pairs, shuffled)
    ]
    assert tables[0] == tables[1]


@given(st.lists(TAKEN, min_size=1, max_size=7))
def test_nothing_is_faster_than_itself(rounds: list[Measurement]) -> None:
    found = ratio(rounds, rounds)
    assert found
    assert (found.least, found.median, found.most) == (1, 1, 1)


@given(PAIRS)
def test_the_other_way_round_the_extremes_change_places(
    pairs: list[tuple[Measurement, Measurement]],
) -> None:
    there = ratio([a for a, _ in pairs], [b for _, b in pairs])
    back = ratio([b for _, b in pairs], [a for a, _ in pairs])
    assert there
    assert back
    assert there.least <= there.median <= there.most
    assert there.least == pytest.approx(1 / back.most)


@given(
    st.dictionaries(st.sampled_from(TRAINING), SECONDS),
    st.floats(0, 100),
    st.integers(1, 500),
    st.integers(1, 99),
)
def test_the_parts_add_up_to_the_whole(
    heard: dict[str, float], more: float, images: int, val: int
) -> None:
    """Training labels and "other" are the training's time; validation stands beside it."""
    whole = sum(heard.values()) + more
    found = split({**heard, "validation": 1.0}, whole, images, val)
    parts = sum(value for label, value in found.items() if label != "validation")
    assert parts == pytest.approx(1000 * whole / images, abs=1e-6)
    assert found["validation"] == 1000 / val
