"""README states only what the shipped records say."""

from __future__ import annotations

import re

from bench_forms import ROOT

from benchmark.collect import collect, reproduction_folder

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_shipped_run_stands_in_the_tables() -> None:
    """Mean, SD over slices, median, mean over patients, missed: as the records have them, to three decimals."""
    runs = collect(reproduction_folder()).runs
    rows = set(re.findall(r"\| (\d+) \| ([\d.]{5}) \| ([\d.]{5}) \| ([\d.]{5}) \| ([\d.]{5}) \| (\d+) \|", README))
    recorded = {
        (
            str(run["test.n"]),
            f"{run['test.dice_mean']:.3f}",
            f"{run['test.dice_sd']:.3f}",
            f"{run['test.dice_median']:.3f}",
            f"{run['test.dice_mean_by_patient']:.3f}",
            str(run["test.missed"]),
        )
        for run in runs.to_dict("records")
    }
    assert rows
    assert rows <= recorded
    assert len(rows) == len(runs)


def test_the_count_of_trainings_is_true() -> None:
    """N of 108: trainings of the thesis's grid at its own size and split among the shipped records."""
    runs = collect(reproduction_folder()).runs
    whole = runs[(runs["arm"] == "unet") & (runs["height"] == 512) & (runs["split_id"] == "by-image-1")]
    assert f"{len(whole)} of 108 trainings" in README
