"""The thesis's Tversky loss: the meaning of its alpha, by hand and against three oracles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.losses.dice import DiceLoss
from numpy.typing import NDArray
from strategies import law, seeds

from benchmark.errors import SpecError
from benchmark.protocol import Loss
from benchmark.training.losses import (
    DeepSupervision,
    pools_batch,
    thesis_tversky,
    tumour_probability,
)

SMOOTH = 1e-5  # MONAI's, above and below the fraction
Floats = NDArray[np.float64]


def certain(tumour: list[int]) -> torch.Tensor:
    """(1, 2, 1, P) logits that give each pixel a tumour probability of 0 or 1 to within 1e-17."""
    sign = torch.tensor(tumour, dtype=torch.float64) * 2 - 1
    return torch.stack([-20 * sign, 20 * sign])[None, :, None]


def truth_of(tumour: list[int]) -> torch.Tensor:
    return torch.tensor(tumour, dtype=torch.float64)[None, None, None]


TRUTH = [1, 1, 1, 1, 0, 0, 0, 0]  # four tumour pixels
ONE_MISSED = [1, 1, 1, 0, 0, 0, 0, 0]  # TP 3, FN 1, FP 0
ONE_TOO_MANY = [1, 1, 1, 1, 1, 0, 0, 0]  # TP 4, FN 0, FP 1


def cost(alpha: float, predicted: list[int], truth: list[int] | None = None) -> float:
    return float(thesis_tversky(alpha)(certain(predicted), truth_of(truth or TRUTH)))


@pytest.mark.parametrize(
    ("alpha", "predicted", "expected"),
    [
        (0.9, ONE_MISSED, 0.230769),  # 1 - 3 / (3 + 0.9) = 0.9 / 3.9
        (0.9, ONE_TOO_MANY, 0.024390),  # 1 - 4 / (4 + 0.1) = 0.1 / 4.1
        (0.1, ONE_MISSED, 0.032258),  # 1 - 3 / (3 + 0.1) = 0.1 / 3.1
        (0.1, ONE_TOO_MANY, 0.183673),  # 1 - 4 / (4 + 0.9) = 0.9 / 4.9
        (0.5, ONE_MISSED, 0.142857),  # 1 - 6 / 7, the Dice loss
        (0.5, ONE_TOO_MANY, 0.111111),  # 1 - 8 / 9
        (1.0, ONE_TOO_MANY, 0.0),  # 1 - recall
        (0.0, ONE_MISSED, 0.0),  # 1 - precision
        (0.9, TRUTH, 0.0),
        (0.9, [0] * 8, 1.0),  # nothing found
    ],
)
def test_costs_of_a_four_pixel_tumour_by_hand(
    alpha: float, predicted: list[int], expected: float
) -> None:
    # MONAI's smoothing of 1e-5 moves these by less than 4e-6; "nothing found" leaves 1e-5 / 3.6
    assert cost(alpha, predicted) == pytest.approx(expected, abs=4e-6)


@pytest.mark.parametrize("alpha", [0.6, 0.7, 0.8, 0.9])
def test_alpha_weighs_false_negatives(alpha: float) -> None:
    # thesis, 2.10: 1 - TP / (TP + alpha FN + beta FP); a swapped alpha turns each line round
    assert cost(alpha, ONE_MISSED) > cost(0.5, ONE_MISSED) > cost(1 - alpha, ONE_MISSED)
    assert cost(alpha, ONE_TOO_MANY) < cost(0.5, ONE_TOO_MANY) < cost(1 - alpha, ONE_TOO_MANY)


def test_nothing_to_find_and_nothing_found_costs_nothing() -> None:
    assert cost(0.9, [0] * 8, [0] * 8) == pytest.approx(0, abs=1e-6)


def test_nothing_to_find_and_something_found_costs_1() -> None:
    # without truth and with some false positives the fraction is MONAI's 1e-5 over about 0.3
    assert cost(0.9, ONE_MISSED, [0] * 8) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), float("inf")])
def test_alpha_outside_0_1_is_refused(alpha: float) -> None:
    with pytest.raises(SpecError, match=r"must lie in \[0, 1\]"):
        thesis_tversky(alpha)


def case(seed: int, b: int = 3, side: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """float64 logits (b, 2, side, side), a truth (b, 1, side, side) whose last image is empty."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 2, (b, 2, side, side)))
    truth = torch.from_numpy((rng.random((b, 1, side, side)) < 0.4).astype(np.float64))
    truth[-1] = 0
    return logits, truth


def oracle(logits: torch.Tensor, truth: torch.Tensor, alpha: float, settings: Loss) -> float:
    """The thesis's formula in numpy, image by image and class by class."""
    x, t = logits.numpy(), truth.numpy()[:, 0]
    if settings.activation == "softmax":
        p = np.exp(x - x.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
    else:
        p = 1 / (1 + np.exp(-x))
    costs = []
    for channel in (0, 1) if settings.include_background else (1,):
        own = t if channel == 1 else 1 - t
        tp = (p[:, channel] * own).sum(axis=(1, 2))
        fn = ((1 - p[:, channel]) * own).sum(axis=(1, 2))
        fp = (p[:, channel] * (1 - own)).sum(axis=(1, 2))
        if settings.pool_batch:
            tp, fn, fp = (np.array([count.sum()]) for count in (tp, fn, fp))
        costs += (1 - (tp + SMOOTH) / (tp + alpha * fn + (1 - alpha) * fp + SMOOTH)).tolist()
    return float(np.mean(costs))


@law
@given(
    seeds,
    st.floats(0, 1, allow_subnormal=False),
    st.builds(Loss, st.sampled_from(["softmax", "sigmoid"]), st.booleans(), st.booleans()),
)
def test_every_variant_is_the_thesis_s_formula(seed: int, alpha: float, settings: Loss) -> None:
    """1 - TP / (TP + alpha FN + beta FP), beta = 1 - alpha, probabilities in place of pixels."""
    logits, truth = case(seed)
    found = float(thesis_tversky(alpha, settings)(logits, truth))
    assert found == pytest.approx(oracle(logits, truth, alpha, settings), abs=1e-9)


@law
@given(seeds)
def test_alpha_one_half_is_monai_s_dice_loss(seed: int) -> None:
    """alpha = beta = 0.5 is the Dice loss; MONAI's counts everything twice, its smoothing too."""
    logits, truth = case(seed)
    twice = {"smooth_nr": 2 * SMOOTH, "smooth_dr": 2 * SMOOTH}
    dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, **twice)
    ours = float(thesis_tversky(0.5)(logits, truth))
    assert ours == pytest.approx(float(dice(logits, truth)), abs=1e-12)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "settings", [Loss(), Loss("sigmoid", include_background=True, pool_batch=True)]
)
def test_gradients_agree_with_finite_differences(alpha: float, settings: Loss) -> None:
    logits, truth = case(2, b=2, side=3)
    loss = thesis_tversky(alpha, settings)
    assert torch.autograd.gradcheck(lambda x: loss(x, truth), (logits.requires_grad_(),))


def test_tumour_probability_is_that_of_the_second_class() -> None:
    # softmax of (0, ln 3) is (1/4, 3/4); the sigmoid of ln 3 is 3/4, of the first logit independent
    pairs = torch.tensor([[0.0, 1.0], [np.log(3), 1 + np.log(3)]], dtype=torch.float64)
    logits = pairs[None, :, None]
    assert tumour_probability(logits).tolist() == [[pytest.approx([0.75, 0.75])]]
    three = torch.tensor(3.0, dtype=torch.float64)
    expected = torch.stack([three.log(), three.log() + 1]).sigmoid()[None, None]
    torch.testing.assert_close(tumour_probability(logits, "sigmoid"), expected)
    assert float(expected[0, 0, 0]) == pytest.approx(0.75)


def test_heads_weigh_half_of_the_one_before_and_1_in_all() -> None:
    """Losses of 1/7 (one missed), 0 and 1 (nothing found), weighted by 4/7, 2/7 and 1/7."""
    heads = torch.stack([certain(tumour) for tumour in (ONE_MISSED, TRUTH, [0] * 8)], dim=1)
    value = DeepSupervision(thesis_tversky(0.5))(heads, truth_of(TRUTH))
    assert float(value) == pytest.approx(4 / 7 / 7 + 1 / 7, abs=4e-6)


def test_one_head_is_scored_by_the_loss_itself() -> None:
    logits, loss = certain(ONE_MISSED), thesis_tversky(0.3)
    supervised = DeepSupervision(loss)
    assert supervised(logits, truth_of(TRUTH)) == loss(logits, truth_of(TRUTH))
    assert supervised(logits[:, None], truth_of(TRUTH)) == loss(logits, truth_of(TRUTH))


@pytest.mark.parametrize("pooled", [False, True])
def test_a_loss_says_whether_it_pools_the_batch(pooled: bool) -> None:
    loss = thesis_tversky(0.5, Loss(pool_batch=pooled))
    assert pools_batch(loss) == pools_batch(DeepSupervision(loss)) == pooled
