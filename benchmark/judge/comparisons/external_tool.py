"""Another tool, scored from its masks, beside the recorded arms on the same test slices. Pure."""

from __future__ import annotations

import pandas as pd

from benchmark.judge.cells import NO_SEED, SAME_CELL, TERMS, Cell, cell_of, disambiguated, size_of
from benchmark.judge.comparisons.runs import CLICK, CONDITIONS, LEGEND, named
from benchmark.judge.reference import Tolerances
from benchmark.judge.statistics.contrast import DICE, contrast, mean
from benchmark.judge.statistics.spread_of_seeds import spreads
from benchmark.judge.tables import Column, Record, Table
from benchmark.runs.collect import Collected
from benchmark.scoring.external_masks import ExternalScores
from benchmark.splits.files import ALL


def external_tool_cell(name: str, split_id: str, scores: pd.DataFrame) -> Cell:
    """A cell of one set of masks, of unknown trainings; scores: rows as `evaluate.score` gives."""
    return _cell(name, scores.assign(split_id=split_id))


def beside(name: str, scores: pd.DataFrame, cell: Cell) -> tuple[Cell, Cell]:
    """The tool on every split that a cell was tested on, and the cell, on the slices of both.

    scores: one row per slice, as `evaluate.score` gives; they hold whatever split tested the slice.
    """
    tested = cell.rows[["split_id", "slice_id"]].drop_duplicates()
    tool = _cell(name, tested.merge(scores, on="slice_id"))
    return tool, cell.where(lambda rows: rows["slice_id"].isin(scores["slice_id"]))


def _cell(name: str, rows: pd.DataFrame) -> Cell:
    splits = sorted(set(rows["split_id"]))
    runs = pd.DataFrame(
        {"run_id": name, "seed": pd.array([None] * len(splits), "Int64"), "split_id": splits}
    )
    return Cell(name, "", None, float("nan"), False, runs, rows.assign(seed=NO_SEED))


def external_tool_table(
    name: str, judged: ExternalScores, collected: Collected, rules: Tolerances
) -> Table | None:
    """Set masks scored on one split against every cell that was run on it; None where none was.

    Of masks scored on all slices, against every cell, on the slices that it tested; of several
    splits, against every cell on those of them that it was run on. Both sides are
    taken on the slices that the tool has masks of. The interval has patients as the unit and our
    seeds' spread; that of the other tool's own trainings is not in it, so a difference is real only
    as far as these masks go.
    """
    runs = collected.runs.sort_values("run_id")
    same, alike = runs["dataset_id"] == judged.dataset_id, [*TERMS]
    if judged.split.split_id != ALL:
        of = judged.parts or (judged.split,)
        same &= runs["split_fingerprint"].isin([split.fingerprint for split in of])
        alike = [*TERMS] if judged.parts else [*CONDITIONS]
    rows: list[Record] = []
    level = rules.contrasts.level
    for _, group in runs[same].groupby(alike):
        arms = group.groupby(list(SAME_CELL))
        cells = disambiguated([cell_of(part, collected) for _, part in arms])
        pairs = [beside(name, judged.scores, cell) for cell in cells]
        pairs = [(tool, cell) for tool, cell in pairs if len(cell.rows)]
        varying = spreads([cell for _, cell in pairs], DICE)
        first = group.iloc[0]
        for tool, cell in pairs:
            difference = contrast([(1.0, tool), (-1.0, cell)], DICE, varying.of([cell]))
            low, high = difference.interval(level) if difference else (None, None)
            row = {
                "arm": named({"arm": cell.name, "click": cell.needs_click}),
                "size": size_of(first),
                "precision": first["precision"],
                "protocol": first["protocol"],
                "trainings": len(cell.runs),
                "slices": len(tool.rows),
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
        Column("slices", "slices"),
        Column("mean Dice", "dice", "{:.4f}"),
        Column(f"{name} minus it", "difference", "{:+.4f}"),
        Column(f"{level:.0%} interval", ("low", "high"), "{:+.3f} to {:+.3f}"),
    )
    note = (
        "On the same slices, with patients as the unit; how another training of the tool would "
        "differ is not included."
    )
    less = f"{name} has no mask of {len(judged.left_out)} test slices: no arm is taken on these."
    notes = [note, *([less] if len(judged.left_out) else [])]
    notes += [LEGEND] if any(row["arm"].endswith(CLICK) for row in rows) else []
    return Table(f"{name} beside the recorded arms.", rows, columns, tuple(notes))
