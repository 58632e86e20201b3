"""The leak of a split: counted by hand, on the 708 slices, and against the chance of random
splits.
"""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from functools import cache
from math import comb
from pathlib import Path

import numpy as np
import pytest
from strategies import cheng_rows, cheng_set, slice_set

from benchmark.__main__ import main
from benchmark.errors import SplitError
from benchmark.scoring.external_masks import read_split, shipped
from benchmark.splits.leakage import Leakage, expected, leakage, report
from benchmark.splits.split import Split

Capture = pytest.CaptureFixture[str]

PATIENT_OF = {1: "A", 2: "A", 3: "A", 4: "A", 5: "B", 6: "B", 7: "C", 8: "D", 9: "E", 10: "D"}
BY_HAND = Split("by-hand", train=(1, 5, 9), val=(3, 8), test=(2, 4, 6, 7, 10))
# 2: patient A trains (1), and 1 is beside it.        4: A trains, but beside it are 3 (A,
# validates) and 5 (B). 6: B trains, and 5 is beside it.                    7: C is nowhere else; 6
# and 8 are other patients'. 10: D validates (8) and does not train; 9 is E's.
HAND = Leakage(
    n=5,
    patient_in_train=3,
    patient_in_known=4,
    neighbour_in_train=2,
    neighbour_in_known=3,
    patients=4,
    patients_in_train=2,
)


@cache
def patient_of() -> dict[int, str]:
    return {int(row["slice"]): row["patient_id"] for row in cheng_rows()}


@cache
def by_image_1() -> Split:
    return read_split("by-image-1", cheng_set())


def test_counts_by_hand() -> None:
    assert leakage(BY_HAND, PATIENT_OF) == HAND


def test_shares_are_of_test_slices_and_of_test_patients() -> None:
    assert (HAND.patient_in_train_share, HAND.patient_in_known_share) == (3 / 5, 4 / 5)
    assert (HAND.neighbour_in_train_share, HAND.neighbour_in_known_share) == (2 / 5, 3 / 5)
    assert HAND.patients_in_train_share == 2 / 4


def test_a_split_without_validation() -> None:
    found = leakage(replace(BY_HAND, val=()), PATIENT_OF)
    assert (found.patient_in_train, found.patient_in_known) == (3, 3)
    assert (found.neighbour_in_train, found.neighbour_in_known) == (2, 2)


@pytest.mark.parametrize("name", ["train", "test"])
def test_an_empty_set_is_named(name: str) -> None:
    with pytest.raises(
        SplitError, match=f'by-hand: the {name} set is empty.* list its slices under "{name}"'
    ):
        leakage(replace(BY_HAND, **{name: ()}), PATIENT_OF)


def test_a_slice_without_a_patient_is_named() -> None:
    known = {number: patient for number, patient in PATIENT_OF.items() if number not in (3, 7)}
    with pytest.raises(
        SplitError, match=r"slice 3 has no patient number \(2 of by-hand.*index\.csv"
    ):
        leakage(BY_HAND, known)


def test_only_the_slices_of_the_split_need_patients() -> None:
    assert leakage(BY_HAND, {**PATIENT_OF, 11: "F"}) == HAND


def chance(sizes: tuple[int, ...], drawn: int, mates: dict[int, int]) -> float:
    """Mean over slices of P(one of its mates is among `drawn` of the other slices), given that it
    tests itself.

    The others, N - 1, hold `drawn` chosen ones in C(N - 1, drawn) equally likely ways; C(N - 1 -
    mates, drawn) of these hold none of its mates.
    """
    others = sum(sizes) - 1
    return sum(
        1 - comb(others - count, drawn) / comb(others, drawn) for count in mates.values()
    ) / len(mates)


def test_random_splits_leak_what_probability_says() -> None:
    """An independent way: the exact hypergeometric chance, from which 200 draws differ by 4
    standard errors at most.
    """
    who, split = patient_of(), by_image_1()
    sizes = (len(split.train), len(split.val), len(split.test))
    patients = list(who.values())
    same = {number: patients.count(patient) - 1 for number, patient in who.items()}
    beside = {
        number: (who.get(number - 1) == p) + (who.get(number + 1) == p) for number, p in who.items()
    }
    exact = [
        chance(sizes, sizes[0], same),
        chance(sizes, sizes[0] + sizes[1], same),
        chance(sizes, sizes[0], beside),
        chance(sizes, sizes[0] + sizes[1], beside),
    ]
    found = expected(split, who)
    drawn = [count / found.mean.n for count in astuple(found.mean)[1:5]]
    spread = [
        (b - a) / found.mean.n
        for a, b in zip(astuple(found.low)[1:5], astuple(found.high)[1:5], strict=True)
    ]
    for one, true, width in zip(drawn, exact, spread, strict=True):
        assert abs(one - true) < 4 * (width / 3.92) / found.draws**0.5 + 1e-9
    assert [round(100 * one) for one in exact] == [
        98,
        99,
        76,
        88,
    ]  # 98, 76 and 88: docs/thesis.md, trap 7


def test_shipped_splits_by_image_are_ordinary_and_those_by_patient_leak_nothing() -> None:
    found = {split.split_id: leakage(split, patient_of()) for split in shipped(cheng_set())}
    assert len(found) == 12
    normal = expected(by_image_1(), patient_of())
    for name, one in found.items():
        if name.startswith("by-patient"):
            assert astuple(one)[1:5] == (0, 0, 0, 0)
            assert one.patients_in_train == 0
        else:
            for low, count, high in zip(astuple(normal.low)[1:5], astuple(one)[1:5], astuple(normal.high)[1:5],
                                        strict=True):  # fmt: skip
                assert low <= count <= high


def test_the_draws_are_the_same_each_time() -> None:
    assert expected(BY_HAND, PATIENT_OF, 20) == expected(BY_HAND, PATIENT_OF, 20)
    renamed = replace(BY_HAND, split_id="other", train=(9, 1, 5))
    assert expected(renamed, PATIENT_OF, 20) == expected(BY_HAND, PATIENT_OF, 20)


def test_one_draw_is_its_own_mean() -> None:
    one = expected(BY_HAND, PATIENT_OF, 1)
    assert one.mean == one.low == one.high
    with pytest.raises(SplitError, match="0 random draws"):
        expected(BY_HAND, PATIENT_OF, 0)


def test_the_spread_leaves_one_draw_in_forty_out_at_each_end() -> None:
    """Of 41 draws 2.5 % of the 40 steps is one: the second least and the second greatest, each
    count by itself.

    The draws themselves from means: the k-th is k times the mean of k minus k - 1 times that of k -
    1.
    """
    who = {i: str(i // (1, 3, 7)[i % 3]) for i in range(1, 91)}  # patients of many sizes
    split = Split("drawn", tuple(range(1, 41)), tuple(range(41, 61)), tuple(range(61, 91)))
    means = [
        np.zeros(6),
        *(np.array(astuple(expected(split, who, k).mean)[1:]) for k in range(1, 42)),
    ]
    draws = np.sort([k * means[k] - (k - 1) * means[k - 1] for k in range(1, 42)], axis=0)
    found = expected(split, who, 41)
    assert astuple(found.low)[1:] == pytest.approx(draws[1])
    assert astuple(found.high)[1:] == pytest.approx(draws[-2])
    assert (draws[0] < draws[1]).any()
    assert (draws[-2] < draws[-1]).any()


def test_the_table_shows_shares_with_their_counts() -> None:
    lines = report([BY_HAND], PATIENT_OF, 20).splitlines()
    (row,) = [line for line in lines if line.startswith("by-hand")]
    assert (
        " ".join(row.split()) == "by-hand 3/2/5 60.0 % (3) 80.0 % (4) 40.0 % (2) 60.0 % (3) 2 of 4"
    )
    assert any(line.startswith("random by image, mean of 20  3/2/5") for line in lines)


def test_random_rows_stand_there_once_per_size_and_only_for_splits_that_share_patients() -> None:
    apart = Split("apart", train=(1, 2, 3, 4), val=(5, 6), test=(7, 9))
    text = report([BY_HAND, replace(BY_HAND, split_id="again"), apart], PATIENT_OF, 5)
    assert text.count("random by image") == 1
    assert "random by image" not in report([apart], PATIENT_OF, 5)


def test_no_split_is_told() -> None:
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
    """Numbers 1 to 3 are one patient's, 10 is of the fourth: one of two test slices has its patient
    in train.
    """
    assert main(["audit", "--data", "phantoms", "--split", "theirs.json", "theirs.json"]) == 0
    told = capsys.readouterr().out
    assert told.count("theirs.json") == 1
    assert "50.0 % (1)" in told
    assert "1 of 2" in told


def test_what_cannot_be_audited_is_one_line(capsys: Capture, split_file: Path) -> None:
    assert main(["audit", "--data", "phantoms"]) == 2
    assert "none of the splits shipped here is of these slices" in (told := capsys.readouterr().err)
    assert told.count("\n") == 1
    assert main(["export", "phantoms", "set"]) == 0
    (split_file.parent / "set" / "index.csv").unlink()
    assert main(["audit", "--data", "set", "--split", "theirs.json"]) == 2
    assert "slice 1 has no patient number (5 of theirs.json have none)" in capsys.readouterr().err
    split_file.write_text('{"test": [1]}')
    assert main(["audit", "--data", "phantoms", "--split", "theirs.json"]) == 2
    assert "theirs.json: the train set is empty" in capsys.readouterr().err


def test_a_missing_patient_among_others() -> None:
    some = slice_set([1, 2, 3], ["A", None, "B"])
    who = {
        n: p for n, p in zip(some.slice_id.tolist(), some.patient_id, strict=True) if p is not None
    }
    with pytest.raises(SplitError, match="slice 2 has no patient"):
        leakage(Split("s", (1,), (), (2, 3)), who)
