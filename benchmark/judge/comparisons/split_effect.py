"""The effect of the split: the same arm by image and by patient, on the same slices. Pure.

Each slice's Dice by image minus its Dice by patient; of their mean the variance is, over D draws
and F folds,

    v = v_patient + (s^2 - i^2) sum of shares^2 + r^2 (1/D + 1/F)

The first two are a contrast's (`benchmark.judge.statistics.crossed`). r^2 is what training sets
bring: what the differences' means on the draws, and on the folds, vary beyond their patients and
seeds, pooled over both kinds of split, D + F - 2 degrees of freedom (analysis of variance with
splits as a random effect: Searle, Casella & McCulloch, Variance Components, 1992, chapter 3). The
differences tell it far better than the means by image or by patient would, since what is easy or
hard about a slice is not in them. s^2 and i^2 are pooled over all draws and folds, which weigh
about alike, so that spreads that differ between them are simulated to do no harm.

In `tests/judge/comparisons`, mixed models and a bootstrap agree with it on our records
(`test_split_effect_oracles.py`), and it is counted how often its intervals hold the truth
(`test_split_effect_coverage.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from benchmark.judge.cells import (
    NO_SEED,
    SAME_CELL,
    TERMS,
    Cell,
    cell_of,
    data_of,
    disambiguated,
    protocol_of,
    size_of,
)
from benchmark.judge.comparable import fitted_as_the_thesis
from benchmark.judge.reference import SplitEffectRule
from benchmark.judge.statistics.contrast import (
    DICE,
    SLICE,
    contrast,
    mean,
    reduced,
)
from benchmark.judge.statistics.estimate import NONE, Estimate, Variance, clustered_mean
from benchmark.judge.statistics.spread_of_seeds import pooled
from benchmark.judge.tables import Column, Table
from benchmark.runs.collect import Collected

ALIKE = (*(name for name in TERMS if name != "protocol_hash"), "recipe_hash", *SAME_CELL)
NONE_KNOWN = Variance(0.0, 0)


@dataclass(frozen=True)
class SplitEffect:
    """One arm by image and by patient, with the seeds that both have, on the slices that both
    tested.

    seeds: none for an arm that has none. difference: mean Dice by image - by patient; None
    where it cannot be told (see `contrast`).
    """

    image: Cell
    patient: Cell
    difference: Estimate | None
    seeds: tuple[int, ...]

    @property
    def slices(self) -> int:
        return int(self.image.rows["slice_id"].nunique())

    @property
    def patients(self) -> int:
        return int(self.image.rows["patient_id"].nunique())


def split_effects(collected: Collected) -> list[SplitEffect]:
    """Pair every arm that was run by image and by patient with one recipe, size and precision.

    The recipes may differ in one more thing than the split: the images that Nyul's histogram is
    fitted on, which by patient are the training images alone, and by image those of the thesis's
    protocol. Runs under two protocols never make one cell.
    """
    runs = collected.runs[~collected.runs["needs_click"]].sort_values("run_id")
    runs = fitted_as_the_thesis(runs)
    effects = []
    for _, part in runs.groupby(list(ALIKE)):
        units = set(part["split_unit"])
        if not {"image", "patient"} <= units:
            continue
        image, patient = (
            [cell_of(group, collected) for _, group in of_unit.groupby("protocol_hash")]
            for of_unit in (part[part["split_unit"] == unit] for unit in ("image", "patient"))
        )
        effects += [_effect(*pair) for pair in product(image, patient)]
    effects = [effect for effect in effects if effect.slices]
    images = disambiguated([effect.image for effect in effects])
    return [replace(effect, image=cell) for effect, cell in zip(effects, images, strict=True)]


def _effect(image: Cell, patient: Cell) -> SplitEffect:
    seeds = pooled([image, patient], DICE)
    both = _tested(image.rows).intersection(_tested(patient.rows))  # the same slice and seed
    image, patient = (
        cell.where(lambda rows: _tested(rows).isin(both)) for cell in (image, patient)
    )
    difference = contrast([(1.0, image), (-1.0, patient)], DICE, seeds, by_slice=True)
    if difference and seeds:
        difference = Estimate(difference.value, difference.variance + _sets(image, patient, seeds))
    return SplitEffect(image, patient, difference, tuple(sorted(image.seeds - {NO_SEED})))


def _sets(image: Cell, patient: Cell, seeds: Variance) -> Variance:
    """What training sets bring to the variance of the difference, r^2 (1/D + 1/F)."""
    by_image, by_patient = (reduced(cell, DICE).by_slice for cell in (image, patient))
    kinds = [
        _between_splits(by_image, by_patient, image, seeds),
        _between_splits(by_patient, by_image, patient, seeds),
    ]
    df = sum(beyond.df for _, beyond in kinds)
    if not df:
        return NONE
    r2 = max(0.0, sum(beyond.value * beyond.df for _, beyond in kinds) / df)
    return Variance(r2, df) * sum(1 / splits for splits, _ in kinds)


def _between_splits(
    own: pd.Series[float], other: pd.Series[float], cell: Cell, seeds: Variance
) -> tuple[int, Variance]:
    """How many splits a cell has, and what the differences' means on them vary beyond patients and
    seeds: less than 0 by chance. No degree of freedom where a split has one patient alone.
    """
    elsewhere = other.groupby(SLICE[1:]).mean()
    paired = (own - elsewhere).reset_index("split_id", name="value")
    by_split = [part for _, part in paired.groupby("split_id")]
    patients = [part.index.get_level_values("patient_id").tolist() for part in by_split]
    if len(by_split) < 2 or any(len(set(names)) < 2 for names in patients):
        return len(by_split), NONE_KNOWN
    means = [
        clustered_mean(part["value"].to_numpy(dtype=float), names)
        for part, names in zip(by_split, patients, strict=True)
    ]
    trainings = cell.rows.groupby("split_id").size() / own.groupby("split_id").size()
    fresh = float(np.mean([mean.variance.value for mean in means]))
    of_seeds = seeds.value * float((1 / trainings).mean())
    between = float(np.var([mean.value for mean in means], ddof=1))
    return len(means), Variance(between - fresh - of_seeds, len(means) - 1)


def _tested(rows: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(rows[["slice_id", "seed"]])


def split_effect_table(effects: Sequence[SplitEffect], rule: SplitEffectRule) -> Table:
    """One row per arm, size and precision: by image, by patient, difference and interval."""
    interval = f"{rule.level:.0%} interval"
    columns = (
        Column("arm", "arm"),
        Column("data", "data"),
        Column("protocols", ("protocol_image", "protocol_patient"), "{}, {}"),
        Column("fed at", "size"),
        Column("precision", "precision"),
        Column("seeds", "seeds", lambda n: str(n or "-")),
        Column("draws", "draws"),
        Column("folds", "folds"),
        Column("slices", "slices"),
        Column("patients", "patients"),
        Column("by image", "dice_image", "{:.4f}"),
        Column("by patient", "dice_patient", "{:.4f}"),
        Column("difference", "difference", "{:+.4f}"),
        Column(interval, ("low", "high"), "{:+.3f} to {:+.3f}"),
    )
    note = (
        "Both means are over the same slices, those that were tested in a split by image and in "
        "one by patient, and over the seeds that both have. Four things more differ by patient: "
        "the images that Nyul's histogram is fitted on, the slices to train on, the patients "
        "among them and the epochs trained; so the difference is that of two ways to split, not "
        "of leaking slices alone (compare --section variance)."
    )
    essential = ("arm", "fed at", "precision", "slices", "by image", "by patient", "difference",
                 interval)  # fmt: skip
    title = "By image against by patient: the same arm, seeds and slices."
    return Table(
        title, [_row(effect, rule.level) for effect in effects], columns, (note,), essential
    )


def _row(effect: SplitEffect, level: float) -> dict[str, object]:
    first = effect.image.runs.iloc[0]
    low, high = effect.difference.interval(level) if effect.difference else (None, None)
    return {
        "arm": effect.image.name,
        "params": effect.image.params,
        "data": data_of(first),
        "protocol_image": protocol_of(effect.image.runs),
        "protocol_patient": protocol_of(effect.patient.runs),
        "size": size_of(first),
        "precision": first["precision"],
        "seeds": len(effect.seeds),
        "draws": len(effect.image.splits),
        "folds": len(effect.patient.splits),
        "slices": effect.slices,
        "patients": effect.patients,
        "dice_image": mean(effect.image, DICE),
        "dice_patient": mean(effect.patient, DICE),
        "difference": effect.difference.value if effect.difference else None,
        "low": low,
        "high": high,
    }
