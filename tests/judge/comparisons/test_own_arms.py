"""A user's arms in words: a verdict, what it rests on, what it cost."""

from __future__ import annotations

from typing import Any

from run_records import BY_PATIENT, join, table, terms

from benchmark.judge.answers import Answer, answers, questions
from benchmark.judge.judgement import USUAL, Judgement
from benchmark.runs.collect import Collected

PATIENTS = ["a", "a", "b", "b"]
NO_RUNS = table({1: [0.5] * 4}, PATIENTS, dataset_id="unlike any")
SMALL = {"height": 256, "width": 256}


def flat(dice: float, **changes: Any) -> Collected:
    """Two seeds 0.02 apart, all slices alike."""
    return table({1: [dice - 0.01] * 4, 2: [dice + 0.01] * 4}, PATIENTS, **changes)


def arm(name: str, dice: float, **changes: Any) -> Collected:
    own = {"arm": name, "params": "{}", "kernel_size": None, "alpha": float("nan")}
    return flat(dice, **{**own, **changes})


def judged(*user: Collected, ours: Collected = NO_RUNS) -> Judgement:
    return Judgement(join(*user), *terms(), ours)


def first(judgement: Judgement) -> Answer:
    return questions(judgement)[0]


COST = {"timing.fit_seconds": 150.0, "parameters": 1_230_000, "fit.stop_epoch": 19,
        "timing.train_gflop_per_image": 30.0}  # fmt: skip


def test_one_arm_in_sentences() -> None:
    """0.10 on every slice; 4.302653 x sqrt(0.0002) = 0.060849; 30 GFLOP x 482 images x 20."""
    answer = first(judged(arm("my-arm", 0.91, **COST), ours=flat(0.81)))
    assert (answer.question, answer.verdict) == ("How do your arms do?", "my-arm: better")
    compared, cost = answer.lines
    assert compared == (
        "my-arm on cheng-meningioma, protocol thesis, 512x512, fp32: mean Dice 0.910 against 0.810 "
        "of unet 5x5, alpha 0.5 (ours); difference +0.100, 95% interval +0.039 to +0.161, on the "
        "same 4 slices of 2 patients; trainings: 2 against 2; p = 0.019 after Holm's correction."
    )
    assert cost == (
        "One training of my-arm: 1.23 M parameters, 30.0 GFLOP an image, 0.289 PFLOP, 2.5 min; of "
        "unet 5x5, alpha 0.5 (ours): 7.36 M parameters, 1.0 min on another machine."
    )


def test_a_mean_is_of_the_splits_in_common() -> None:
    """Ours on draws 1 and 2, of Dice 0.81 and 0.21; the arm on draw 1 alone, its trainings too."""
    there = flat(0.21, split_id="by-image-2", first_slice=10)
    (compared, _) = questions(judged(arm("mine", 0.91), flat(0.81), there))[-1].lines
    assert "mean Dice 0.910 against 0.810 of unet 5x5, alpha 0.5;" in compared
    assert "trainings: 2 against 2;" in compared


def test_several_arms_are_named_and_many_are_counted() -> None:
    """0.15 apart with an SE of 0.01414 and 2 degrees of freedom: p = 0.0088, 0.026 after Holm."""
    three = [arm("a", 0.96), arm("b", 0.66), arm("c", 0.81)]
    verdict = first(judged(*three, ours=flat(0.81))).verdict
    assert verdict == "a: better, c: undecided, b: worse"
    found = first(judged(*three, arm("d", 0.99, needs_click=True), ours=flat(0.81)))
    assert found.verdict == "1 better, 1 undecided, 1 worse, 1 not ranked"
    assert len(found.lines) == 8


def test_an_arm_under_two_sets_of_terms_is_told_apart() -> None:
    user = arm("mine", 0.91, **SMALL), arm("mine", 0.71)
    found = first(judged(*user, ours=join(flat(0.81), flat(0.81, **SMALL))))
    assert found.verdict == "mine at 256x256 fp32: better, mine at 512x512 fp32: worse"


def test_a_difference_that_cannot_be_told_says_why() -> None:
    """One seed of each."""
    own = {"arm": "mine", "params": "{}", "kernel_size": None, "alpha": float("nan")}
    single = table({1: [0.9] * 4}, PATIENTS, **own)
    found = first(judged(single, ours=table({1: [0.8] * 4}, PATIENTS)))
    assert found.verdict == "mine: undecided"
    why = "no cell was trained from two seeds, so the variation between trainings is unknown."
    assert found.lines[0].endswith(f": mean Dice 0.900; {why}")


def test_without_a_reference_nothing_is_known_and_the_panel_is_named() -> None:
    found = judged(arm("mine", 0.91, **SMALL), ours=flat(0.81))
    assert first(found).verdict == "not known yet"
    (line,) = first(found).lines
    assert line.startswith("cheng-meningioma, protocol thesis, 256x256, fp32: no verdict")
    assert [panel.title for panel in found.without_reference] == [line.split(":")[0]]


def test_a_missing_number_of_the_thesis_is_no_answer_beside_other_arms() -> None:
    """The answer on the arms stands alone; tables begin with theirs; 0.898 is there when asked."""
    found = judged(arm("mine", 0.91), ours=flat(0.81))
    assert [answer.question for answer in questions(found)] == ["How do your arms do?"]
    assert found.usual == ("arms", "runs")
    assert any("mean test Dice" in row.quantity for row in found.rows)


def test_what_other_arms_lose_by_patient_is_answered_too() -> None:
    found = judged(arm("mine", 0.91), arm("mine", 0.81, **BY_PATIENT), ours=flat(0.81))
    _, *others = (answer.question for answer in questions(found))
    assert others == ["How high is the score when no patient is in both train and test?"]
    assert found.usual == ("arms", "patients", "runs")


def test_where_the_thesis_can_be_judged_the_arms_come_fourth_and_their_tables_first() -> None:
    found = judged(arm("mine", 0.91), flat(0.81))
    assert [line[:3] for line in answers(found) if line[0] != " "] == ["1. ", "2. ", "3. ", "4. "]
    assert questions(found)[0].question == "Does 0.898 hold?"
    assert questions(found)[3].verdict == "mine: better"
    assert found.usual == ("arms", *(name for name in USUAL if name != "arms"))


def test_long_names_keep_within_a_terminal() -> None:
    long = [arm(f"{'very-long-' * 5}{letter}", 0.9) for letter in "abc"]
    lines = answers(judged(*long, ours=flat(0.81)))
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("1. How do your arms do? ")
