"""The thesis's claims in words, each a predicate on records with a statistic of its own.

`CLAIMS` maps the ids of `reference_results/thesis.toml` to their predicates, whose docstrings
say how each is read. Numbers come from `[claims]` of `tolerances.toml`, fixed before the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmark.judge.claims import grid_claims, image_claims
from benchmark.judge.claims.evidence import Predicate

CLAIMS: Mapping[str, Predicate] = MappingProxyType(
    {
        "best-cell": grid_claims.best_cell,
        "extremes-worse": grid_claims.extremes_worse,
        "small-kernels-mean": grid_claims.small_kernels_mean,
        "small-kernels-spread": grid_claims.small_kernels_spread,
        "tversky-no-gain": grid_claims.tversky_no_gain,
        "alpha-direction": grid_claims.alpha_direction,
        "small-tumours": image_claims.small_tumours,
        "image-spread": image_claims.image_spread,
        "necrotic-centres": image_claims.necrotic_centres,
        "vessels-excluded": image_claims.vessels_excluded,
    }
)

CHECKS = frozenset({"alpha-direction"})
"""Claims that follow from the loss, whatever the data: judged like the others, counted apart."""
