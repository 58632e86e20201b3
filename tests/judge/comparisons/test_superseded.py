"""Replaced trainings: their records as the history has them, counted nowhere, told of with ours."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_forms import ROOT
from run_records import table, terms

from benchmark.judge.answers import answers, questions
from benchmark.judge.comparisons.superseded import (
    ADDED,
    AS_IT_STANDS,
    IN_PLACE,
    Alternative,
    Superseded,
    in_question,
    told,
    with_superseded,
)
from benchmark.judge.does_it_hold import severity
from benchmark.judge.judgement import Judgement
from benchmark.judge.reference import SupersededTraining, load_superseded
from benchmark.judge.shipped import shipped as judge_shipped
from benchmark.judge.verdicts import judge_printed_numbers
from benchmark.protocol import load_recipe
from benchmark.runs.collect import Collected, collect, reproduction_folder, superseded_folder
from benchmark.training.seeding import generator

BEST = "unet_alpha0.5_kernel-size5_by-image-1_512_fp32_s452669_f8a2abe3"
TREES = {  # git rev-parse COMMIT:reference_results/reproduction/RUN_ID
    BEST: "712e22b6af4acdbb9f58cd2d03563380d513015d",  # 6c1f301
    "unet_alpha0.5_kernel-size5_by-image-1_256_fp32_s452669_a16eb34c":
        "c56bbfd666bad911a22f0231265a6cbddd80d302",  # 22908d1
}  # fmt: skip


def tree_of(folder: Path) -> str:
    """The id under which git keeps a folder of plain files."""

    def kept(kind: str, content: bytes) -> bytes:
        return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).digest()

    entries = (
        b"100644 " + path.name.encode() + b"\0" + kept("blob", path.read_bytes())
        for path in sorted(folder.iterdir())
    )
    return kept("tree", b"".join(entries)).hex()


@cache
def records() -> Superseded:
    return Superseded(collect(superseded_folder()), load_superseded())


@cache
def shipped() -> Judgement:
    return judge_shipped()


class TestRecords:
    """What lies in reference_results/superseded."""

    def test_they_are_byte_for_byte_those_of_the_history(self) -> None:
        folders = {path.name: path for path in superseded_folder().iterdir()}
        assert {name: tree_of(path) for name, path in folders.items()} == TREES

    def test_each_is_told_of_and_was_replaced_by_a_record_that_counts(self) -> None:
        trainings, counted = load_superseded(), shipped().collected.runs["run_id"].tolist()
        assert {training.run_id for training in trainings} == set(TREES)
        assert {training.replaced_by for training in trainings} <= set(counted)
        assert all(len(each.why) > 30 and len(each.known) > 30 for each in trainings)

    def test_their_scores_are_those_that_the_readme_printed_then(self) -> None:
        """At commit 99463d5: 0.845 at 256x256 and 0.862 at 512x512, which ended after 27 epochs."""
        runs = records().collected.runs.set_index("height")
        assert runs["test.dice_mean"].round(3).to_dict() == {256: 0.845, 512: 0.862}
        assert runs.loc[512, "fit.stop_epoch"] == 26

    def test_none_of_them_counts(self) -> None:
        """The shipped runs are as many, and of the same scores, as without their folder."""
        runs = shipped().collected.runs.set_index("run_id")
        assert len(runs) == len([*reproduction_folder().iterdir()])
        assert runs.loc[BEST, "test.dice_mean"].round(3) == 0.892
        assert not set(runs["test.dice_mean"]) & set(records().collected.runs["test.dice_mean"])

    def test_nothing_is_written_beside_them(self) -> None:
        collect(superseded_folder())
        assert {path.name for path in superseded_folder().iterdir()} == set(TREES)


def test_the_mend_touches_two_slices_of_one_epoch() -> None:
    """Slices 136 and 582 in epoch 16 of the replaced training, and none in the 26 others.

    Before the mend the phase that lay still was the one at half of the time; after it, the one at
    which row 256 of 512 is taken, at (256 + 0.5) / 512. They differ where a movement falls between.
    Of each slice and epoch the motion's stream says first whether it happens, then its two times.
    """
    split = json.loads((ROOT / "reference_results/splits/by-image-1.json").read_text())
    chance = load_recipe("thesis").augmentation.motion_p
    touched = []
    for epoch in range(27):
        for number in split["train"]:
            stream = generator(452669, "motion", epoch, number)
            moves, times = stream.random() < chance, stream.random(2)
            if moves and ((times >= 0.5) & (times <= 256.5 / 512)).any():
                touched.append((epoch, number))
    assert touched == [(16, 136), (16, 582)]


PATIENTS: list[Any] = ["a", "a", "b", "b"]
ENTRY = SupersededTraining("run_s3", "aaa", "run_s3", "bbb", date(2026, 1, 2), "A slip.", "Both.")


def flat(**dice: float) -> Collected:
    """Runs of the printed cell, each with one Dice on every slice, by seed."""
    made = table({int(seed[1:]): [value] * 4 for seed, value in dice.items()}, PATIENTS)
    return replace(made, runs=made.runs.assign(**{"fit.stop_epoch": 30}))


OURS = flat(s1=0.90, s2=0.91, s3=0.92)
OLD = Superseded(flat(s3=0.80), (ENTRY,))


def judgement(collected: Collected = OURS, old: Superseded | None = OLD) -> Judgement:
    return Judgement(collected, *terms(), superseded=old)


def test_the_replaced_training_is_added_as_one_of_its_own_and_set_in_the_others_place() -> None:
    """0.90, 0.91 and 0.92; 0.80 beside 0.92; 0.80 in its place. By hand:

    means 0.91, 3.53 / 4 and 2.61 / 3; SD 0.01, sqrt(0.009275 / 3) and sqrt(0.0074 / 2).
    """
    stands, added, in_place = judgement().alternatives
    assert [row.what for row in (stands, added, in_place)] == [AS_IT_STANDS, ADDED, IN_PLACE]
    assert [row.trainings for row in (stands, added, in_place)] == [3, 4, 3]
    assert (stands.dice, stands.sd) == pytest.approx((0.91, 0.01))
    assert (added.dice, added.sd) == pytest.approx((0.8825, 0.0556028))
    assert (in_place.dice, in_place.sd) == pytest.approx((0.87, 0.0608276))


def test_each_verdict_is_that_of_runs_with_these_scores() -> None:
    """As if nothing had ever been replaced; by both rules."""
    for row, dice in zip(
        judgement().alternatives,
        (
            {"s1": 0.90, "s2": 0.91, "s3": 0.92},
            {"s1": 0.90, "s2": 0.91, "s3": 0.92, "s4": 0.80},
            {"s1": 0.90, "s2": 0.91, "s3": 0.80},
        ),
        strict=True,
    ):
        plain = judgement(flat(**dice), None).printed.dice
        assert (row.verdict, row.dice) == (plain.verdict, pytest.approx(plain.ours))
        assert row.another_split == pytest.approx(plain.half_width)


def test_the_runs_themselves_are_left_as_they_are() -> None:
    before = OURS.runs.copy(), OURS.scores.copy()
    made = with_superseded(OURS, OLD)
    assert made[AS_IT_STANDS] is OURS
    assert OURS.runs.equals(before[0])
    assert OURS.scores.equals(before[1])
    for what, seeds in ((ADDED, [1, 2, 3, 4]), (IN_PLACE, [1, 2, 3])):
        runs = made[what].runs
        assert sorted(runs["seed"]) == seeds
        assert runs["run_id"].is_unique


@pytest.mark.parametrize(
    "other", [{"height": 256}, {"dataset_id": "own"}, {"split_id": "by-image-9"}, {"alpha": 0.4}]
)
def test_a_training_on_other_terms_is_no_question_of_the_verdict(other: dict[str, Any]) -> None:
    collected = replace(OLD.collected, runs=OLD.collected.runs.assign(**other))
    old = Superseded(collected, OLD.trainings)
    assert in_question(old, *terms()) is None
    found = judgement(old=old)
    assert found.alternatives == []
    assert len(found.verdicts()) == len(judgement(old=None).verdicts())


def alternative(what: str, verdict: str, before: str) -> Alternative:
    return Alternative(what, 3, 0.88, 0.01, 0.034, 0.0601, verdict, before)


WIDER = "inconclusive, since +- 0.0601 is wider than 0.06"


@pytest.mark.parametrize(
    ("verdicts", "now", "before"),
    [
        (("reproduced reproduced", "reproduced reproduced", "reproduced reproduced"),
         "is the same with the first added and with the first in its place.", "was too."),
        (("reproduced reproduced", "reproduced reproduced", "reproduced inconclusive"),
         "is the same with the first added and with the first in its place.",
         f"hung on it: with the first in its place {WIDER}."),
        (("reproduced reproduced", "inconclusive reproduced", "reproduced reproduced"),
         "hangs on it: with the first added inconclusive (0.880 +- 0.0340).", "was too."),
    ],
)  # fmt: skip
def test_the_sentence_tells_each_verdict_that_differs_and_no_other(
    verdicts: tuple[str, ...], now: str, before: str
) -> None:
    rows = [alternative("", *each.split()) for each in verdicts]
    text = told(rows, OURS, OLD, "2026-11-30", 0.06)
    rule = "By the rule that decided until 2026-11-30 (changed on that day, with this known)"
    start = "Seed 3 was trained twice, and 0.800 replaced by 0.920: the verdict"
    assert text == f"{start} {now} {rule} it {before}"


class TestShippedRecords:
    """What an independent audit found of them: 0.882 and 0.057, and 0.0601 above 0.06."""

    def test_the_verdict_by_the_rule_before(self) -> None:
        stands, added, in_place = shipped().alternatives
        rows = (stands, added, in_place)
        assert [row.trainings for row in rows] == [3, 4, 3]
        assert [row.dice for row in rows] == pytest.approx([0.889, 0.882, 0.879], abs=5e-4)
        halves = [row.other_patients for row in rows]
        assert halves == pytest.approx([0.0503, 0.0568, 0.0601], abs=5e-5)
        assert [row.before for row in rows] == ["reproduced", "reproduced", "inconclusive"]

    def test_the_first_answer_tells_of_it(self) -> None:
        answer = questions(shipped())[0]
        (line,) = (line for line in answer.lines if line.startswith("Seed 452669"))
        assert "0.862 replaced by 0.892" in line
        assert "the verdict is the same with the first added" in line
        assert (
            "it hung on it: with the first in its place inconclusive, since +- 0.0601 is wider "
            "than 0.06."
        ) in line

    def test_severity_is_told_with_the_replaced_training_in_place_too(self) -> None:
        """At the spread with it, which is the wider: the verdict is harder to come by at 0."""
        (made,) = (t for t in shipped().verdicts() if t.title.startswith("How severe"))
        assert "with the replaced training in place" in made.texts
        numbers, rules = made.numbers, terms()
        row = judge_printed_numbers(
            with_superseded(shipped().collected, records())[IN_PLACE], *rules
        ).dice
        again = severity(row.spread, rules[0], rules[1].dice)
        assert numbers["in_place"].tolist() == [each["chance"] for each in again]
        assert numbers["in_place_before"].tolist() == [each["before"] for each in again]
        assert (numbers["in_place_before"] < numbers["before"]).iloc[0]
        assert "the limit of 0.06 more often" in made.notes[0]

    def test_the_tables_say_why_and_what_was_known(self) -> None:
        hanging = shipped().verdicts()[1]
        assert hanging.title.startswith("What the verdict hangs on")
        assert all(hanging.texts)  # each column is named
        (note,) = hanging.notes
        assert "slices 136 and 582" in note
        assert "with both known" in note
        (replaced,) = (made for made in shipped().runs() if made.title.startswith("Trainings that"))
        assert replaced.texts["Dice"] == ["0.8621", "0.8445"]
        assert replaced.texts["replaced by"] == ["0.8921", "0.8414"]
        assert replaced.texts["epochs"] == ["27", "21"]

    def test_a_users_runs_are_judged_without_it(self) -> None:
        """Even where they are the same runs."""
        own = Judgement(shipped().collected, *terms())
        titles = [made.title for made in (*own.verdicts(), *own.runs())]
        assert not [name for name in titles if "hangs on" in name or "Trainings that" in name]
        assert "trained twice" not in " ".join(answers(own))
        assert own.rows == shipped().rows


def test_a_training_stands_beside_itself() -> None:
    """Replaced by one with the same scores, nothing but the count of trainings changes."""
    same = Superseded(flat(s3=0.92), (ENTRY,))
    stands, _, in_place = judgement(old=same).alternatives
    assert replace(stands, what="") == replace(in_place, what="")
    assert np.isclose(stands.dice or 0, 0.91)
