"""The leak of a split: by hand, on the 708 slices, against chance, and laws on made-up splits.

A law's docstring quotes it.
"""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from math import comb
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import cheng_set, costly, law, slice_sets

from benchmark.__main__ import main
from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError
from benchmark.protocol import SplitRule
from benchmark.splits.files import shipped, shipped_for
from benchmark.splits.leakage import Leakage, expected, leakage, neighbours, report
from benchmark.splits.split import Split, make

Capture = pytest.CaptureFixture[str]
Case = tuple[Split, dict[int, str]]

PATIENT_OF = {1: "A", 2: "A", 3: "A", 4: "A", 5: "B", 6: "B", 7: "C", 8: "D", 9: "E", 10: "D"}
BY_HAND = Split("by-hand", train=(1, 5, 9), val=(3, 8), test=(2, 4, 6, 7, 10))
# 2: A trains (1), and 1 is beside it. 4: A trains, but beside it are 3 (A, validates) and 5 (B).
# 6: B trains, and 5 is beside it. 7: C is nowhere else; 6 and 8 are other patients'.
# 10: D validates (8) and does not train; 9 is E's.
# Of 5 slices 3 have their patient in train and 4 in train or val, 2 and 3 a neighbour; of 4
# patients 2 are in train.
HAND = Leakage(5, 3, 4, 2, 3, patients=4, patients_in_train=2)
CHENG = cheng_set()
BY_IMAGE_1 = shipped()["by-image-1"].split


def four(counts: Leakage) -> tuple[float, ...]:
    """The counts of slices whose patient or neighbour is in train, or in train or val."""
    return astuple(counts)[1:5]


def test_counts_and_shares_by_hand() -> None:
    assert leakage(BY_HAND, PATIENT_OF) == HAND
    assert HAND.shares == [3 / 5, 4 / 5, 2 / 5, 3 / 5]
    assert four(leakage(replace(BY_HAND, val=()), PATIENT_OF)) == (3, 3, 2, 2)
    assert leakage(BY_HAND, {**PATIENT_OF, 11: None}) == HAND  # of no slice of the split


def test_neighbours_are_one_number_apart_and_of_the_same_patient() -> None:
    """2 stands between 1 and 3 of A; 5 is B's, so 4 has one; 7 is C's alone."""
    everyone = set(PATIENT_OF)
    assert [neighbours(n, PATIENT_OF, everyone) for n in (1, 2, 4, 5, 7, 10)] == [1, 2, 1, 1, 0, 0]
    assert neighbours(2, PATIENT_OF, {3, 5, 9}) == 1
    assert neighbours(2, PATIENT_OF, ()) == 0


@pytest.mark.parametrize("name", ["train", "test"])
def test_an_empty_set_is_named(name: str) -> None:
    says = f'by-hand: the {name} set is empty.* list its slices under "{name}"'
    with pytest.raises(SplitError, match=says):
        leakage(replace(BY_HAND, **{name: ()}), PATIENT_OF)


def test_a_slice_without_a_patient_is_named() -> None:
    known = {number: patient for number, patient in PATIENT_OF.items() if number != 7}
    says = r"slice 3 has no patient number \(2 of by-hand.*index\.csv"
    with pytest.raises(SplitError, match=says):
        leakage(BY_HAND, {**known, 3: None})


def chance(others: int, drawn: int, mates: list[int]) -> float:
    """Mean over slices of P(one of its mates is among `drawn` of the others).

    `drawn` of the others can be chosen in C(others, drawn) equally likely ways;
    C(others - mates, drawn) of these hold none of its mates.
    """
    misses = [comb(others - count, drawn) / comb(others, drawn) for count in mates]
    return 1 - sum(misses) / len(misses)


def test_random_splits_leak_what_probability_says() -> None:
    """The exact hypergeometric chance: 200 draws differ from it by 4 standard errors at most."""
    who, others = CHENG.patient_of, len(CHENG) - 1
    train, known = len(BY_IMAGE_1.train), len(BY_IMAGE_1.train) + len(BY_IMAGE_1.val)
    same = [CHENG.patient_id.count(patient) - 1 for patient in who.values()]
    beside = [(who.get(n - 1) == p) + (who.get(n + 1) == p) for n, p in who.items()]
    exact = [chance(others, size, mates) for mates in (same, beside) for size in (train, known)]
    assert [round(100 * share) for share in exact] == [98, 99, 76, 88]  # docs/thesis.md, trap 7
    random = expected(BY_IMAGE_1, who)
    ranges = zip(random.mean.shares, exact, random.low.shares, random.high.shares, strict=True)
    for share, true, low, high in ranges:
        assert abs(share - true) < 4 * ((high - low) / 3.92) / random.draws**0.5 + 1e-9


def test_shipped_splits_by_image_are_ordinary_and_those_by_patient_leak_nothing() -> None:
    normal = expected(BY_IMAGE_1, CHENG.patient_of)
    splits = shipped_for(CHENG)
    assert len(splits) == 12
    for split in splits:
        counts = leakage(split, CHENG.patient_of)
        if split.split_id.startswith("by-patient"):
            assert (*four(counts), counts.patients_in_train) == (0, 0, 0, 0, 0)
        else:
            ranges = zip(four(normal.low), four(counts), four(normal.high), strict=True)
            assert all(low <= count <= high for low, count, high in ranges)


def test_the_draws_are_the_same_each_time() -> None:
    random = expected(BY_HAND, PATIENT_OF, 20)
    renamed = replace(BY_HAND, split_id="other", train=(9, 1, 5))
    assert random == expected(BY_HAND, PATIENT_OF, 20) == expected(renamed, PATIENT_OF, 20)


def test_one_draw_is_its_own_mean() -> None:
    random = expected(BY_HAND, PATIENT_OF, 1)
    assert random.mean == random.low == random.high
    with pytest.raises(SplitError, match="0 random draws"):
        expected(BY_HAND, PATIENT_OF, 0)


def test_the_spread_leaves_one_draw_in_forty_out_at_each_end() -> None:
    """Of 41 draws 2.5 % of the 40 steps is one: the second least and greatest, count by count.

    The draws from means: the k-th is k times the mean of k minus k - 1 times that of k - 1.
    """
    who = {i: str(i // (1, 3, 7)[i % 3]) for i in range(1, 91)}  # patients of many sizes
    split = Split("drawn", tuple(range(1, 41)), tuple(range(41, 61)), tuple(range(61, 91)))
    means = [np.array(astuple(expected(split, who, k).mean)[1:]) for k in range(1, 42)]
    sums = [np.zeros(6), *(k * mean for k, mean in enumerate(means, start=1))]
    draws = np.sort(np.diff(sums, axis=0), axis=0)
    random = expected(split, who, 41)
    assert astuple(random.low)[1:] == pytest.approx(draws[1])
    assert astuple(random.high)[1:] == pytest.approx(draws[-2])
    assert (draws[0] < draws[1]).any()
    assert (draws[-2] < draws[-1]).any()


def test_the_table_shows_shares_with_their_counts() -> None:
    lines = report([BY_HAND], PATIENT_OF, 20).splitlines()
    (row,) = [line.split() for line in lines if line.startswith("by-hand")]
    shares = "60.0 % (3) 80.0 % (4) 40.0 % (2) 60.0 % (3)"
    assert " ".join(row) == f"by-hand 3/2/5 {shares} 2 of 4"
    assert any(line.startswith("random by image, mean of 20  3/2/5") for line in lines)


def test_random_rows_stand_there_once_per_size_and_only_for_splits_that_share_patients() -> None:
    apart = Split("apart", train=(1, 2, 3, 4), val=(5, 6), test=(7, 9))
    text = report([BY_HAND, replace(BY_HAND, split_id="again"), apart], PATIENT_OF, 5)
    assert text.count("random by image") == 1
    assert "random by image" not in report([apart], PATIENT_OF, 5)
    with pytest.raises(SplitError, match="no split to audit"):
        report([], PATIENT_OF)


@pytest.fixture
def split_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_phantoms: None) -> Path:
    """A split of some of the 24 phantoms, in an empty folder; three slices a patient."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({"train": [1, 4, 7], "test": [2, 10]}))
    return path


def test_a_file_of_an_outside_tool_is_audited(capsys: Capture, split_file: Path) -> None:
    """1 to 3 are one patient's, 10 is of the fourth: one of two has its patient in train."""
    assert main(["audit", "--data", "phantoms", "--split", "theirs.json", "theirs.json"]) == 0
    output = capsys.readouterr().out
    assert output.count("theirs.json") == 1
    assert "50.0 % (1)" in output
    assert "1 of 2" in output


def test_what_cannot_be_audited_is_one_line(capsys: Capture, split_file: Path) -> None:
    assert main(["audit", "--data", "phantoms"]) == 2
    errors = capsys.readouterr().err
    assert "none of the splits shipped here is of these slices" in errors
    assert errors.count("\n") == 1
    assert main(["export", "phantoms", "set"]) == 0
    (split_file.parent / "set" / "index.csv").unlink()
    assert main(["audit", "--data", "set", "--split", "theirs.json"]) == 2
    assert "slice 1 has no patient number (5 of theirs.json have none)" in capsys.readouterr().err
    split_file.write_text('{"test": [1]}')
    assert main(["audit", "--data", "phantoms", "--split", "theirs.json"]) == 2
    assert "theirs.json: the train set is empty" in capsys.readouterr().err


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A split of made-up slices, neighbours among them; it may leave slices out, or val empty."""
    names = draw(st.lists(st.sampled_from("ABCD"), min_size=4, max_size=24))
    size = {"min_size": len(names), "max_size": len(names)}
    gaps = draw(st.lists(st.sampled_from([1, 1, 1, 2]), **size))
    numbers = (draw(st.integers(1, 3000)) + np.cumsum(gaps)).tolist()
    homes = draw(st.lists(st.sampled_from(["train", "val", "test", "out"]), **size))
    homes[0], homes[1] = "train", "test"
    at_home = list(zip(numbers, homes, strict=True))
    sets = (tuple(n for n, home in at_home if home == name) for name in ("train", "val", "test"))
    return Split("drawn", *sets), dict(zip(numbers, names, strict=True))


@law
@given(cases())
def test_it_counts_what_the_definitions_say(case: Case) -> None:
    """Each count is of the test slices, or patients, that a slice of the other set fits."""
    split, who = case
    counts = leakage(split, who)
    for others, patient, neighbour in (
        (split.train, counts.patient_in_train, counts.neighbour_in_train),
        (split.train + split.val, counts.patient_in_known, counts.neighbour_in_known),
    ):
        pairs = [(t, o) for t in split.test for o in others if who[t] == who[o]]
        assert patient == len({t for t, _ in pairs})
        assert neighbour == len({t for t, o in pairs if abs(t - o) == 1})
    assert (counts.n, counts.patients) == (len(split.test), len({who[t] for t in split.test}))
    trained = {who[number] for number in split.train}
    assert counts.patients_in_train == len({who[t] for t in split.test} & trained)


@law
@given(cases())
def test_shares_lie_between_0_and_1_and_in_order(case: Case) -> None:
    """Train alone leaks no more than train and val; a neighbour is of the same patient."""
    counts = leakage(*case)
    patient, patient_known, neighbour, neighbour_known = counts.shares
    assert 0 <= neighbour <= patient <= patient_known <= 1
    assert neighbour <= neighbour_known <= patient_known
    assert 0 <= counts.patients_in_train <= counts.patients
    assert (counts.patients_in_train == 0) == (counts.patient_in_train == 0)


@law
@given(slice_sets(), st.integers(1, 3))
def test_a_split_by_patient_leaks_nothing(slices: SliceSet, number: int) -> None:
    """No patient is ever in two sets, so all counts are zero."""
    counts = leakage(make(slices, SplitRule(unit="patient", folds=3), number), slices.patient_of)
    assert (*four(counts), counts.patients_in_train) == (0, 0, 0, 0, 0)


@law
@given(cases(), st.permutations("WXYZ"), st.randoms(use_true_random=False))
def test_names_and_order_change_nothing(case: Case, names: list[str], rng: Random) -> None:
    """Renaming patients, or permuting the lists, changes nothing."""
    split, who = case
    renamed = {n: dict(zip("ABCD", names, strict=True))[p] for n, p in reversed(who.items())}
    mixed = (tuple(rng.sample(numbers, len(numbers))) for numbers in split.sets.values())
    assert leakage(Split("other", *mixed), renamed) == leakage(split, who)


@law
@given(cases(), st.data())
def test_moving_slices_from_train_to_val_never_adds_leaks(case: Case, data: st.DataObject) -> None:
    """What is moved is known as before: only the counts of train alone change, and downwards."""
    split, who = case
    kept = data.draw(st.sets(st.sampled_from(split.train), min_size=1))
    val = tuple(sorted(set(split.val) | set(split.train) - kept))
    before, after = leakage(split, who), leakage(replace(split, train=tuple(kept), val=val), who)
    assert after.patient_in_train <= before.patient_in_train
    assert after.neighbour_in_train <= before.neighbour_in_train
    assert after.patients_in_train <= before.patients_in_train
    assert after.patient_in_known == before.patient_in_known
    assert after.neighbour_in_known == before.neighbour_in_known


@costly
@given(cases())
def test_the_mean_of_random_splits_is_that_of_any_split_of_these_sizes(case: Case) -> None:
    """Random splits depend on slices and sizes only; shares keep their order and their range."""
    split, who = case
    ids, middle = sorted(split.train + split.val + split.test), len(split.train) + len(split.val)
    sets = ids[: len(split.train)], ids[len(split.train) : middle], ids[middle:]
    random = expected(split, who, 9)
    assert random == expected(Split("other", *map(tuple, sets)), who, 9)
    mean = random.mean
    assert mean.neighbour_in_train <= mean.patient_in_train <= mean.patient_in_known <= mean.n
    assert all(
        low <= high for low, high in zip(astuple(random.low), astuple(random.high), strict=True)
    )
