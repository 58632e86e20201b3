"""Spreads that are taken to be alike, where a test needs one for all cells and splits."""

from __future__ import annotations

from benchmark.judge.statistics.estimate import NONE, Variance
from benchmark.judge.statistics.spread_of_seeds import Shares, Spreads


class Alike(Spreads):
    """One variance, pooled over all groups."""

    def variance(self, shares: Shares) -> Variance | None:
        total = sum(share for *_, share in shares)
        return self.pooled * total if self.pooled and shares else None if shares else NONE

    def on(self, split: str) -> Variance | None:
        return self.pooled
