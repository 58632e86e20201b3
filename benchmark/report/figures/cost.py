"""What a Dice costs: training time and parameters of every arm."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from benchmark.judge.cells import Cell, Panel, cell_name
from benchmark.judge.comparisons.runs import CLICK, named
from benchmark.judge.statistics.contrast import DICE, mean
from benchmark.report import inks
from benchmark.report.figure import WIDE, Canvas, Figure, canvas, logarithmic

LEAST_MINUTES = 1e-4  # the axis is logarithmic
OTHER_MARKERS = "^<>PX*hp8"  # of arms without a kernel, in order of their names


def cost_figures(panel: Panel, grid_arm: str) -> list[Figure]:
    """Dice against training time and parameters, on the split that most cells were run on.

    None below two cells. grid_arm: the arm whose cells are told apart by their kernel alone.
    """
    ran = Counter(split for cell in panel.cells for split in cell.splits)
    split = min(ran, key=lambda name: (-ran[name], name))
    cells = [cell.on(splits=[split]) for cell in panel.cells if split in cell.splits]
    if len(cells) < 2:
        return []
    data = pd.DataFrame([_row(cell, grid_arm) for cell in cells])
    lost = ", ".join(cell.name for cell in panel.cells if split not in cell.splits)
    notes = [f"Run on other splits only: {lost}."] if lost else []
    if any(cell.needs_click for cell in cells):
        notes.insert(0, f"{CLICK}: was given a point in the tumour.")
    caption = (
        f"Every arm's mean test Dice on {split} against the mean time of one training and its "
        f"trained parameters. Minutes ({', '.join(sorted(set(data['devices'])))}) compare on one "
        f"machine only. {' '.join(notes)}"
    ).strip()
    rows = data.itertuples()
    alt = "; ".join(f"{row.arm}: Dice {row.dice:.3f}, {row.fit_minutes:.2g} min" for row in rows)
    return [Figure("dice-against-cost", "Dice against cost", caption, f"{alt}.", data, _plot_cost)]


def _row(cell: Cell, grid_arm: str) -> dict[str, object]:
    name = named({"arm": cell.name, "click": cell.needs_click})
    of_grid = cell.arm == grid_arm and not cell.source and cell.kernel_size is not None
    return {
        "arm": name,
        "group": cell_name(cell.arm, cell.kernel_size, float("nan")) if of_grid else name,
        "kernel_size": cell.kernel_size if of_grid else None,
        "dice": mean(cell, DICE),
        "fit_minutes": float(cell.runs["timing.fit_seconds"].mean()) / 60,
        "parameters": int(cell.runs["parameters"].iloc[0]),
        "trainings": len(cell.runs),
        "devices": ", ".join(sorted(set(cell.runs["device"]))),
    }


def _plot_cost(data: pd.DataFrame) -> Canvas:
    whole, (left, right) = canvas(WIDE, 2.8, 1, 2, sharey=True)
    others = iter(OTHER_MARKERS * len(data))
    for (group, kernel), part in data.groupby(["group", "kernel_size"], sort=False, dropna=False):
        known = pd.notna(kernel)
        style = {"linestyle": "none", "markersize": 6}
        style["marker"] = inks.KERNEL_MARKERS.get(int(kernel), "o") if known else next(others)
        style["color"] = inks.KERNEL_COLOURS.get(int(kernel), inks.INK) if known else inks.INK
        style |= {"markerfacecolor": "none"} if CLICK in group else {}
        left.plot(part["fit_minutes"].clip(lower=LEAST_MINUTES), part["dice"], label=group, **style)
        right.plot(part["parameters"] / 1e6, part["dice"], **style)
    left.set(xscale="log", xlabel="one training, minutes")
    left.set(ylabel="mean test Dice", ylim=(-0.03, 1.0))
    logarithmic(left.xaxis)
    right.set(xlabel="trained parameters, millions", xlim=(-0.5, None))
    for axes in (left, right):
        axes.grid(color=inks.GRID, linewidth=0.4, alpha=0.6)
    whole.legend(loc="outside right upper")
    return whole
