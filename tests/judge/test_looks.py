"""The log of looks: one entry at each change, and how often an interval was looked at before."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from bench_forms import ROOT
from hypothesis import given
from hypothesis import strategies as st
from run_records import write_own
from strategies import law

from benchmark.cli.judge_verbs import judgement_of
from benchmark.judge.answers import answers, questions
from benchmark.judge.judgement import Judgement
from benchmark.judge.looks import (
    Look,
    load_looks,
    looked_at,
    names_hash,
    rules_hash,
    times_before,
)
from benchmark.judge.shipped import shipped
from benchmark.planning.evidence import load_plan
from benchmark.report.docs_pages import log_look, look_of
from benchmark.runs.collect import reproduction_folder

RULES = tomllib.loads((ROOT / "reference_results" / "tolerances.toml").read_text(encoding="utf-8"))
LOOK = Look(date(2026, 12, 1), "abcdef0", 3, "feed", "f00d", "", {"dice": "reproduced: 0.89"})
HEAD = "# What it is.\n\n[[looks]]\n"


@pytest.fixture(scope="module")
def judged() -> Judgement:
    return shipped()


def test_the_last_look_is_what_the_records_say(judged: Judgement) -> None:
    """Else `nox -s pages` has not been run since records, rules or the judge changed."""
    last, now = load_looks()[-1], look_of(judged, date(2026, 12, 1), "abcdef0")
    differ = {name: text for name, text in now.answers.items() if last.answers.get(name) != text}
    assert last.agrees(now), differ


def test_looks_are_in_the_order_of_days() -> None:
    days = [look.date for look in load_looks()]
    assert days == sorted(days)
    assert len({look.commit for look in load_looks()}) == len(days)


def test_the_rules_have_the_day_of_their_last_change_in_the_plan() -> None:
    """Who changes a rule enters it under [[analysis]] of plan.toml, with the day and this hash."""
    day, known = load_plan().rules[-1]
    assert known == rules_hash()
    assert day == max(change["date"] for change in RULES["changes"])


def test_every_look_was_under_rules_that_the_plan_has() -> None:
    assert {look.rules for look in load_looks()} <= {known for _, known in load_plan().rules}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The rules with one value replaced by its dotted name."""
    rules = deepcopy(RULES)
    *names, last = path.split(".")
    table = rules
    for name in names:
        table = table[name]
    assert last in table
    table[last] = value
    return rules


def test_values_and_readings_are_rules_and_reasons_are_not() -> None:
    assert rules_hash(RULES) == rules_hash()
    for path in ("dice.reason", "claims.reason", "leak.reason"):
        assert rules_hash(changed(path, "other words")) == rules_hash()
    for path, value in (
        ("dice.max_half_width", 0.07),
        ("contrasts.reference.alpha", 0.4),
        ("sizes.edges_mm2", [663.0, 1264.0]),
        ("claims.readings.best-cell", "another reading"),
        ("protocol", "patient"),
    ):
        assert rules_hash(changed(path, value)) != rules_hash()


def test_a_change_of_the_code_counts_by_its_date_and_the_rule_it_names() -> None:
    first, *rest = RULES["changes"]
    same = [{**first, "known": "more", "said": "less", "was": "a", "now": "b"}, *rest]
    assert rules_hash(changed("changes", same)) == rules_hash()
    for more in ({"rule": "another"}, {"date": date(2027, 1, 1)}):
        assert (
            rules_hash(changed("changes", [*RULES["changes"], {**first, **more}])) != rules_hash()
        )


def test_appending_twice_adds_one_look(tmp_path: Path, judged: Judgement) -> None:
    log = tmp_path / "looks.toml"
    log.write_text(f"{HEAD}{LOOK.as_toml().partition(chr(10))[2]}")
    now = look_of(judged, date(2026, 12, 2), "1234567")
    once = log_look(log, [LOOK], now)
    assert once == (LOOK, now)
    text = log.read_text()
    later = replace(now, date=date(2026, 12, 3), commit="7654321", rules="other", plan="other")
    assert log_look(log, once, later) == once
    assert log.read_text() == text
    assert text.startswith("# What it is.\n\n[[looks]]\n")
    assert tuple(Look(**table) for table in tomllib.loads(text)["looks"]) == once


@pytest.mark.parametrize(
    "change",
    [
        {"run_ids": "beef"},
        {"answers": {"dice": "inconclusive: 0.89"}},
        {"answers": {"dice": "reproduced: 0.91"}},
        {"answers": {"dice": "reproduced: 0.89 +- 0.05"}},
        {"answers": {"dice": "reproduced: 0.89", "best-cell": "confirmed"}},
    ],
)
def test_another_run_verdict_or_number_is_another_look(
    tmp_path: Path, change: Mapping[str, Any]
) -> None:
    log = tmp_path / "looks.toml"
    log.write_text(LOOK.as_toml())
    assert log_look(log, [LOOK], replace(LOOK, **change)) == (LOOK, replace(LOOK, **change))


def test_the_last_digit_of_another_processor_is_no_look() -> None:
    """0.8890 and 0.8891 are one number; 0.8890 and 0.8892 are two."""
    one, near, far = (
        replace(LOOK, answers={"dice": f"reproduced: {text}"})
        for text in ("0.8890 +- 0.0503", "0.8891 +- 0.0503", "0.8892 +- 0.0503")
    )
    assert one.agrees(near)
    assert not one.agrees(far)


@law
@given(st.dictionaries(st.from_regex(r"[a-z-]+", fullmatch=True), st.text(max_size=40)))
def test_whatever_an_answer_says_is_read_back(answers: dict[str, str]) -> None:
    look = replace(LOOK, answers=answers)
    assert Look(**tomllib.loads(look.as_toml())["looks"][0]) == look


def log_of(*texts: str) -> list[Look]:
    return [replace(LOOK, answers={"a": text}) for text in texts]


@pytest.mark.parametrize(
    ("texts", "now", "times"),
    [
        ([], "confirmed: +0.10", 0),
        (["confirmed: +0.10"], "confirmed: +0.10", 0),
        (["undecided: +0.20"], "confirmed: +0.10", 1),
        (["undecided: +0.20", "confirmed: +0.10"], "confirmed: +0.10", 1),  # now is in the log
        (["x: +0.20", "x: +0.20", "x: +0.50"], "x: +0.10", 2),  # an unchanged number is no look
        (["x: +0.20", "x: +0.50", "x: +0.20"], "x: +0.20", 2),  # one that came back is
        (["missing", "inconclusive", "x: +0.20"], "x: +0.20", 0),  # no number, no look
        (["x: +0.20", "x"], "x: +0.50", 1),
        (["x: +0.20", "x: +0.50"], "not testable yet", 0),  # nothing to qualify
    ],
)
def test_a_look_is_a_number_that_is_not_the_one_before(
    texts: list[str], now: str, times: int
) -> None:
    assert times_before(log_of(*texts), "a", now) == times
    assert times_before(log_of(*texts), "b", now) == 0


def test_an_entry_of_today_does_not_change_what_is_said_today(judged: Judgement) -> None:
    """`nox -s pages` logs first and says how often then; who runs it again reads the same."""
    now = look_of(judged, date(2026, 12, 1), "abcdef0")
    for name, text in now.answers.items():
        times = times_before(judged.looks, name, text)
        assert times_before((*judged.looks, now), name, text) == times


def test_each_answer_says_how_often_it_was_looked_at(judged: Judgement) -> None:
    """Of the shipped records: three numbers before today's on 0.898 and on the split."""
    for name, level in (("dice", 0.95), ("split-effect", 0.95)):
        times = times_before(judged.looks, name, judged.in_short[name])
        assert times >= 3
        (sentence,) = looked_at(times, level)
        lines = [line for answer in questions(judged) for line in answer.lines]
        assert sentence in lines
    claims = questions(judged)[1].lines[-1]
    assert claims.startswith("Looked at before, as runs were added or rules changed: ")
    assert "alpha-direction" in claims
    assert "vessels-excluded" not in claims


def test_never_is_not_said_once_and_twice_are_words() -> None:
    assert looked_at(0, 0.95) == []
    for times, word in ((1, "once"), (2, "twice"), (3, "3 times")):
        (sentence,) = looked_at(times, 0.9)
        assert sentence.startswith(f"Looked at {word} before, as runs were added or rules changed")
        assert sentence.endswith(": the interval covers somewhat less than 90%.")


def test_a_folder_of_ones_own_has_no_log(tmp_path: Path) -> None:
    write_own(tmp_path)
    assert judgement_of(tmp_path).looks == ()
    assert judgement_of(reproduction_folder()).looks == load_looks()
    lines = "\n".join(answers(judgement_of(tmp_path)))
    assert "ooked at" not in lines


def test_a_name_of_runs_is_of_their_set() -> None:
    assert names_hash(["b", "a"]) == names_hash(["a", "b"])
    assert names_hash(["a"]) != names_hash(["a", "b"])
