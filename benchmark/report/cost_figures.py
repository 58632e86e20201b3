"""What a Dice costs: training time and parameters of every arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from benchmark.judge.cells import Panel
from benchmark.judge.contrast import DICE, common, mean
from benchmark.judge.results import CLICK
from benchmark.report.figure import GRID, INK, KERNEL_COLOURS, KERNEL_MARKERS, WIDE, Figure, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

OTHER_MARKERS = "^<>PX*hp8"  # of arms without a kernel, in order of their names


def cost_figures(panel: Panel) -> list[Figure]:
    """Dice against training time and parameters, for the cells of a panel that share a split; none below two cells."""
    cells = common(panel.cells)
    if len(cells) < 2 or any(cell.rows.empty for cell in cells):
        return []
    data = pd.DataFrame(
        [
            {
                "arm": f"{cell.name} {CLICK}" if cell.needs_click else cell.name,
                "kernel_size": cell.kernel_size,
                "dice": mean(cell, DICE),
                "fit_minutes": float(cell.runs["timing.fit_seconds"].mean()) / 60,
                "parameters": int(cell.runs["parameters"].iloc[0]),
                "trainings": len(cell.runs),
                "devices": ", ".join(sorted(set(cell.runs["device"]))),
            }
            for cell in cells
        ]
    )
    splits, devices = ", ".join(sorted(cells[0].splits)), "; ".join(sorted(set(data["devices"])))
    note = f"{CLICK}: saw where the tumour is. " if any(cell.needs_click for cell in cells) else ""
    told = "; ".join(f"{row.arm}: Dice {row.dice:.3f}, {row.fit_minutes:.1f} min" for row in data.itertuples())
    caption = (
        f"Every arm's mean test Dice on {splits} against the mean time of one training and its trained parameters. "
        f"{note}Minutes are of the machine that trained ({devices}) and compare on one machine only."
    )
    return [Figure("dice-against-cost", "Dice against cost", caption, f"{told}.", data, _draw_cost)]


def _draw_cost(data: pd.DataFrame) -> Canvas:
    drawn, (left, right) = canvas(WIDE, 2.8, 1, 2, sharey=True)
    others = iter(OTHER_MARKERS * len(data))
    for row in data.to_dict("records"):
        known = pd.notna(row["kernel_size"])
        colour = KERNEL_COLOURS.get(int(row["kernel_size"]), INK) if known else INK
        marker = KERNEL_MARKERS.get(int(row["kernel_size"]), "o") if known else next(others)
        style = {"marker": marker, "color": colour, "linestyle": "none", "markersize": 6}
        style |= {"markerfacecolor": "none"} if CLICK in row["arm"] else {}
        left.plot(max(row["fit_minutes"], 1e-3), row["dice"], label=row["arm"], **style)
        right.plot(row["parameters"] / 1e6, row["dice"], **style)
    left.set(xscale="log", xlabel="one training, minutes", ylabel="mean test Dice", ylim=(-0.03, 1.0))
    left.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    right.set(xlabel="trained parameters, millions", xlim=(-0.5, None))
    for axes in (left, right):
        axes.grid(color=GRID, linewidth=0.4, alpha=0.6)
    if len(data) <= 12:
        drawn.legend(loc="outside right upper")
    return drawn
