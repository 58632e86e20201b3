"""A second reading of test slices in memory, beside runs as `run_records.table` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from run_records import NEWER, table

from benchmark.judge.comparisons.second_reader import SecondReading

SIZED = (*NEWER, "truth_mm2", "predicted_mm2")


def reading(
    dice: Sequence[float], patients: Sequence[Any], *, first_slice: int = 0,
    within: Sequence[float] = (), **measures: Sequence[float],
) -> SecondReading:  # fmt: skip
    """Dice of the second reader on slices from first_slice on; sizes of 100 unless given.

    within: Dice of two outlines of the first of these slices.
    """

    def scores(values: Sequence[float], more: dict[str, Sequence[float]]) -> pd.DataFrame:
        own = {name: [100.0] * len(values) for name in SIZED} | more
        made = table({0: values}, patients[: len(values)], first_slice=first_slice, measures=own)
        return made.scores.drop(columns="run_id")

    twice = scores(within, {}) if within else scores(dice, dict(measures)).head(0)
    return SecondReading(scores(dice, dict(measures)), twice.assign(variant=1))
