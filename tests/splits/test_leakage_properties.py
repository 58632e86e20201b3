"""Laws of the leak on drawn splits; each test's docstring quotes its law."""

from __future__ import annotations

from dataclasses import astuple, replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from strategies import costly, law, slice_sets

from benchmark.data.slices import SliceSet
from benchmark.protocol import SplitRule
from benchmark.splits.leakage import expected, leakage
from benchmark.splits.split import Split, make

Case = tuple[Split, dict[int, str]]


def patients(slices: SliceSet) -> dict[int, str]:
    return {n: str(p) for n, p in zip(slices.slice_id.tolist(), slices.patient_id, strict=True)}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A split of drawn slices, neighbours among them, with train and test not empty; it may leave
    slices out.
    """
    names = draw(st.lists(st.sampled_from("ABCD"), min_size=4, max_size=24))
    first = draw(st.integers(1, 3000))
    gaps = draw(st.lists(st.sampled_from([1, 1, 1, 2]), min_size=len(names), max_size=len(names)))
    numbers = [first + sum(gaps[:i]) for i in range(len(names))]
    homes = draw(
        st.lists(
            st.sampled_from(["train", "val", "test", "out"]),
            min_size=len(names),
            max_size=len(names),
        )
    )
    homes[0], homes[1] = "train", "test"
    sets = {
        name: tuple(n for n, home in zip(numbers, homes, strict=True) if home == name)
        for name in set(homes)
    }
    split = Split("drawn", sets["train"], sets.get("val", ()), sets["test"])
    return split, dict(zip(numbers, names, strict=True))


@law
@given(cases())
def test_it_counts_what_the_definitions_say(case: Case) -> None:
    """Each count is the number of test slices, or patients, for which a slice of the other set
    fits: pair by pair.
    """
    split, who = case
    found = leakage(split, who)
    for others, patient, neighbour in (
        (split.train, found.patient_in_train, found.neighbour_in_train),
        (split.train + split.val, found.patient_in_known, found.neighbour_in_known),
    ):
        pairs = [(t, o) for t in split.test for o in others if who[t] == who[o]]
        assert patient == len({t for t, _ in pairs})
        assert neighbour == len({t for t, o in pairs if abs(t - o) == 1})
    assert (found.n, found.patients) == (len(split.test), len({who[t] for t in split.test}))
    assert found.patients_in_train == len(
        {who[t] for t in split.test for o in split.train if who[t] == who[o]}
    )


@law
@given(cases())
def test_shares_lie_between_0_and_1_and_in_order(case: Case) -> None:
    """Shares lie in [0, 1]; train alone never leaks more than train and val; a neighbour is of the
    same patient.
    """
    one = leakage(*case)
    assert (
        0
        <= one.neighbour_in_train_share
        <= one.patient_in_train_share
        <= one.patient_in_known_share
        <= 1
    )
    assert (
        one.neighbour_in_train_share <= one.neighbour_in_known_share <= one.patient_in_known_share
    )
    assert 0 <= one.patients_in_train_share <= 1
    assert (one.patients_in_train == 0) == (one.patient_in_train == 0)


@law
@given(slice_sets(), st.integers(1, 3))
def test_a_split_by_patient_leaks_nothing(slices: SliceSet, number: int) -> None:
    """No patient is ever in two sets, so all counts are zero."""
    found = leakage(make(slices, SplitRule(unit="patient", folds=3), number), patients(slices))
    assert astuple(found)[1:5] == (0, 0, 0, 0)
    assert found.patients_in_train == 0


@law
@given(cases(), st.permutations("WXYZ"), st.randoms(use_true_random=False))
def test_names_and_order_change_nothing(case: Case, names: list[str], rng: Random) -> None:
    """Renaming patients, or permuting the lists, changes nothing."""
    split, who = case
    renamed = {n: dict(zip("ABCD", names, strict=True))[p] for n, p in reversed(who.items())}

    def mixed(part: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(rng.sample(part, len(part)))

    other = Split("other", mixed(split.train), mixed(split.val), mixed(split.test))
    assert leakage(other, renamed) == leakage(split, who)


@law
@given(cases(), st.data())
def test_moving_train_slices_to_val_never_raises_the_leak_from_train(
    case: Case, data: st.DataObject
) -> None:
    """What is moved is known as before, so only the counts of train alone may change, and only
    downwards.
    """
    split, who = case
    kept = data.draw(st.sets(st.sampled_from(split.train), min_size=1))
    moved = replace(
        split,
        train=tuple(sorted(kept)),
        val=tuple(sorted(set(split.val) | set(split.train) - kept)),
    )
    before, after = leakage(split, who), leakage(moved, who)
    assert after.patient_in_train <= before.patient_in_train
    assert after.neighbour_in_train <= before.neighbour_in_train
    assert after.patients_in_train <= before.patients_in_train
    assert (after.patient_in_known, after.neighbour_in_known) == (
        before.patient_in_known,
        before.neighbour_in_known,
    )


@costly
@given(cases())
def test_the_mean_of_random_splits_is_that_of_any_split_of_these_sizes(case: Case) -> None:
    """Random splits depend on the slices and the sizes only; shares keep their order, within their
    own percentiles.
    """
    split, who = case
    ids = sorted(split.train + split.val + split.test)
    ends = len(split.train), len(split.train) + len(split.val)
    other = Split(
        "other", tuple(ids[: ends[0]]), tuple(ids[ends[0] : ends[1]]), tuple(ids[ends[1] :])
    )
    one = expected(split, who, 9)
    assert one == expected(other, who, 9)
    assert (
        one.mean.neighbour_in_train
        <= one.mean.patient_in_train
        <= one.mean.patient_in_known
        <= one.mean.n
    )
    assert all(low <= high for low, high in zip(astuple(one.low), astuple(one.high), strict=True))
