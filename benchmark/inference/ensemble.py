"""Several trained models as one: the mean of their probabilities, and how far they disagree.

The members' probabilities are averaged with equal weights, as a deep ensemble's are
(Lakshminarayanan et al., NeurIPS 2017), and a pixel is tumour where the mean is above 0.5. Their
disagreement is the standard deviation over the members, whose square is the part of the predictive
variance that comes from not knowing the model (Kwon et al., Computational Statistics & Data
Analysis 142 (2020) 106816). Each member frames, resizes and preprocesses as its own training did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.slices import Mask, Spacing
from benchmark.errors import SpecError
from benchmark.inference.outline import probabilities, warning
from benchmark.inference.trained_model import TrainedModel
from benchmark.scoring.evaluate import THRESHOLD, binarise
from benchmark.scoring.overlap import count

DIGITS = 4
WARNING = (
    "This is a research tool and no medical device; nothing here may guide the care of a patient.\n"
    "{models} trained on {seen} that show outlined tumours."
)
UNTRIED = (
    " {} never tried on\n"
    "healthy slices or on other tumours, and may well outline something there, too."
)


@dataclass(frozen=True, eq=False)
class Outlined:
    """What the models say of one slice (H, W).

    mask: where their mean probability is above 0.5; disagreement: the standard deviation of their
    probabilities in each pixel, float32 in [0, 0.5]; member_masks: each model's own.
    """

    mask: Mask
    disagreement: NDArray[np.float32]
    member_masks: Sequence[Mask]

    @property
    def measures(self) -> dict[str, float | None]:
        """The disagreement as columns of a table; none of one model, which cannot disagree.

        mean_disagreement: over the pixels of the mask, None where it is empty; member_dice: the
        mean Dice of each two members' masks, 1 for two empty ones.
        """
        if len(self.member_masks) < 2:
            return {}
        inside = self.disagreement[self.mask]
        pairs = [count(one, other).dice for one, other in combinations(self.member_masks, 2)]
        return {
            "mean_disagreement": round(float(inside.mean()), DIGITS) if inside.size else None,
            "member_dice": round(sum(sorted(pairs)) / len(pairs), DIGITS),
        }


def outlined(
    models: Sequence[TrainedModel], image: NDArray[Any], spacing_mm: Spacing | None
) -> Outlined:
    """Outline one upright image (H, W) by all models; `DataError` as `probabilities` raises it."""
    return combined([probabilities(model, image, spacing_mm) for model in models])


def combined(maps: Sequence[NDArray[np.float32]]) -> Outlined:
    """Combine one probability map (H, W) of each model; their order changes no bit.

    >>> both = combined([np.full((1, 1), p, np.float32) for p in (0.25, 1.0)])
    >>> both.mask.item(), both.disagreement.item()  # mean 0.625, each 0.375 from it
    (True, 0.375)
    """
    ordered = np.sort(np.stack(maps).astype(np.float64), axis=0)
    return Outlined(
        mask=ordered.mean(axis=0) > THRESHOLD,
        disagreement=ordered.std(axis=0).astype(np.float32),
        member_masks=[binarise(own) for own in maps],
    )


def check_members(models: Sequence[TrainedModel]) -> None:
    """Raise `SpecError` for a run that is named twice, and for phantoms among real slices."""
    (run_id, times), *_ = Counter(model.run_id for model in models).most_common(1)
    if times > 1:
        raise SpecError(
            f"--run {run_id}: is named {times} times, and would count as often in the mean; "
            "name each run once"
        )
    drawn = [model.run_id for model in models if model.phantom]
    if len(drawn) not in (0, len(models)):
        raise SpecError(
            f"--run {drawn[0]}: was trained on drawn phantoms, others on real slices; "
            "name runs of one kind"
        )


def names(models: Sequence[TrainedModel]) -> str:
    """The run_ids in one column: in the order of names, a blank between two."""
    return " ".join(sorted(model.run_id for model in models))


def doubts(
    models: Sequence[TrainedModel], shape: tuple[int, ...], spacing_mm: Spacing | None
) -> str:
    """The `warning` of each model that has one, each wording once."""
    told = (warning(model, shape, spacing_mm) for model in models)
    return "; ".join(dict.fromkeys(filter(None, told)))


def research_only(models: Sequence[TrainedModel], *, tried: bool = False) -> str:
    """What the reader of every result must know: no medical device, and what was trained on.

    tried: the result is itself a trial on whatever slices there are.
    """
    slices = _span(model.slices for model in models)
    known = all(model.patients for model in models)
    patients = f" of {_span(model.patients for model in models)} patients" if known else ""
    kind = "drawn phantoms" if models[0].phantom else f"2D slices{patients}"
    alone = len(models) == 1
    told = WARNING.format(
        models="The model was" if alone else f"The {len(models)} models, here averaged, were",
        seen=f"{slices} {kind}",
    )
    return told if tried else told + UNTRIED.format("It was" if alone else "They were")


def _span(counts: Any) -> str:
    low, *_, high = sorted([*counts] * 2)
    return f"{low}" if low == high else f"{low} to {high}"
