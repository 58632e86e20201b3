"""The three answers in words, whatever was run, and what each is made of."""

from __future__ import annotations

import re

import pytest
from judged_runs import EMPTY, NO_CELL, PATIENTS, RUNS, SMALL, judge, judged, some
from run_records import BY_PATIENT, join, table, terms

from benchmark.judge.answers import NO_EFFECT, answers, questions
from benchmark.judge.claims.predicates import CHECKS
from benchmark.judge.judgement import Judgement

THIRTY = [f"p{i}" for i in range(30)]


@pytest.mark.parametrize("runs", RUNS)
def test_there_are_always_three_answers(runs: str) -> None:
    """And a fourth where the thesis's cell tested slices that were read twice."""
    found = judged(runs)
    lines, numbers = answers(found), ["1.", "2.", "3.", "4."]
    expected = numbers if found.reference_against_reader else numbers[:3]
    assert [line[:2] for line in lines if not line.startswith("   ")] == expected
    assert max(map(len, lines)) <= 100
    assert all(line.endswith(".") for answer in questions(found) for line in answer.lines)


def test_no_run_is_told() -> None:
    assert answers(judge(EMPTY)) == [
        "1. Does 0.898 hold? missing.",
        "   not run yet.",
        "2. Do its claims hold? not testable yet.",
        "   Nothing has been run with the thesis's settings.",
        "3. How high is the score when no patient is in both train and test? not known yet.",
        f"   {NO_EFFECT}",
    ]


def first(found: Judgement) -> str:
    """The first answer in one line."""
    answer = questions(found)[0]
    return f"{answer.verdict}: {' '.join(answer.lines)}"


def test_the_first_answer_is_the_verdict() -> None:
    """Phantoms are not comparable; one seed is too few; three at 0.898 +- 0.001 hold."""
    assert first(judge(RUNS["phantoms"])) == "not comparable: drawn phantoms, not slices."
    few = "inconclusive: 1 of the 3 seeds that a verdict needs have been run (fp32)."
    assert first(judge(some(1))).startswith(few)
    three = {1: [0.897] * 4, 2: [0.898] * 4, 3: [0.899] * 4}
    told = first(judge(table(three, PATIENTS)))
    split = "the interval for another random split of the same slices, 0.898 +- 0.014 (fp32). "
    assert told.startswith(f"reproduced: 0.898 lies in {split}")
    assert "(fp32). For other patients, which decides nothing: 0.898 +- 0.014. Severity, " in told
    assert "times in 100. Equality is shown only to within " in told


def test_the_margin_of_equivalence_by_hand() -> None:
    """s^2 / 3 = 0.000001 / 3 of three seeds, df 2, no variance between patients, training sets of
    SD 0.005, known: SE 0.0050332, and so many df that t(0.95) = 1.645.

    |0.908 - 0.898| + 1.645 x 0.0050332 = 0.018280.
    """
    three = {1: [0.907] * 4, 2: [0.908] * 4, 3: [0.909] * 4}
    assert " Equality is shown only to within 0.018 " in first(judge(table(three, PATIENTS)))


def claims_of(found: Judgement) -> tuple[str, ...]:
    return questions(found)[1].lines


def test_the_second_answer_says_each_claim_once() -> None:
    """Those judged by sentence, id and terms; those that no run can test by ids, in one line; the
    check, which is not counted, last and apart.
    """
    ids = {claim.id: claim.statement for claim in terms()[0].claims}
    *judged, waiting, check, rule = claims_of(
        judge(join(some(**SMALL), some(), some(precision="bf16")))
    )
    named = [name for name in ids if any(f"({name}; " in line for line in judged)]
    assert len(judged) == len(named) == 2
    assert all(any(f'"{ids[name]}" ({name}; at ' in line for line in judged) for name in named)
    assert set(waiting.split(": ")[1].split(" (")[0].split(", ")) == {*ids} - {*named} - CHECKS
    assert check.startswith("Not counted, a check that follows from the loss whatever the data: ")
    assert "(alpha-direction; at " in check
    nearest = "at the image size and precision nearest the thesis's"
    assert rule.startswith(f"Each claim is judged once, {nearest}")
    assert rule.endswith("; no verdict rests on single trainings.")


def test_a_claim_is_judged_where_the_terms_are_nearest_the_thesis_s() -> None:
    """Image size first, then precision; farther off only where it cannot be tested nearer."""
    lower = [
        some(precision="bf16", params=f'{{"alpha":{alpha},"kernel_size":5}}', alpha=alpha, **SMALL)
        for alpha in (0.5, 0.6, 0.4)
    ]
    found = judge(join(some(height=128, width=128), *lower, some(**SMALL)))
    titles = [panel.title.split(", ", 2)[2] for panel, _ in found.claims]
    assert titles == ["256x256, fp32", "256x256, bf16", "128x128, fp32"]
    at = {judged.claim.id: panel.title for panel, judged in found.claims_once}
    assert at["small-tumours"].endswith("256x256, fp32")
    assert at["alpha-direction"].endswith("256x256, bf16")
    assert at["vessels-excluded"].endswith("256x256, fp32")  # testable nowhere


def test_a_claim_says_what_it_would_come_to_if_alpha_was_swapped() -> None:
    """Sensitivity rises, precision falls by 0.1 from alpha 0.4 to 0.6; seeds are 0.01 apart."""

    def measures(i: int, seed: int) -> dict[str, list[float]]:
        up, down = 0.5 + i / 10 + seed / 100, 0.5 - i / 10 + seed / 100
        return {"sensitivity": [up] * 4, "precision": [down] * 4}

    parts = [
        table({seed: [0.8] * 4}, PATIENTS, alpha=a, params=f"5 {a}", measures=measures(i, seed))
        for i, a in enumerate((0.4, 0.6))
        for seed in (0, 1)
    ]
    said = next(line for line in claims_of(judge(join(*parts))) if "alpha-direction" in line)
    assert ' the data: confirmed: "' in said
    terms = "(alpha-direction; at 512x512, fp32; contradicted if alpha was swapped)."
    assert said.endswith(f'." {terms}')
    same = next(line for line in claims_of(judge(some())) if "small-tumours" in line)
    assert same.endswith("(small-tumours; at 512x512, fp32).")


def test_the_third_answer_is_the_difference_on_common_slices() -> None:
    """Every slice 0.10 better by image; the half width is derived in test_split_effect.py."""
    by_image = table({1: [0.90] * 4, 2: [0.92] * 4}, PATIENTS)
    by_patient = table({1: [0.80] * 4, 2: [0.82] * 4}, PATIENTS, **BY_PATIENT)
    (line,) = questions(judge(join(by_image, by_patient)))[2].lines
    assert line == (
        "unet 5x5, alpha 0.5 on cheng-meningioma at 512x512, fp32: 0.810 split by patient, 0.910 "
        "split by image, on the same 4 slices; by image minus by patient +0.100, 95% interval "
        "+0.039 to +0.161."
    )


def test_the_third_answer_says_how_little_the_median_slice_differs() -> None:
    """Of eight patients with a slice each, seven differ by 0 and one by 0.4: a mean of 0.05."""
    eight = [f"p{i}" for i in range(8)]
    image, patient = (
        {seed: [0.5 + seed / 100] * 7 + [last + seed / 100] for seed in (1, 2)}
        for last in (0.5, 0.1)
    )
    found = judge(join(table(image, eight), table(patient, eight, **BY_PATIENT)))
    (line,) = questions(found)[2].lines
    assert "by image minus by patient +0.050, " in line
    assert line.endswith(
        " Beside the leak four things differ, and the median slice differs by +0.000 "
        "(compare --section variance)."
    )


def test_the_third_answer_counts_one_other_cell_that_was_run_both_ways() -> None:
    other = {"params": '{"alpha":0.6,"kernel_size":5}', "alpha": 0.6}
    ways = [some(1, **part, **way) for part in ({}, other) for way in ({}, BY_PATIENT)]
    _, last = questions(judge(join(*ways)))[2].lines
    assert last == "1 other was run both ways (compare --section patients)."


def test_the_third_answer_without_two_seeds_gives_the_means_and_says_so() -> None:
    (line,) = questions(judge(join(some(1), some(1, **BY_PATIENT))))[2].lines
    means = "0.600 split by patient, 0.600 split by image, on the same 4 slices"
    assert f"{means}; an interval needs two known" in line


@pytest.mark.parametrize("runs", RUNS)
def test_a_verdict_in_words_counts_every_claim(runs: str) -> None:
    """Of the panel that stands first, those that cannot be tested yet among them; no check."""
    found = judge(RUNS[runs])
    verdict = questions(found)[1].verdict
    counted = sum(int(number) for number in re.findall(r"\d+", verdict))
    assert counted == (len(found.reference.claims) - len(CHECKS) if found.claims else 0)
    assert found.claims or verdict == "not testable yet"


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.0305, "lower by patient"), (-0.0305, "higher by patient"), (0.0303, "undecided"),
     (-0.0303, "undecided")],
)  # fmt: skip
def test_what_is_left_is_said_by_the_side_of_zero_that_the_interval_is_on(
    shift: float, verdict: str
) -> None:
    """Thirty patients, alike; two seeds 0.01 apart: 4.302653 x sqrt(0.00005) = 0.030424."""
    image, patient = ({s: [0.6 + at + s / 100] * 30 for s in (1, 2)} for at in (shift, 0.0))
    found = judge(join(table(image, THIRTY), table(patient, THIRTY, **BY_PATIENT)))
    assert questions(found)[2].verdict == verdict


def test_what_is_left_is_said_first_of_the_thesiss_cell_nearest_its_terms() -> None:
    """Otsu and the cell at 256 pixels are higher by patient; that at 512 is lower and answers."""
    otsu = {"arm": "otsu", **NO_CELL}
    parts = [
        table({seed: [dice + seed / 100] * 30 for seed in (1, 2)}, THIRTY, **changes, **ways)
        for changes, by_image in (({}, 0.9), (SMALL, 0.3), (otsu, 0.3), (otsu | SMALL, 0.3))
        for ways, dice in (({}, by_image), (BY_PATIENT, 0.6))
    ]
    answer = questions(judge(join(*parts)))[2]
    assert answer.verdict == "lower by patient"
    *own, others = answer.lines
    said = [line.split(" on ")[0] + line.split(" at ")[1][:4] for line in own]
    assert said == ["unet 5x5, alpha 0.5512x", "unet 5x5, alpha 0.5256x"]
    assert others == "2 others were run both ways (compare --section patients)."


def test_phantoms_answer_nothing_about_patients() -> None:
    assert questions(judged("phantoms"))[2].verdict == "not known yet"
    _, effects = judged("phantoms").patients()  # which shows them, and calls them so
    assert effects.texts["data"][0] == "phantoms"
