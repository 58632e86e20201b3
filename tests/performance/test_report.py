"""The arithmetic of the speed tables, by hand and as laws, and the section that they stand in."""

from __future__ import annotations

import doctest
import random
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from performance import report
from performance.clock import TRAINING, Clock, split
from performance.job import Job, Measurement, Memory
from performance.report import Work, main_table, ratio, split_table
from performance.rounds import Scores
from performance.workload import Workload

WORK = Work(epoch_train=100, epoch_val=20, gflop_per_image=20.0, peak_gflop_per_second=80.0)


def turn(train_seconds: float = 5.0, **more: Any) -> Measurement:
    """10 training images in 5 s, 4 validation images in 1 s."""
    return Measurement(10, train_seconds, 4, 1.0, **more)


@pytest.mark.parametrize("name", ["command", "clock", "implementations"])
def test_the_examples_in_docstrings_hold(name: str) -> None:
    failed, tried = doctest.testmod(import_module(f"performance.{name}"))
    assert tried > 0
    assert failed == 0


def test_the_numbers_of_a_row() -> None:
    """2 images/s; 100 / 2 + 20 / 4 = 55 s; 2 x 20 = 40 GFLOP/s, half of 80.

    Ours at 4 and 6 images/s, so 2.5 times as fast.
    """
    rounds = {"peer": [turn(), turn()], "ours": [turn(2.5), turn(5 / 3)]}
    peer, ours = main_table(rounds, "ours", WORK)
    assert peer == {
        "implementation": "peer", "images/s": "2.00", "seconds per epoch": "55.0",
        "ours is x times as fast (least - most)": "2.50 (2.00 - 3.00)", "peak memory, MiB": "-",
        "GFLOP/s": "40", "share of peak": "50%",
    }  # fmt: skip
    assert ours["ours is x times as fast (least - most)"] == "1.00 (1.00 - 1.00)"


def test_what_is_not_known_is_a_dash() -> None:
    (row,) = main_table({"peer": [None]}, "peer", WORK)
    assert list(row.values()) == ["peer", *"------"]
    (row,) = main_table({"peer": [turn()]}, "peer", replace(WORK, peak_gflop_per_second=None))
    assert list(row.values()) == ["peer", "2.00", "55.0", "1.00 (1.00 - 1.00)", "-", "40", "-"]


def test_a_ratio_pairs_rounds() -> None:
    """A round in which one failed counts for neither."""
    times = ratio([turn(1), None, turn(1)], [turn(2), turn(9), turn(4)])
    assert times == report.Ratio(median=3, least=2, most=4)
    assert ratio([None, turn()], [turn(), None]) is None


def test_memory_names_the_greatest_of_its_parts() -> None:
    memories = [Memory(100.4, 20.0, 7.0), Memory(90.0, 30.0, 5.0)]
    (row,) = main_table({"peer": [turn(memory=memory) for memory in memories]}, "peer", WORK)
    assert row["peak memory, MiB"] == "100 + 30 a worker; card 7"


def test_the_split_comes_from_the_round_that_has_one() -> None:
    parts = {"forward": 1.25, "other": 2.0, "validation": 3.0}
    rows = split_table({"peer": [None, turn(split=parts)], "not split": [turn()]})
    assert [list(row.values()) for row in rows] == [
        ["peer", "-", "-", "1.2", "-", "-", "2.0", "3.0", "-"]
    ]


def test_clocks_add_up_what_they_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, readings = Clock("cpu"), iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setattr(clock, "now", lambda: next(readings))
    for _ in range(2):
        with clock("forward"):
            pass
    assert clock.seconds == {"forward": 2.5}


SECONDS = st.floats(0.01, 1000)
TURN = st.builds(Measurement, st.integers(1, 100), SECONDS, st.integers(1, 50), SECONDS)
PAIRS = st.lists(st.tuples(TURN, TURN), min_size=1, max_size=7)


@given(PAIRS, st.randoms())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_the_order_of_rounds_does_not_matter(
    pairs: list[tuple[Measurement, Measurement]], rng: random.Random
) -> None:
    tables = [
        main_table({"ours": [a for a, _ in some], "peer": [b for _, b in some]}, "ours", WORK)
        for some in (pairs, rng.sample(pairs, len(pairs)))
    ]
    assert tables[0] == tables[1]


@given(PAIRS)
def test_the_other_way_round_the_extremes_change_places(
    pairs: list[tuple[Measurement, Measurement]],
) -> None:
    """And nothing is faster than itself."""
    ours, peer = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = ratio(ours, peer), ratio(peer, ours)
    assert there
    assert back
    assert there.least <= there.median <= there.most
    assert there.least == pytest.approx(1 / back.most)
    assert ratio(ours, ours) == report.Ratio(1, 1, 1)


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
    parts = split({**heard, "validation": 1.0}, whole, images, val)
    assert parts.pop("validation") == 1000 / val
    assert sum(parts.values()) == pytest.approx(1000 * whole / images, abs=1e-6)


def test_sections_follow_each_other(tmp_path: Path) -> None:
    out = tmp_path / "RESULTS.md"
    report.append(out, "## first\n")
    report.append(out, "## second\n")
    assert out.read_text(encoding="utf-8") == f"{report.TITLE}\n## first\n\n## second\n"
    assert list(tmp_path.iterdir()) == [out]


def test_a_section_names_what_failed_and_what_ran_beside(job: Job, workload: Workload) -> None:
    scores = Scores({"bare": [None]}, {"bare": "out of luck", "peak": "no luck either"})
    text = report.section(replace(job, busy=1), workload, scores, 1.0, "python")
    assert "batch 4, fp32, cpu, beside 1 busy process\n" in text
    assert "- bare failed: out of luck" in text
    assert "- peak: not measured: no luck either" in text
