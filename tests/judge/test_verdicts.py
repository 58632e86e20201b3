"""Verdicts on the printed numbers, with every expected value derived by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from run_records import COUNTS, halves, join, squares, table, terms, varied, write_run
from scipy import stats

import benchmark.runs.collect as collecting
from benchmark.errors import RecordError
from benchmark.judge.cells import cell_of
from benchmark.judge.comparable import progress
from benchmark.judge.comparisons.runs import runs_tables
from benchmark.judge.reference import Reference, Tolerances
from benchmark.judge.verdicts import (
    Verdict,
    VerdictRow,
    exit_code,
    judge_dice,
    judge_printed_numbers,
    judged,
    verdict_table,
)
from benchmark.runs.collect import Collected, collect

PATIENTS = ["a", "a", "b", "b"]
DICE = "mean test Dice, 5x5, alpha 0.5"


def bare() -> tuple[Reference, Tolerances]:
    """The terms without the constant for training sets, so that seeds and slices are worked out by
    hand; `test_one_draw_takes_the_stated_sd_of_training_sets` is on it.
    """
    reference, rules = terms()
    return reference, replace(rules, dice=replace(rules.dice, training_set_sd=0.0))


def row(
    collected: Collected, quantity: str = DICE, *, printed: float | None = None, **rule: Any
) -> VerdictRow:
    """One row of the comparison; printed and rule change the reference's Dice and the Dice rule."""
    reference, rules = bare()
    if printed is not None:
        reference = replace(reference, best_cell=replace(reference.best_cell, dice_mean=printed))
    rules = replace(rules, dice=replace(rules.dice, **rule))
    rows = judge_printed_numbers(collected, reference, rules).rows
    (found,) = [row for row in rows if row.quantity == quantity]
    return found


def good(
    dice: float = 0.898, seeds: int = 3, patients: Any = PATIENTS, **changes: Any
) -> Collected:
    """Comparable runs of the printed cell, seeds 0.01 apart, unless changed."""
    return table(spread(dice, 0.01, seeds), patients, **changes)


def once(**changes: Any) -> Collected:
    """One comparable run."""
    return table({1: [0.5] * 4}, PATIENTS, **changes)


# The verdict on the Dice.


def spread(middle: float, apart: float, seeds: int = 3) -> dict[int, list[float]]:
    """Equal slices, seeds `apart` around middle: half 4.302653 apart sqrt(2/3) = 3.513 apart."""
    return {seed: [middle + apart * (seed - (seeds - 1) / 2)] * 4 for seed in range(seeds)}


@pytest.mark.parametrize(
    ("middle", "apart", "seeds", "verdict"),
    [
        (0.898, 0.010, 3, Verdict.REPRODUCED),
        (0.8641, 0.010, 3, Verdict.REPRODUCED),  # 0.0339 away, within 0.0351
        (0.8624, 0.010, 3, Verdict.REPRODUCED),  # 0.0356 away, within 0.0351 + 0.0005
        (0.8623, 0.010, 3, Verdict.NOT_REPRODUCED),  # 0.0357 away
        (0.9337, 0.010, 3, Verdict.NOT_REPRODUCED),  # better is not reproduced either
        (0.5, 0.010, 2, Verdict.INCONCLUSIVE),  # two seeds
        (0.898, 0.010, 1, Verdict.INCONCLUSIVE),
        (0.898, 0.018, 3, Verdict.INCONCLUSIVE),  # +- 0.063: "not different" is not "reproduced"
        (0.5, 0.018, 3, Verdict.NOT_REPRODUCED),  # as wide, but wholly elsewhere
    ],
)
def test_a_dice_is_judged_by_the_interval_for_another_split(
    middle: float, apart: float, seeds: int, verdict: Verdict
) -> None:
    found = row(table(spread(middle, apart, seeds), PATIENTS))
    assert found.verdict is verdict, found.why
    assert (found.ours, found.n) == (pytest.approx(middle), seeds)
    sd = {1: None, 2: pytest.approx(apart * math.sqrt(0.5)), 3: pytest.approx(apart)}
    assert found.sd == sd[seeds]
    words = {Verdict.REPRODUCED: "lies in the", Verdict.NOT_REPRODUCED: "lies outside the"}
    says = words.get(verdict, "wider")
    assert (f"{seeds} of the 3 seeds" if seeds < 3 else says) in found.why


def test_the_interval_for_other_patients_stands_beside_and_decides_nothing() -> None:
    """Patients at 0.78 and 0.98, seeds 0.01 apart: clustered 0.01, df 1, twice, so +- 1.8; slices
    2 S^2 (1/4 - 1/708) with S^2 = 4 x 0.01 / 3, kurtosis 1, df 3.
    """
    dice = {seed: [0.78 + off] * 2 + [0.98 + off] * 2 for seed, off in enumerate((-0.01, 0, 0.01))}
    found = row(table(dice, PATIENTS), printed=0.5, max_half_width=1)
    v, seeds = 2 * 0.04 / 3 * (1 / 4 - 1 / 708), 0.0001 * 2 / 3
    df = (v + seeds) ** 2 / (v**2 / 3 + seeds**2 / 2)
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(v + seeds))
    assert found.other_patients
    assert found.other_patients > 1.7
    assert found.verdict is Verdict.NOT_REPRODUCED
    assert "another random split of the same slices, 0.880 +- 0.258 (fp32)" in found.why


def test_any_cell_can_be_judged_as_the_printed_one_is() -> None:
    """The row of a verdict, with another cell's numbers in it: four trainings, say."""
    made, (reference, rules) = good(seeds=4), bare()
    again = judged(row(good()), cell_of(made.runs, made), reference, rules.dice)
    assert again == row(made)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"phantom": True}, "drawn phantoms, not slices"),
        ({"dataset_id": "another"}, "other slices"),
        ({"protocol_hash": "x"}, "other settings than protocol 'thesis'"),
        ({"height": 256, "width": 256}, "image size 256x256"),
        ({"width": 256}, "image size 512x256"),
        ({"height": 256}, "image size 256x512"),
        ({"precision": "bf16"}, "precision bf16"),
        ({"split_id": "by-patient-2"}, "not one of the splits by image shipped here"),
        ({"test": pd.NA}, "not one of the splits by image shipped here"),
    ],
)
def test_what_is_not_comparable(changes: dict[str, Any], why: str) -> None:
    found = row(good(**changes))
    assert (found.verdict, found.ours, found.n) == (Verdict.NOT_COMPARABLE, None, 0)
    assert why in found.why


def test_each_reason_why_runs_are_not_comparable_is_said_once() -> None:
    found = row(join(good(height=256, width=256), good(phantom=True)))
    assert found.why == "drawn phantoms, not slices; image size 256x256"


@pytest.mark.parametrize("changes", [{"arm": "attention_unet"}, {"kernel_size": 3}, {"alpha": 0.6}])
def test_other_arms_and_cells_say_nothing_of_the_printed_one(changes: dict[str, Any]) -> None:
    assert row(good(**changes)).verdict is Verdict.MISSING


def test_runs_that_may_not_be_compared_leave_the_mean_alone() -> None:
    assert row(join(good(), good(0.1, height=256, width=256))).ours == pytest.approx(0.898)


def test_every_draw_with_its_three_seeds_is_judged_in_one_mean() -> None:
    """Draws at 0.88 and 0.92: mean 0.90 over six trainings; a third of two seeds is left out."""
    two = good(0.92, 3, [*"ccdd"], split_id="by-image-5", first_slice=10)
    less = good(0.5, 2, [*"eeff"], split_id="by-image-3", first_slice=20)
    found = row(join(good(0.88), two, less))
    assert (found.ours, found.n) == (pytest.approx(0.90), 6)
    assert found.why.endswith("(2 draws, fp32)")


@pytest.mark.parametrize(("first", "second", "ours"), [(1, 2, 0.92), (2, 2, 0.88)])
def test_without_a_draw_of_three_seeds_the_fullest_is_shown_then_the_first_by_the_rule(
    first: int, second: int, ours: float
) -> None:
    found = row(join(good(0.92, second, split_id="by-image-2", first_slice=10), good(0.88, first)))
    assert (found.ours, found.n, found.verdict) == (pytest.approx(ours), 2, Verdict.INCONCLUSIVE)


def test_the_printed_mean_is_of_three_seeds_however_many_ours_is_of() -> None:
    """Four seeds 0.01 apart: s^2 = 0.0005 / 3, df 3: 3.182446 sqrt(s^2 (1/4 + 1/3)) = 0.031379."""
    assert row(good(seeds=4)).half_width == pytest.approx(0.031379, abs=1e-6)


def test_one_draw_takes_the_stated_sd_of_training_sets() -> None:
    """0.005, ours and another's: 0.00005 known, beside 0.0001 2/3 of the seeds with df 2."""
    assert terms()[1].dice.training_set_sd == 0.005
    found = row(good(), training_set_sd=0.005)
    v, seeds = 0.00005 + 0.0002 / 3, 0.0002 / 3
    half_width = stats.t.ppf(0.975, v**2 / (seeds**2 / 2)) * math.sqrt(v)
    assert found.half_width == found.other_patients == pytest.approx(half_width)


def test_two_precisions_never_share_a_mean() -> None:
    """The one with more seeds is judged; as many: fp32."""
    three = good(0.9, precision="tf32")
    found = row(join(good(0.8, 2), three))
    assert (found.ours, found.n) == (pytest.approx(0.9), 3)
    assert found.why.endswith("(tf32); left out: 2 in fp32")
    assert row(join(good(0.8), three)).ours == pytest.approx(0.8)


def test_one_full_draw_of_another_precision_does_not_outdo_several() -> None:
    """Two draws of three fp32 seeds are judged though draw 1 has four of tf32, which are told of;
    three full draws of tf32 are more.
    """
    fp32 = join(good(), good(split_id="by-image-2", first_slice=10))
    found = row(join(fp32, good(0.7, 4, precision="tf32")))
    assert (found.verdict, found.n) == (Verdict.REPRODUCED, 6)
    assert found.why.endswith("(2 draws, fp32); left out: 4 in tf32")
    assert "left out" not in row(fp32).why
    tf32 = [
        good(0.7, precision="tf32", split_id=f"by-image-{i}", first_slice=10 * i) for i in (1, 2, 3)
    ]
    assert row(join(fp32, *tf32)).why.endswith("(3 draws, tf32); left out: 6 in fp32")


def test_single_runs_of_another_precision_take_nothing_away() -> None:
    """Three fp32 seeds on draw 1 are judged though four draws have one tf32 seed each."""
    single = [
        good(0.9, 1, precision="tf32", split_id=f"by-image-{i}", first_slice=10 * i)
        for i in (2, 3, 4, 5)
    ]
    found = row(join(good(), *single))
    assert (found.verdict, found.n) == (Verdict.REPRODUCED, 3)


@pytest.mark.parametrize(
    ("mean", "half_width"), [(math.nan, 0.01), (0.9, math.nan), (math.nan, math.nan)]
)
def test_what_is_no_number_is_never_reproduced(mean: float, half_width: float) -> None:
    assert judge_dice(mean, half_width, 3, 0.898, terms()[1].dice)[0] is Verdict.INCONCLUSIVE


def test_a_seed_that_ran_on_two_file_forms_counts_once() -> None:
    twice = row(join(good(0.90), good(0.92)))
    assert (twice.n, twice.ours) == (3, pytest.approx(0.91))


def test_seeds_on_different_slices_are_refused() -> None:
    whole = good()
    with pytest.raises(RecordError, match="test slices differ between runs"):
        row(replace(whole, scores=whole.scores.iloc[:-1]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split_fingerprint": "another"}, "two different splits are called by-image-1"),
        ({"patients": [*"abbb"]}, "a slice of by-image-1 is of two patients"),
    ],
)
def test_runs_that_disagree_on_what_they_were_tested_on_are_refused(
    changes: dict[str, Any], words: str
) -> None:
    other = table({2: [0.9] * 4}, **{"patients": PATIENTS, **changes})
    with pytest.raises(RecordError, match=f"runs run_s1_0, run_s2_1: {words}"):
        row(join(once(), other))


# Parameters and split sizes.


@pytest.mark.parametrize(("kernel", "count"), COUNTS.items())
def test_counts_that_round_to_the_printed_digit(kernel: int, count: int) -> None:
    name = f"parameters {kernel}x{kernel}, millions"
    other = {"height": 64, "width": 64, "protocol_hash": "any", "split_rule": "any"}
    own = other | {"kernel_size": kernel}
    near = row(once(parameters=count, **own), name)
    assert (near.verdict, near.why) == (Verdict.REPRODUCED, "differs by at most 0.05")
    off = row(once(parameters=count + 110_000, **own), name)
    assert (off.verdict, off.ours) == (Verdict.NOT_REPRODUCED, (count + 110_000) / 1e6)
    assert off.why == "differs by more than 0.05"


def test_counts_of_phantom_runs_or_other_networks_are_not_compared() -> None:
    name = "parameters 5x5, millions"
    assert row(once(phantom=True), name).verdict is Verdict.NOT_COMPARABLE
    assert row(once(network_hash="x"), name).why == "other network settings"
    assert row(once(), "parameters 3x3, millions").verdict is Verdict.MISSING
    assert row(once(arm="attention_unet"), name).verdict is Verdict.MISSING


def test_one_wrong_count_among_right_ones_is_shown() -> None:
    name = "parameters 5x5, millions"
    found = row(join(once(), once(parameters=9_000_000)), name)
    assert (found.verdict, found.ours, found.n) == (Verdict.NOT_REPRODUCED, 9.0, 2)
    fewer = join(once(), once(parameters=5_000_000))
    assert verdict_table([row(fewer, name)]).texts["ours"] == ["5.0000"]


def test_split_sizes_are_exact_and_any_arm_shows_them() -> None:
    other = {"arm": "otsu", "kernel_size": pd.NA, "height": 64, "width": 64}
    assert row(once(**other), "training images").verdict is Verdict.REPRODUCED
    found = row(once(val=121), "validation images")
    assert (found.verdict, found.why) == (Verdict.NOT_REPRODUCED, "not equal")
    for unit in ("patient", "image"):
        why = row(once(split_rule="x", split_unit=unit), "test images").why
        assert why == f"split by {unit}, by another rule than the thesis's"
    found = row(once(test=pd.NA), "test images")
    why = "not one of the splits shipped here, so its sizes are unknown"
    assert (found.verdict, found.why) == (Verdict.NOT_COMPARABLE, why)


# The whole.


def all_good() -> Collected:
    return join(good(), *(once(kernel_size=k, parameters=COUNTS[k]) for k in (3, 7, 9)))


def test_each_verdict_has_its_mark() -> None:
    assert "".join(verdict.marker for verdict in Verdict) == "+x?/-"


def test_exit_codes() -> None:
    rows = judge_printed_numbers(all_good(), *terms()).rows
    missing = judge_printed_numbers(collect(Path("nowhere")), *terms()).rows
    assert {r.verdict for r in rows} == {Verdict.REPRODUCED}
    assert {r.verdict for r in missing} == {Verdict.MISSING}
    for some in (rows, missing):
        assert [(r.required, r.set_up) for r in some] == [(True, True)] * 7 + [(True, False)]
    unsure = [[replace(rows[0], verdict=v)] for v in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE)]
    bad = [replace(rows[0], verdict=Verdict.NOT_REPRODUCED), *rows[1:]]
    free = [replace(bad[0], required=False), *rows[1:]]
    for some, usual, strict in (
        (rows, 0, 0), (missing, 0, 1), (bad, 1, 1), (free, 0, 0), *((few, 0, 1) for few in unsure),
    ):  # fmt: skip
        assert (exit_code(some), exit_code(some, strict=True)) == (usual, strict)


def test_the_text_shows_numbers_verdicts_and_their_count() -> None:
    made = verdict_table(judge_printed_numbers(all_good(), *bare()).rows)
    text = made.render()
    line = next(line for line in text.splitlines() if DICE.split(",")[0] in line)
    assert line.split()[0] == "+"
    for word in ("0.898", "0.8980", "reproduced"):
        assert word in line
    line = next(line for line in made.render("markdown").splitlines() if DICE in line)
    for word in ("0.898", "0.8980", "0.0100", "0.0351", " 3 ", "reproduced", "(fp32)"):
        assert word in line
    assert "Network and split, which were built to match: 7 reproduced." in text
    assert "Result: 1 reproduced. The thesis's 0.898 is the best of 36 cells" in text
    assert "Result: no rows." in verdict_table([]).render()


def test_progress_counts_trainings_on_the_thesis_terms() -> None:
    """Three seeds of one cell, one of three others; other draws, sizes and alphas add nothing."""
    small = {"height": 256, "width": 256}
    extra = (
        table({9: [0.5] * 4}, PATIENTS),
        table({2: [0.5] * 4}, PATIENTS, split_id="by-image-2", kernel_size=3),
        table({2: [0.5] * 4}, PATIENTS, kernel_size=3, **small),
        once(alpha=0.55),
    )
    more = progress(join(all_good(), *extra), *terms())
    assert more.startswith("Run so far: 6 of the 108 trainings")
    assert progress(all_good(), *terms()).endswith("1 of 36 cells have all 3 seeds.")


def test_from_folders_to_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8, 8 and 9 rows of 10 found: Dice 16/18, 16/18, 18/19; the reference has these numbers."""
    slices = squares()
    split = halves(slices)
    monkeypatch.setattr(collecting, "shipped_splits", lambda: {split.fingerprint: split})
    for seed, rows in ((1, 8), (2, 8), (3, 9)):
        write_run(tmp_path, slices, split, seed=seed, rows=rows)
    write_run(tmp_path, slices, split, seed=4, rows=1, recipe=varied(training__learning_rate=0.1))
    found = collect(tmp_path)
    reference, rules = own_terms(slices.dataset_id, (16 / 18 + 16 / 18 + 18 / 19) / 3)
    rules = replace(rules, dice=replace(rules.dice, training_set_sd=0.0))
    rows = {r.quantity: r for r in judge_printed_numbers(found, reference, rules).rows}
    assert rows[DICE].ours == pytest.approx(0.908382, abs=1e-6)
    # s = (18/19 - 16/18) / sqrt(3) = 0.033762; +- 4.302653 s sqrt(2/3) = 0.118610
    assert rows[DICE].half_width == pytest.approx(0.118610, abs=1e-5)
    assert rows[DICE].verdict is Verdict.INCONCLUSIVE
    for quantity in ("test images", "parameters 5x5, millions"):
        assert rows[quantity].verdict is Verdict.REPRODUCED


def own_terms(dataset_id: str, dice: float) -> tuple[Reference, Tolerances]:
    reference, rules = terms()
    cell = replace(reference.best_cell, dice_mean=dice)
    sizes = {"train": 3, "val": 1, "test": 4}
    return replace(reference, dataset_id=dataset_id, best_cell=cell, split_sizes=sizes), rules


# The table of results.


def test_results_average_over_seeds() -> None:
    """Means 0.8 and 0.6, one slice missed: mean 0.7, SD 0.1414, detected (0.8 + 0.8) / 2."""
    (block,) = runs_tables(table({1: [0.8] * 4, 2: [0.8, 0.8, 0.8, 0.0]}, PATIENTS))
    (found,) = block.records
    assert (found["seeds"], found["missed"], found["slices"]) == (2, 1, 8)
    expected = {
        "dice_mean": 0.7,
        "dice_sd": 0.2 / math.sqrt(2),
        "slices_sd": 0.4 / 2,  # 0 and 0.4: deviations .2 .2 .2 -.6, sqrt(0.48 / 3) = 0.4
        "dice_mean_detected": 0.8,
        "dice_mean_by_patient": (0.8 + (0.8 + 0.4) / 2) / 2,
        "fit_minutes": 1,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


OTHER = {"phantom": True, "dataset_id": "x", "protocol_hash": "x", "height": 9, "precision": "tf32"}


@pytest.mark.parametrize("name", OTHER)
def test_terms_never_share_a_table(name: str) -> None:
    both = runs_tables(join(once(), once(**{name: OTHER[name]})))
    assert [len(made.records) for made in both] == [1, 1]


@pytest.mark.parametrize("changes", [{"split_id": "by-image-2"}, {"split_fingerprint": "x"}])
def test_splits_never_share_a_row(changes: dict[str, Any]) -> None:
    (made,) = runs_tables(join(once(), table({2: [0.9] * 4}, PATIENTS, **changes)))
    assert sorted(row["dice_mean"] for row in made.records) == pytest.approx([0.5, 0.9])


def test_arms_that_saw_a_click_are_marked_and_last() -> None:
    grower = once(arm="a_grower", params="{}", needs_click=True, seed=pd.NA)
    (block,) = runs_tables(join(grower, once()))
    assert block.texts["arm"] == ["unet", "a_grower (click)"]
    assert block.render("markdown").splitlines()[-1].startswith("(click): semi-automatic")
    assert "(click)" not in runs_tables(once())[0].render()


def test_a_block_names_its_conditions_and_no_run_is_said() -> None:
    (block,) = runs_tables(once())
    assert "protocol thesis" in block.title
    assert "512x512, fp32" in block.title
    assert block.texts["split"] == ["by-image-1"]
    assert runs_tables(collect(Path("nowhere"))) == []
