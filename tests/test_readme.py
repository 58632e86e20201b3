"""README states only what the shipped records say."""

from __future__ import annotations

import re

from bench_forms import ROOT

from benchmark.collect import collect, reproduction_folder
from benchmark.judge.precisions import precisions
from benchmark.judge.reference import load_tolerances

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


PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_every_speed_on_the_page_was_written_by_the_command() -> None:
    """Ratios with their spread, and rows of contestants, stand in performance/RESULTS.md."""
    results = (ROOT / "performance" / "RESULTS.md").read_text(encoding="utf-8")
    ratios = re.findall(r"\d\.\d\d \(\d\.\d\d - \d\.\d\d\)", PERFORMANCE)
    assert len(ratios) > 10
    assert [ratio for ratio in ratios if ratio not in results] == []
    rates = re.findall(r"\| (\d+\.\d\d) \|", PERFORMANCE) + re.findall(r"(\d+\.\d\d) images/s", PERFORMANCE)
    assert [rate for rate in rates if f"| {rate} " not in results] == []
    assert [
        day for day in re.findall(r"section of (\d\d:\d\d)", PERFORMANCE) if f" {day}, 512x512" not in results
    ] == []


def test_the_verdict_on_bf16_is_that_of_the_records() -> None:
    rows = precisions(collect(reproduction_folder()).runs, load_tolerances().precision)
    lines = [
        f"| {r.size} | {r.split_id} | {r.seeds} | {r.dice:.4f} | {r.plain_dice:.4f} | {r.dice - r.plain_dice:+.4f} "
        f"| {r.sd:.4f} | {r.plain_sd:.4f} | {r.agreement} |"
        for r in rows
    ]
    assert lines
    assert [line for line in lines if line not in PERFORMANCE] == []
