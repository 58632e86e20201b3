"""Another tool, scored from a folder of its masks, beside the recorded arms on the same test
slices. Pure.
"""

from __future__ import annotations

import pandas as pd

from benchmark.judge.cells import NO_SEED, Cell, cell_of, size_of
from benchmark.judge.comparisons.runs import CLICK, CONDITIONS, LEGEND
from benchmark.judge.statistics.contrast import DICE, between_seeds, contrast, mean
from benchmark.judge.tables import Column, Record, Table
from benchmark.runs.collect import Collected
from benchmark.scoring.external_masks import ExternalScores


def external_tool_cell(name: str, split_id: str, scores: pd.DataFrame) -> Cell:
    """A cell of one set of masks: rows as `evaluate.score` gives them. Its trainings are not ours
    to know.
    """
    runs = pd.DataFrame(
        {"run_id": [name], "seed": pd.array([None], "Int64"), "split_id": [split_id]}
    )
    rows = scores.assign(split_id=split_id, seed=NO_SEED)
    return Cell(name, "", None, float("nan"), False, runs, rows)


def external_tool_table(
    name: str, judged: ExternalScores, collected: Collected, level: float
) -> Table | None:
    """Set masks scored on one split against every cell that was run on it; None where none was.

    The interval has patients as the unit and our seeds' spread; that of the other tool's own
    trainings is not in it, so a difference is real only as far as these masks go.
    """
    runs = collected.runs
    met = runs[
        (runs["split_fingerprint"] == judged.split.fingerprint)
        & (runs["dataset_id"] == judged.dataset_id)
    ]
    rows: list[Record] = []
    for _, group in met.sort_values("run_id").groupby(list(CONDITIONS)):
        cells = [
            cell_of(part, collected) for _, part in group.groupby(["needs_click", "arm", "params"])
        ]
        spread = between_seeds(cells, DICE)
        first = group.iloc[0]
        visitor = external_tool_cell(name, str(first["split_id"]), judged.scores)
        for cell in cells:
            found = contrast([(1.0, visitor), (-1.0, cell)], DICE, spread)
            low, high = found.interval(level) if found else (None, None)
            rows.append(
                {"arm": f"{cell.name} {CLICK}" if cell.needs_click else cell.name,
                 "size": size_of(first), "precision": first["precision"],
                 "protocol": first["protocol"], "trainings": len(cell.runs), "dice": mean(cell, DICE),
                 "difference": found.value if found else None, "low": low, "high": high}
            )  # fmt: skip
    if not rows:
        return None
    rows.sort(key=lambda row: (-row["dice"], row["arm"]))
    columns = (
        Column("arm", "arm"),
        Column("fed at", "size"),
        Column("precision", "precision"),
        Column("protocol", "protocol"),
        Column("runs", "trainings"),
        Column("mean Dice", "dice", "{:.4f}"),
        Column(f"{name} minus it", "difference", "{:+.4f}"),
        Column(f"{level:.0%} interval", ("low", "high"), "{:+.3f} to {:+.3f}"),
    )
    notes = [
        "On the same slices, with patients as the unit; how another training of the tool would differ is not included."
    ]
    if any(row["arm"].endswith(CLICK) for row in rows):
        notes.append(LEGEND)
    return Table(f"{name} beside the recorded arms.", rows, columns, tuple(notes))
