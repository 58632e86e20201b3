"""Another tool, scored from its masks, beside the recorded arms on the same test slices. Pure."""

from __future__ import annotations

import pandas as pd

from benchmark.judge.cells import NO_SEED, SAME_CELL, Cell, cell_of, disambiguated, size_of
from benchmark.judge.comparisons.runs import CLICK, CONDITIONS, LEGEND, named
from benchmark.judge.reference import Tolerances
from benchmark.judge.statistics.contrast import DICE, contrast, mean
from benchmark.judge.statistics.spread_of_seeds import spreads
from benchmark.judge.tables import Column, Record, Table
from benchmark.runs.collect import Collected
from benchmark.scoring.external_masks import ExternalScores


def external_tool_cell(name: str, split_id: str, scores: pd.DataFrame) -> Cell:
    """A cell of one set of masks, of unknown trainings; scores: rows as `evaluate.score` gives."""
    runs = pd.DataFrame(
        {"run_id": [name], "seed": pd.array([None], "Int64"), "split_id": [split_id]}
    )
    rows = scores.assign(split_id=split_id, seed=NO_SEED)
    return Cell(name, "", None, float("nan"), False, runs, rows)


def external_tool_table(
    name: str, judged: ExternalScores, collected: Collected, rules: Tolerances
) -> Table | None:
    """Set masks scored on one split against every cell that was run on it; None where none was.

    The interval has patients as the unit and our seeds' spread; that of the other tool's own
    trainings is not in it, so a difference is real only as far as these masks go.
    """
    runs = collected.runs.sort_values("run_id")
    same = runs["split_fingerprint"] == judged.split.fingerprint
    same &= runs["dataset_id"] == judged.dataset_id
    rows: list[Record] = []
    level = rules.contrasts.level
    for _, group in runs[same].groupby(list(CONDITIONS)):
        arms = group.groupby(list(SAME_CELL))
        cells = disambiguated([cell_of(part, collected) for _, part in arms])
        varying = spreads(cells, DICE)
        first = group.iloc[0]
        tool = external_tool_cell(name, str(first["split_id"]), judged.scores)
        for cell in cells:
            difference = contrast([(1.0, tool), (-1.0, cell)], DICE, varying.of([cell]))
            low, high = difference.interval(level) if difference else (None, None)
            row = {
                "arm": named({"arm": cell.name, "click": cell.needs_click}),
                "size": size_of(first),
                "precision": first["precision"],
                "protocol": first["protocol"],
                "trainings": len(cell.runs),
                "dice": mean(cell, DICE),
                "difference": difference.value if difference else None,
                "low": low,
                "high": high,
            }
            rows.append(row)
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
    note = (
        "On the same slices, with patients as the unit; how another training of the tool would "
        "differ is not included."
    )
    notes = [note, *([LEGEND] if any(row["arm"].endswith(CLICK) for row in rows) else [])]
    return Table(f"{name} beside the recorded arms.", rows, columns, tuple(notes))
