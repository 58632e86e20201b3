"""A grid to tell of."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_forms import spec_of

from baselines import ARMS
from benchmark.data.slices import SliceSet
from benchmark.planning import status as status_module
from benchmark.planning.grid import Grid
from benchmark.planning.request import PlannedRuns
from benchmark.protocol import Recipe
from benchmark.splits.split import make


@pytest.fixture
def planned(
    slices: SliceSet, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PlannedRuns:
    """Three kernels, two epochs each."""
    monkeypatch.setattr(status_module, "reproduction_folder", lambda: tmp_path / "shipped")
    split, unet = make(slices, recipe.split, 1), ARMS["unet"]
    specs = [spec_of("unet", unet, slices, split, recipe, kernel_size=k) for k in (3, 5, 7)]
    grid = Grid("some", (), (1,))
    return PlannedRuns(slices, {split.split_id: split}, specs, grid, tmp_path / "runs")
