"""By image against by patient on the slices of both; the first numbers are derived by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from run_records import join, table, terms
from scipy import stats

from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.split_effect import SplitEffect, split_effect_table, split_effects
from benchmark.judge.statistics.estimate import clustered_mean
from benchmark.runs.collect import Collected

RULE = terms()[1].split_effect
PROTOCOL = terms()[1].protocol_hash
LEVEL = {1: -0.01, 2: 0.01}  # of a seed: s^2 = 0.0002 between two
FOLD = {"split_unit": "patient", "split_id": "by-patient-1", "protocol_hash": "feed"}


def by_image(dice: list[float] | None = None, **changes: Any) -> Collected:
    """Slices 0 to 5 of patients a, b and c; those of a, which no fold tests, of another Dice."""
    values = dice or [0.11, 0.11, 0.91, 0.91, 0.91, 0.91]
    changes = {"patients": list("aabbcc"), "seeds": (1, 2), **changes}
    seeds = changes.pop("seeds")
    return table({s: [x + LEVEL.get(s, 0.3) for x in values] for s in seeds}, **changes)


def by_patient(dice: list[float] | None = None, **changes: Any) -> Collected:
    """Slices 2 to 7 of patients b, c and d."""
    own = {**FOLD, "protocol": "patient", "first_slice": 2, "patients": list("bbccdd")}
    return by_image(dice or [0.81, 0.81, 0.81, 0.81, 0.21, 0.21], **{**own, **changes})


def first_record(effect: SplitEffect) -> Any:
    return split_effect_table([effect], RULE).records[0]


def draws_and_folds(effect: SplitEffect) -> tuple[int, int]:
    record = first_record(effect)
    return record["draws"], record["folds"]


def the_effect(*parts: Collected) -> SplitEffect:
    (effect,) = split_effects(join(*parts))
    return effect


def test_an_effect_by_hand() -> None:
    """0.10 on each of four. v = s^2 (1/2 + 1/2) = 0.0002, df 2: 4.302653 sqrt(v) = 0.060849."""
    effect = the_effect(by_image(), by_patient())
    assert (effect.slices, effect.patients, effect.seeds) == (4, 2, (1, 2))
    assert effect.difference is not None
    assert effect.difference.value == pytest.approx(0.1)
    assert effect.difference.half_width(0.95) == pytest.approx(0.060849, abs=1e-6)
    row = first_record(effect)
    assert (row["dice_image"], row["dice_patient"]) == pytest.approx((0.91, 0.81))
    assert (row["low"], row["high"]) == pytest.approx((0.039151, 0.160849), abs=1e-6)


def test_a_slice_is_the_same_whatever_split_tested_it() -> None:
    """Two draws and two folds: draw 1 meets fold 2 and draw 2 meets fold 1."""
    images = (
        by_image([0.91] * 2, patients=["b", "b"], first_slice=2),
        by_image([0.91] * 2, patients=["c", "c"], first_slice=4, split_id="by-image-2"),
    )
    folds = (
        by_patient([0.81] * 2, patients=["c", "c"], first_slice=4),
        by_patient([0.81] * 2, patients=["b", "b"], split_id="by-patient-2"),
    )
    effect = the_effect(*images, *folds)
    assert effect.difference is not None
    assert (effect.slices, effect.difference.value) == (4, pytest.approx(0.1))
    assert draws_and_folds(effect) == (2, 2)


def test_only_seeds_that_both_have_enter() -> None:
    """Seed 3, by image alone, scores 0.3 more; it is left out."""
    effect = the_effect(by_image(seeds=(1, 2, 3)), by_patient())
    assert effect.seeds == (1, 2)
    assert effect.difference is not None
    assert effect.difference.value == pytest.approx(0.1)


def test_a_seed_enters_on_the_slices_that_both_tested_with_it() -> None:
    """Seed 2 by patient tested slices 2 and 3 alone: by image the others, 0.30 more, are out."""
    effect = the_effect(
        by_image([0.11, 0.11, 0.91, 0.91, 0.91, 0.91], seeds=(1,)),
        by_image([0.11, 0.11, 0.91, 0.91, 1.21, 1.21], seeds=(2,)),
        by_patient(seeds=(1,)),
        by_patient([0.81] * 2, seeds=(2,), patients=["b", "b"], split_id="by-patient-2"),
    )
    assert effect.slices == 4
    assert len(effect.image.rows) == len(effect.patient.rows) == 6
    assert first_record(effect)["dice_image"] == pytest.approx((0.91 + 0.91 + 0.90 + 0.90) / 4)


def test_a_seed_that_met_few_slices_of_a_draw_leaves_an_interval() -> None:
    """Draws test a, b and c, d from two seeds; the fold of b, c has both, those of a and of d the
    first aleffect.

    A slice weighs 1/8, half of it for each of two seeds. By image: twice (3/8)^2 + (1/8)^2;
    by patient four times (1/4)^2: 0.5625 s^2 with s^2 = 0.0002; every difference is 0.1.
    """
    effect = the_effect(
        by_image([0.91] * 4, patients=[*"aabb"]),
        by_image([0.91] * 4, patients=[*"ccdd"], first_slice=4, split_id="by-image-2"),
        by_patient([0.81] * 4, patients=[*"bbcc"], first_slice=2),
        *(
            by_patient(
                [0.81] * 2, patients=[p] * 2, first_slice=i, seeds=(1,), split_id=f"fold-{p}"
            )
            for p, i in (("a", 0), ("d", 6))
        ),
    )
    assert len(effect.image.rows) == 12
    assert draws_and_folds(effect) == (2, 3)
    assert effect.difference
    assert effect.difference.value == pytest.approx(0.1)
    assert effect.difference.variance.value == pytest.approx(0.5625 * 0.0002)


def test_what_training_sets_bring_to_two_draws_is_the_stated_sd_not_what_they_show() -> None:
    """Draws at 0.8 and 1.0 by image, else equal: 0.005^2 / 2 stands beside the seeds' 0.0001."""
    both = join(
        by_image([0.8] * 4, patients=[*"aabb"]),
        by_image([1.0] * 4, patients=[*"ccdd"], first_slice=4, split_id="by-image-2"),
    )
    row = headline(both, *terms()).numbers.iloc[1]
    # patients: four of them, two at each value, s^2 / 4 = (4 x 0.01 / 3) / 4 with df 3; seeds
    # 0.0002 / 4, df 2
    parts = [(0.04 / 3 / 4, 3), (0.0002 / 4, 2), (SETS / 2, math.inf)]
    v = sum(part for part, _ in parts)
    df = v**2 / sum(part**2 / df for part, df in parts)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(stats.t.ppf(0.975, df) * v**0.5)


def test_an_effect_between_draws_and_folds_that_are_unlike_each_other_by_hand() -> None:
    """Fourteen slices of a, c (7), b (5) and d: draws of 11 and 3 at 0.8 and 0.9, folds of 8 and 6
    at 0.6 and 0.8.

    Seeds are 0.02 apart by image and 0.06 by patient: squares 2 x 0.0002 and 2 x 0.0018 over 4, s^2
    = 0.001, and i^2 = 0, since a seed moves all slices alike. Training sets, by the differences: on
    the draws they are 1.6 / 11 and 0.1, on the folds 0.2 and 0.05; what those vary, (1.6 / 11 -
    0.1)^2 / 2 and 0.15^2 / 2, less what their patients explain, on average of two, and less s^2 / 2
    (two seeds each); the mean of both kinds, for each half of it, two draws or folds.
    """
    patients = ["a", *"ccccccc", *"bbbbb", "d"]

    def part(dice: float, apart: float, first: int, end: int, name: str, **own: Any) -> Collected:
        names = patients[first:end]
        of = {1: [dice - apart / 2] * len(names), 2: [dice + apart / 2] * len(names)}
        return table(of, names, first_slice=first, split_id=name, **own)

    folds = {"split_unit": "patient", "protocol_hash": "feed"}
    effect = the_effect(
        part(0.8, 0.02, 0, 11, "by-image-1"),
        part(0.9, 0.02, 11, 14, "by-image-2"),
        part(0.6, 0.06, 0, 8, "by-patient-1", **folds),
        part(0.8, 0.06, 8, 14, "by-patient-2", **folds),
    )
    assert (effect.slices, effect.patients) == (14, 4)
    assert draws_and_folds(effect) == (2, 2)
    differences = np.array([0.2] * 8 + [0.0] * 3 + [0.1] * 3)

    def fresh(first: int, end: int) -> float:
        return clustered_mean(differences[first:end], patients[first:end]).variance.value

    by_image = (1.6 / 11 - 0.1) ** 2 / 2 - (fresh(0, 11) + fresh(11, 14)) / 2 - 0.0005
    by_patient = 0.15**2 / 2 - (fresh(0, 8) + fresh(8, 14)) / 2 - 0.0005
    r2 = (by_image + by_patient) / 2
    assert r2 > 0
    between = clustered_mean(differences, patients)
    parts = [
        (between.variance.value, between.variance.df),
        (0.001 * 2 * (11**2 + 3**2 + 8**2 + 6**2) / 28**2, 4),  # a training's is half its draw's
        (r2 * (1 / 2 + 1 / 2), 2),
    ]
    v = sum(part for part, _ in parts)
    assert effect.difference is not None
    assert effect.difference.value == pytest.approx(1.9 / 14)
    assert effect.difference.variance.value == pytest.approx(v)
    df = v**2 / sum(part**2 / df for part, df in parts)
    assert effect.difference.variance.df == pytest.approx(df)


def test_arms_without_seeds_have_their_patients_alone() -> None:
    """Differences 0.1, 0.1 | 0.3, 0.3: mean 0.2, SE 0.1, df 1: 12.7062 x 0.1 to each side."""
    image = by_image([0, 0, 0.8, 0.8, 0.8, 0.8], seeds=(None,))
    effect = the_effect(image, by_patient([0.7, 0.7, 0.5, 0.5, 0, 0], seeds=(None,)))
    assert effect.seeds == ()
    row = split_effect_table([effect], RULE).shown.iloc[0]
    interval = ["-", "+0.2000", "-1.071 to +1.471"]
    assert row[["seeds", "difference", "95% interval"]].tolist() == interval


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe_hash": "another"},
        {"height": 256, "width": 256},
        {"precision": "bf16"},
        {"dataset_id": "another"},
        {"phantom": True},
        {"arm": "attention-unet"},
        {"params": '{"alpha":0.6,"kernel_size":5}'},
        {"first_slice": 6},  # no common slice
        {"seeds": (7, 8)},  # no common seed
        {"split_unit": "cvind"},
    ],
)
def test_nothing_that_differs_in_more_than_the_split_is_paired(changes: dict[str, Any]) -> None:
    assert split_effects(join(by_image(), by_patient(**changes))) == []


def test_a_click_and_one_kind_of_split_are_no_pair() -> None:
    assert split_effects(join(by_image(needs_click=True), by_patient(needs_click=True))) == []
    assert split_effects(by_image()) == []


@pytest.mark.parametrize("patients", [[None] * 6, list("aabb") + [None] * 2])
def test_unknown_patients_leave_the_means_and_take_the_interval(patients: list[str | None]) -> None:
    folds = by_patient(patients=[*patients[2:], None, None])
    row = split_effect_table([the_effect(by_image(patients=patients), folds)], RULE).shown.iloc[0]
    known = row[["by image", "by patient", "difference", "95% interval"]].tolist()
    assert known == ["0.9100", "0.8100", "", ""]


def test_without_two_seeds_anywhere_there_is_no_interval() -> None:
    assert the_effect(by_image(seeds=(1,)), by_patient(seeds=(1,))).difference is None


def test_two_protocols_never_make_one_cell() -> None:
    """By image, Nyul's histogram of all images or of training images: one name of recipes."""
    runs = join(by_image(), by_image([0.5] * 6, protocol_hash="nyul"), by_patient())
    records = split_effect_table(split_effects(runs), RULE).records
    dice = {record["protocol_image"]: record["dice_image"] for record in records}
    assert dice == pytest.approx({"thesis": 0.91, "thesis (nyul)": 0.5})


def test_phantoms_are_called_so() -> None:
    made = split_effect_table([the_effect(by_image(phantom=True), by_patient(phantom=True))], RULE)
    assert made.texts["data"] == ["phantoms"]


# The three numbers that stand first

SEEDS = {1: [0.9, 0.7, 0.8, 0.0], 2: [0.7, 0.9, 0.6, 0.4]}
PATIENTS = ["a", "a", "b", "c"]


def first(collected: Collected) -> Any:
    return headline(collected, *terms()).numbers


def test_the_thesis_stands_first() -> None:
    row = first(table(SEEDS, PATIENTS)).iloc[0]
    assert row[["what", "split", "size"]].tolist() == ["thesis", "image", "512x512"]
    assert row[["seeds", "splits", "trainings", "slices", "dice"]].tolist() == [3, 1, 3, 106, 0.898]


def test_our_numbers_by_hand() -> None:
    """Slices averaged over seeds: 0.8, 0.8, 0.7, 0.2. Mean 0.625, median 0.75; patients 0.8, 0.7,
    0.2: 0.5667.

    The median of the eight scores would be 0.7, and so would the mean of the seeds' medians. One of
    eight is missed.
    """
    row = first(table(SEEDS, PATIENTS)).iloc[1]
    known = row[["dice", "median", "missed", "dice_by_patient"]].tolist()
    assert known == pytest.approx([0.625, 0.75, 0.125, 1.7 / 3])
    assert row[["seeds", "splits", "trainings", "slices", "patients"]].tolist() == [2, 1, 2, 4, 3]


def test_the_numbers_of_unlike_draws_by_hand() -> None:
    """Two seeds test slices 0 of a, 1 and 2 of b; one tests 2 again, and 3 of c. Means: 0.9, 0.2,
    0.6 | 0.2, 0.

    Slice 2 was tested thrice, 1.4 / 3, so the median of four slices is 1/3 and patient b's mean
    too. Missed: half of slice 1's tests and slice 3, of five slices in two draws.
    """
    again = table({1: [0.2, 0.0]}, ["b", "c"], first_slice=2, split_id="by-image-2")
    twice = table({1: [0.9, 0.0, 0.6], 2: [0.9, 0.4, 0.6]}, ["a", "b", "b"])
    row = first(join(twice, again)).iloc[1]
    assert row[["dice", "median", "missed"]].tolist() == pytest.approx([1.9 / 5, 1 / 3, 1.5 / 5])
    assert row["dice_by_patient"] == pytest.approx((0.9 + 1 / 3 + 0) / 3)
    assert row[["seeds", "splits", "trainings", "slices", "patients"]].tolist() == [2, 2, 3, 4, 3]


SETS = terms()[1].dice.training_set_sd ** 2  # of fewer than four draws or folds, known


def half_width(seeds: float, df: float, sets: float) -> float:
    """Of seeds' variance with df, and of training sets' that is known."""
    total = seeds + sets
    return float(stats.t.ppf(0.975, total**2 / (seeds**2 / df)) * total**0.5)


def test_the_headlines_interval_by_hand() -> None:
    """No variance between patients, s^2 = 0.0002 with df 1: half of it for two seeds. By image one
    training has the variance between seeds from those by patient.
    """
    both = {1: [0.8] * 4, 2: [0.82] * 4}
    pair = table(both, PATIENTS, **FOLD)
    row = first(join(table({1: [0.7] * 4}, PATIENTS), pair)).iloc[1]
    half = half_width(0.0002, 1, SETS)
    assert (row["low"], row["high"]) == pytest.approx((0.7 - half, 0.7 + half))
    row = first(table(both, PATIENTS)).iloc[1]
    half = half_width(0.0001, 1, SETS)
    assert (row["low"], row["high"]) == pytest.approx((0.81 - half, 0.81 + half))


def test_the_headlines_interval_weighs_unequal_seeds_as_they_stand_in_the_mean() -> None:
    """Three seeds on one draw and two on another, of equal slices and draws: each training of the
    first is a sixth of the mean, of the second a quarter: 3/36 + 2/16 of s^2. Not a fifth, as five
    trainings alike would bring. Both draws have s^2 = 0.0004, of 2 and 1 degrees of freedom:
    Satterthwaite's are (3/36 + 2/16)^2 / ((3/36)^2 / 2 + (2/16)^2) = 2.2727.
    """
    one = table({1: [0.80] * 4, 2: [0.82] * 4, 3: [0.84] * 4}, PATIENTS)
    off = 0.01 * math.sqrt(2)
    two = table({1: [0.82 - off] * 4, 2: [0.82 + off] * 4}, [*"defg"], first_slice=4,
                split_id="by-image-2")  # fmt: skip
    row = first(join(one, two)).iloc[1]
    assert row["dice"] == pytest.approx(0.82)
    first_share, second_share = 3 / 36, 2 / 16
    df = (first_share + second_share) ** 2 / (first_share**2 / 2 + second_share**2)
    half = half_width(0.0004 * (first_share + second_share), df, SETS / 2)
    assert (row["low"], row["high"]) == pytest.approx((0.82 - half, 0.82 + half), abs=1e-6)


def test_a_slice_without_a_tumour_cannot_be_missed() -> None:
    """One missed of three tumours; the fourth slice has neffect."""
    measures = {"tp": [5, 5, 0, 0], "fn": [0, 0, 5, 0]}
    rows = first(table({1: [0.9, 0.8, 0.0, 1.0]}, PATIENTS, measures=measures))
    assert rows.loc[1, "missed"] == pytest.approx(1 / 3)


def test_by_image_and_by_patient_have_a_row_each_and_the_thesiss_size_comes_first() -> None:
    small = {"height": 256, "width": 256}
    found = first(join(*(table(SEEDS, PATIENTS, **own) for own in (small | FOLD, small, FOLD, {}))))
    assert found["size"].tolist() == ["512x512"] * 3 + ["256x256"] * 2
    assert found["split"].tolist() == ["image", "image", "patient", "image", "patient"]


@pytest.mark.parametrize("changes", [{"protocol_hash": "nyul"}, {"precision": "tf32"}])
def test_two_protocols_or_precisions_never_share_a_row(changes: dict[str, Any]) -> None:
    found = first(join(table(SEEDS, PATIENTS), table({1: [0.1] * 4}, PATIENTS, **changes)))
    assert found["dice"].tolist() == [0.898, pytest.approx(0.625), pytest.approx(0.1)]


@pytest.mark.parametrize(
    "changes",
    [{"phantom": True}, {"dataset_id": "another"}, {"recipe_hash": "another"}, {"alpha": 0.6},
     {"kernel_size": 7}, {"arm": "attention-unet"}],
)  # fmt: skip
def test_what_does_not_enter_the_headline(changes: dict[str, Any]) -> None:
    """Only the thesis's best cell on its own slices; without a run, its printed number is alone."""
    made = headline(table(SEEDS, PATIENTS, **changes), *terms())
    assert (made.texts["mean Dice"], made.texts["95% interval"]) == (["0.898"], [""])


def test_unknown_patients_take_what_hangs_on_them_alone() -> None:
    made = headline(table(SEEDS, ["a", "a", "b", None]), *terms()).shown.iloc[1]
    assert made[["mean Dice", "median", "missed"]].tolist() == ["0.625", "0.750", "12.5%"]
    assert made[["patients", "95% interval", "mean over patients"]].tolist() == ["", "", ""]
