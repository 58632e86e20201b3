"""The thesis's Tversky loss: its alpha, MONAI's engine.

Thesis, section 2.10: loss = 1 - TP / (TP + alpha FN + beta FP), beta = 1 - alpha, so alpha
weighs FALSE NEGATIVES. MONAI's `TverskyLoss(alpha, beta)` weighs false positives with alpha
and false negatives with beta: the thesis's alpha is MONAI's beta.
"""

from __future__ import annotations

import torch
from monai.losses.tversky import TverskyLoss
from torch import nn

from benchmark.errors import SpecError
from benchmark.protocol import Loss


def check_alpha(alpha: float) -> None:
    """Raise `SpecError` unless alpha lies in [0, 1]."""
    if not 0 <= alpha <= 1:
        meaning = "it weighs false negatives, 1 - alpha false positives"
        raise SpecError(f"alpha = {alpha} must lie in [0, 1]: {meaning}")


def thesis_tversky(alpha: float, settings: Loss | None = None) -> TverskyLoss:
    """Return the loss of two-class logits (B, 2, H, W) against a truth (B, 1, H, W) in {0, 1}.

    alpha in [0, 1] weighs false negatives, 1 - alpha false positives; at 0.5 it is the Dice
    loss. By default the softmax probability of the tumour channel is scored per image and
    averaged over the batch; settings.include_background averages in the background channel's
    own loss (its roles of FP and FN are swapped), pool_batch sums over the batch first. On an
    empty truth and an empty prediction the loss is 0, by MONAI's smoothing of 1e-5.
    """
    check_alpha(alpha)
    settings = settings or Loss()
    return TverskyLoss(
        include_background=settings.include_background,
        to_onehot_y=True,
        softmax=settings.activation == "softmax",
        sigmoid=settings.activation == "sigmoid",
        alpha=1.0 - alpha,  # MONAI: weight of false positives
        beta=alpha,  # MONAI: weight of false negatives
        batch=settings.pool_batch,
    )


class DeepSupervision(nn.Module):
    """A loss of a network that answers from several heads in training (Lee et al. 2015).

    Of logits (B, K, 2, H, W), the finest head first, it is the mean of the loss of each, weighted
    by 1, 1/2, 1/4, ...: the weights are halved from head to head and add up to 1, as nnU-Net's do
    (Isensee et al. 2021). Of logits (B, 2, H, W), as outside training, it is the loss itself.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Every head is scored against the truth (B, 1, H, W) at its full size."""
        heads = logits.unbind(1) if logits.dim() == 5 else (logits,)
        losses = torch.stack([self.loss(head, truth) for head in heads])
        weights = 0.5 ** torch.arange(len(heads), dtype=losses.dtype, device=losses.device)
        return (losses * (weights / weights.sum())).sum()


def pools_batch(loss: nn.Module) -> bool:
    """True for a loss of MONAI's that sums over the batch first, or one that holds such a loss."""
    return any(bool(getattr(part, "batch", False)) for part in loss.modules())


def tumour_probability(logits: torch.Tensor, activation: str = "softmax") -> torch.Tensor:
    """(B, 2, H, W) logits -> (B, H, W) probability of the tumour class, the second."""
    if activation == "sigmoid":
        return torch.sigmoid(logits[:, 1])
    return torch.softmax(logits, dim=1)[:, 1]
