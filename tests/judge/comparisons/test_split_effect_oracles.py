"""By image minus by patient on the shipped records, by three ways that are not the judge's.

Two mixed models with crossed random effects, and a bootstrap of patients. The closed formula weighs
slices alike and has its variances from sums of squares; the models weigh slices by the variances
that they find, and take those for known. So estimates are held together within a
quarter of a standard error, and standard errors within a fifth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import linalg, optimize
from statsmodels.regression.mixed_linear_model import MixedLM
from worlds import rng

from benchmark.judge.cells import Cell, cell_of
from benchmark.judge.comparisons.split_effect import SplitEffect, split_effects
from benchmark.judge.statistics.estimate import Estimate, clustered_mean
from benchmark.runs.collect import Collected, collect, reproduction_folder

ESTIMATES, ERRORS = 0.25, 0.2  # in standard errors; as a share
RESAMPLES = 4000


@pytest.fixture(scope="module")
def records() -> Collected:
    return collect(reproduction_folder())


@pytest.fixture(scope="module")
def effect(records: Collected) -> SplitEffect:
    """The thesis's best cell at 256x256: five draws, seven folds, two seeds each."""
    (effect,) = (effect for effect in split_effects(records) if len(effect.seeds) == 2)
    assert (effect.slices, effect.patients, len(effect.seeds)) == (530, 81, 2)
    return effect


@pytest.fixture(scope="module")
def closed(effect: SplitEffect) -> Estimate:
    assert effect.difference is not None
    return effect.difference


def differences(effect: SplitEffect) -> pd.DataFrame:
    """By image minus by patient of each slice, each the mean of its two seeds, and where it was
    tested; whatever is easy or hard about a patient or a slice is gone from it.
    """

    def of(cell: Cell) -> tuple[pd.Series[float], pd.Series[str]]:
        by_slice = cell.rows.groupby("slice_id")
        assert (by_slice.size() == 2).all()
        return by_slice["dice"].mean(), by_slice["split_id"].first()

    (image, draw), (patient, fold) = of(effect.image), of(effect.patient)
    names = effect.image.rows.groupby("slice_id")["patient_id"].first()
    return pd.DataFrame(
        {"difference": image - patient, "patient": names, "draw": draw, "fold": fold}
    )


def agree(value: float, se: float, closed: Estimate) -> None:
    assert value == pytest.approx(closed.value, abs=ESTIMATES * closed.se)
    assert se == pytest.approx(closed.se, rel=ERRORS)


@pytest.mark.filterwarnings("ignore:The MLE may be on the boundary")  # draws hardly differ
def test_the_leak_is_that_of_a_mixed_model_of_the_differences(
    effect: SplitEffect, closed: Estimate
) -> None:
    """statsmodels, REML, patients crossed with draws and folds: +0.037, SE 0.0076."""
    table = differences(effect)
    table["difference"] *= 10  # near 1, where its optimiser converges
    effects = {name: f"0 + C({name})" for name in ("patient", "draw", "fold")}
    model = MixedLM.from_formula(
        "difference ~ 1", table, groups=np.ones(len(table)), vc_formula=effects, re_formula="0"
    )
    fitted = model.fit(reml=True, method="powell")
    assert fitted.converged
    agree(fitted.params["Intercept"] / 10, fitted.bse_fe["Intercept"] / 10, closed)


@dataclass(frozen=True)
class Model:
    """y = X b + Z u + e, an SD for each block of u. gram: [Z X y]'[Z X y]; n: how many y there are;
    q: how many effects each block has.
    """

    gram: NDArray[np.float64]
    n: int
    q: list[int]

    def solve(self, log_sd: NDArray[np.float64]) -> tuple[float, float, float]:
        """-2 log of the restricted likelihood, b's last and its SE, at SDs in units of e's.

        Henderson's mixed model equations, u absorbed (Bates & DebRoy, J. Multivariate Analysis 91
        (2004) 1).
        """
        u, scale = slice(0, sum(self.q)), np.repeat(np.exp(log_sd), self.q)
        fixed = slice(sum(self.q), None)
        inner = self.gram[u, u] * np.outer(scale, scale) + np.eye(len(scale))
        root = np.linalg.cholesky(inner)
        absorbed = linalg.solve_triangular(root, scale[:, None] * self.gram[u, fixed], lower=True)
        left = self.gram[fixed, fixed] - absorbed.T @ absorbed
        xx, xy, yy = left[:-1, :-1], left[:-1, -1], left[-1, -1]
        b, df = np.linalg.solve(xx, xy), self.n - len(xx)
        variance = (yy - xy @ b) / df
        deviance = 2 * np.log(np.diag(root)).sum() + np.linalg.slogdet(xx)[1]
        se = float(np.sqrt(variance * np.linalg.inv(xx)[-1, -1]))
        return float(deviance + df * np.log(variance)), float(b[-1]), se


def model_of(rows: pd.DataFrame) -> Model:
    """Dice of every run and slice, of patients, patients by kind of split, slices, training sets
    and trainings; the last fixed effect is by image.
    """
    by_image = rows["split_id"].str.startswith("by-image")
    training = rows["split_id"] + rows["seed"].astype(str)
    by_kind = rows["patient_id"] + by_image.astype(str)
    blocks = [
        pd.get_dummies(names).to_numpy(dtype=float)
        for names in (rows["patient_id"], by_kind, rows["slice_id"], rows["split_id"], training)
    ]
    whole = np.column_stack([*blocks, np.ones(len(rows)), by_image, rows["dice"]]).astype(float)
    return Model(whole.T @ whole, len(rows), [block.shape[1] for block in blocks])


def test_the_leak_is_that_of_a_mixed_model_of_every_score(
    records: Collected, closed: Estimate
) -> None:
    """All 25 trainings on all 708 slices, 990 random effects in five blocks: +0.037, SE 0.0077."""
    runs = records.runs
    runs = runs[(runs["arm"] == "unet") & (runs["height"] == 256) & (runs["precision"] == "fp32")]
    runs = runs[~runs["changed_settings"].str.contains("patience")]
    rows = cell_of(runs[(runs["kernel_size"] == 5) & (runs["alpha"] == 0.5)], records).rows
    model = model_of(rows)
    assert (model.q[0], model.q[2], model.q[4], model.n) == (82, 708, 25, 2582)
    begin = np.log([1.5, 0.3, 1.4, 0.06, 0.1])
    found = optimize.minimize(
        lambda log_sd: model.solve(log_sd)[0], begin, method="L-BFGS-B", options={"ftol": 1e-8}
    )
    assert found.success
    agree(*model.solve(found.x)[1:], closed)


def test_the_leaks_interval_is_that_of_a_studentised_bootstrap_of_patients(
    effect: SplitEffect, closed: Estimate
) -> None:
    """Patients are drawn with replacement with all their slices, and each resample's error is
    divided by its own standard error (Hall, The Bootstrap and Edgeworth Expansion, 1992); what
    trainings and their sets bring, which patients cannot show, is drawn beside them from its
    variance, as well known as it is. +0.018 to +0.052; no normality of patients, no
    Satterthwaite.
    """
    table, random = differences(effect), rng(15)
    over_patients = clustered_mean(table["difference"].to_numpy(), table["patient"].tolist())
    others = closed.variance.value - over_patients.variance.value
    parts = closed.variance.value**2 / closed.variance.df
    parts -= over_patients.variance.value**2 / over_patients.variance.df
    df = others**2 / parts  # of what trainings and their sets bring
    by_patient = table.groupby("patient")["difference"].agg(["sum", "size"]).to_numpy()
    chosen = random.integers(0, len(by_patient), (RESAMPLES, len(by_patient)))
    sums, sizes = by_patient[chosen, 0], by_patient[chosen, 1]
    means = sums.sum(axis=1) / sizes.sum(axis=1)
    share = sizes / sizes.sum(axis=1, keepdims=True)
    left = sums / sizes.sum(axis=1, keepdims=True) - share * means[:, None]
    factor = 1 / (1 - 2 * share + (share**2).sum(axis=1, keepdims=True))
    own = (left**2 * factor).sum(axis=1)
    drawn = np.sqrt(others) * random.standard_normal(RESAMPLES)
    seen = others * random.chisquare(df, RESAMPLES) / df
    errors = (means - over_patients.value + drawn) / np.sqrt(own + seen)
    low, high = closed.value - closed.se * np.quantile(errors, [0.975, 0.025])
    wide = 2 * closed.half_width(0.95)
    assert (low, high) == pytest.approx(closed.interval(0.95), abs=0.1 * wide)
    assert high - low == pytest.approx(wide, rel=0.1)
