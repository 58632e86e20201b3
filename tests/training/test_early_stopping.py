"""When a training ends and which epoch is kept, on sequences made by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from benchmark.training.early_stopping import EarlyStopping

NAN = math.nan


def run(values: list[float], patience: int = 5) -> tuple[int | None, int, float]:
    """(epoch after which training stops or None, epoch kept, its value); epochs from 0."""
    state = EarlyStopping(patience)
    for epoch, value in enumerate(values):
        state = state.after(value)
        if state.stop:
            return epoch, state.best_epoch, state.best
    return None, state.best_epoch, state.best


def test_best_starts_at_minus_infinity() -> None:
    state = EarlyStopping(5)
    assert (state.best, state.best_epoch) == (-math.inf, -1)
    assert (state.improved, state.stop) == (False, False)


@pytest.mark.parametrize(
    ("values", "stopped", "kept"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], None, 6),  # always better
        ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.9], 5, 0),  # five without improvement after epoch 0
        ([0.5, 0.4, 0.4, 0.4, 0.4, 0.6, 0.1], None, 5),  # saved in the fifth
        ([0.5, 0.4, 0.4, 0.4, 0.4, 0.6, *[0.1] * 5], 10, 5),  # and five more from there
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], 5, 0),  # equality does not improve
        ([0.5, 0.5 + 1e-12, 0.5, 0.5, 0.5, 0.5, 0.5], 6, 1),  # no minimum delta
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 5, 0),  # a Dice of 0 is above -inf
        ([-1.0, -2.0, -0.5], None, 2),  # a negated loss
        ([NAN, NAN, NAN, NAN, NAN], 4, -1),  # never a number: nothing to keep
        ([NAN, 0.2, NAN, NAN, NAN, NAN, NAN], 6, 1),  # NaN never improves, neither before nor after
        ([0.3, NAN, 0.4], None, 2),
        ([-math.inf] * 5, 4, -1),  # not above -inf
    ],
)
def test_sequences_by_hand(values: list[float], stopped: int | None, kept: int) -> None:
    assert run(values)[:2] == (stopped, kept)


def test_improved_is_true_for_the_last_epoch_only() -> None:
    first = EarlyStopping(5).after(0.5)
    assert first.improved
    assert not first.after(0.5).improved
    assert first.after(0.4).after(0.6).improved


def test_a_state_is_never_changed() -> None:
    state = EarlyStopping(2)
    assert (state.after(0.1).epoch, state.epoch) == (0, -1)


@law
@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=30), st.integers(1, 6))
def test_the_first_of_the_greatest_so_far_is_kept(values: list[float], patience: int) -> None:
    """Kept is the best epoch so far, the earliest among equals; NaN and -inf are never best."""
    stopped, kept, best = run(values, patience)
    seen = values if stopped is None else values[: stopped + 1]
    real = [v for v in seen if v > -math.inf]
    assert best == max(real, default=-math.inf)
    assert kept == (seen.index(max(real)) if real else -1)


@law
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 6))
def test_training_stops_exactly_patience_epochs_after_the_best(
    values: list[float], patience: int
) -> None:
    """Training stops after `patience` epochs without improvement, not before and not after."""
    stopped, kept, _ = run(values, patience)
    if stopped is None:
        assert len(values) - 1 - kept < patience
    else:
        assert stopped - kept == patience
