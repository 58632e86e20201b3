"""What the verdict hangs on: trainings whose record a later one of the same run replaced. Pure.

They count nowhere; here alone the runs are taken with them, once beside the training that replaced
each and once in its place. Where a seed was trained twice, both trainings are draws of what chance
can do to it, so that beside the other the one that was replaced has a seed of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import pandas as pd

from benchmark.judge.cells import cell_name, size_of
from benchmark.judge.comparable import in_cell, why_not
from benchmark.judge.reference import Reference, SupersededTraining, Tolerances
from benchmark.judge.tables import Column, Record, Table
from benchmark.judge.verdicts import Verdict
from benchmark.runs.collect import Collected

AS_IT_STANDS = "as it stands"
ADDED = "with the replaced training added"
IN_PLACE = "with it in place of the one that replaced it"
MARK = " (superseded)"  # of a run_id, which the training that replaced it may have as well


@dataclass(frozen=True, eq=False)
class Superseded:
    """collected: the records that were replaced; trainings: what became of each."""

    collected: Collected
    trainings: tuple[SupersededTraining, ...]

    def only(self, run_ids: Sequence[str]) -> Superseded:
        """The part of some runs."""
        runs, scores = (
            part[part["run_id"].isin(run_ids)].reset_index(drop=True)
            for part in (self.collected.runs, self.collected.scores)
        )
        kept = tuple(training for training in self.trainings if training.run_id in run_ids)
        return Superseded(replace(self.collected, runs=runs, scores=scores), kept)


@dataclass(frozen=True)
class Alternative:
    """The verdict on the printed Dice with other trainings; half widths of both intervals.

    before: the verdict under the rule before, whose interval was that for other patients.
    """

    what: str
    trainings: int
    dice: float | None
    sd: float | None
    another_split: float | None
    other_patients: float | None
    verdict: str
    before: str


def in_question(
    superseded: Superseded, reference: Reference, tolerances: Tolerances
) -> Superseded | None:
    """Return the replaced trainings that the printed Dice could have been judged on, or None."""
    cell, runs = reference.best_cell, superseded.collected.runs
    mine = runs[in_cell(runs, cell.arm, cell.kernel_size, cell.alpha)]
    usable = mine[why_not(mine, tolerances.dice.needs, reference, tolerances).isna()]
    return None if usable.empty else superseded.only(usable["run_id"].tolist())


def with_superseded(collected: Collected, superseded: Superseded) -> Mapping[str, Collected]:
    """Return the runs as they stand, with the replaced ones added and with them in the place of
    those that replaced them, by what is to be said of it.
    """
    runs, scores = superseded.collected.runs, superseded.collected.scores
    seeds = int(collected.runs["seed"].max()) + 1 + pd.RangeIndex(len(runs)).to_series()
    marked = runs.assign(run_id=runs["run_id"] + MARK)
    theirs = scores.assign(run_id=scores["run_id"] + MARK)
    successors = {training.replaced_by for training in superseded.trainings}
    stays = ~collected.runs["run_id"].isin(successors)
    own = marked.assign(seed=seeds.astype("Int64"))
    return MappingProxyType(
        {
            AS_IT_STANDS: collected,
            ADDED: _joined(collected, collected.runs, own, theirs),
            IN_PLACE: _joined(collected, collected.runs[stays], marked, theirs),
        }
    )


def _joined(
    collected: Collected, runs: pd.DataFrame, more: pd.DataFrame, scores: pd.DataFrame
) -> Collected:
    return replace(
        collected,
        runs=pd.concat([runs, more], ignore_index=True),
        scores=pd.concat([collected.scores, scores], ignore_index=True),
    )


def told(
    alternatives: Sequence[Alternative],
    collected: Collected,
    superseded: Superseded,
    changed: str,
    limit: float,
) -> str:
    """Return what the verdict is with the replaced trainings, now and by the rule before: each
    other verdict, or that there is none.

    alternatives: in the order of `with_superseded`; changed: the day of the change of rule; limit:
    the half width above which no number is reproduced.
    """
    stands, *others = alternatives
    ways = tuple(zip(("with the first added", "with the first in its place"), others, strict=True))
    now = [
        f"{way} {_verdict(row.dice, row.another_split, row.verdict, limit)}"
        for way, row in ways
        if row.verdict != stands.verdict
    ]
    before = [
        f"{way} {_verdict(row.dice, row.other_patients, row.before, limit)}"
        for way, row in ways
        if row.before != stands.before
    ]
    same = "is the same with the first added and with the first in its place."
    rule = f"By the rule that decided until {changed} (changed on that day, with this known)"
    replaced = _replaced(collected, superseded)
    trained = "; ".join(
        f"seed {row['seed']} was trained twice, and {row['before']:.3f} replaced by "
        f"{row['dice']:.3f}"
        for row in replaced
    )
    return (
        f"{trained[0].upper()}{trained[1:]}: the verdict "
        f"{_hangs('hangs', now) or same} {rule} it {_hangs('hung', before) or 'was too.'}"
    )


def _hangs(verb: str, others: Sequence[str]) -> str:
    return f"{verb} on it: {' and '.join(others)}." if others else ""


def _verdict(dice: float | None, half: float | None, verdict: str, limit: float) -> str:
    """A verdict with its interval, or with the limit that its interval passes."""
    if dice is None or half is None:
        return verdict
    if verdict == Verdict.INCONCLUSIVE and half > limit:
        return f"{verdict}, since +- {half:.4f} is wider than {limit:g}"
    return f"{verdict} ({dice:.3f} +- {half:.4f})"


def hanging_table(alternatives: Sequence[Alternative], notes: Sequence[str]) -> Table:
    """What the verdict would be with the replaced trainings, a row for each way to take them."""
    columns = (
        Column("trainings judged", "what"),
        Column("trainings", "trainings"),
        Column("mean Dice", "dice", "{:.3f}"),
        Column("SD of seeds", "sd", "{:.4f}"),
        Column("+-, another split", "another_split", "{:.4f}"),
        Column("+-, other patients", "other_patients", "{:.4f}"),
        Column("verdict", "verdict"),
        Column("by the rule before", "before"),
    )
    title = "What the verdict hangs on: a training that was replaced."
    essential = tuple(column.heading for column in columns if column.source != "sd")
    return Table(title, [vars(row) for row in alternatives], columns, tuple(notes), essential)


def why(superseded: Superseded) -> list[str]:
    """Why each training was replaced, and what was known then, a line each."""
    return [
        f"Replaced on {t.replaced}: {t.why} Known then: {t.known}" for t in superseded.trainings
    ]


def replaced_table(collected: Collected, superseded: Superseded) -> Table:
    """Every training that was replaced, beside the one that replaced it."""
    columns = (
        Column("cell", "cell"),
        Column("split", "split_id"),
        Column("fed at", "size"),
        Column("precision", "precision"),
        Column("seed", "seed"),
        Column("Dice", "before", "{:.4f}"),
        Column("epochs", "epochs"),
        Column("replaced by", "dice", "{:.4f}"),
        Column("its epochs", "epochs_now"),
        Column("on", "replaced"),
        Column("commit", "commit"),
        Column("replaced in", "replaced_in"),
        Column("why", "why"),
        Column("known then", "known"),
    )
    essential = ("cell", "split", "fed at", "seed", "Dice", "replaced by", "on", "commit")
    note = (
        "Their records lie in reference_results/superseded; they count in no mean and no verdict."
    )
    title = "Trainings that later ones of the same run replaced."
    return Table(title, _replaced(collected, superseded), columns, (note,), essential)


def _replaced(collected: Collected, superseded: Superseded) -> list[Record]:
    then, now = (c.runs.set_index("run_id") for c in (superseded.collected, collected))
    rows: list[Record] = []
    for training in superseded.trainings:
        run, later = then.loc[training.run_id], now.loc[training.replaced_by]
        rows.append(
            {
                "cell": cell_name(run["arm"], int(run["kernel_size"]), float(run["alpha"])),
                "split_id": run["split_id"],
                "size": size_of(run),
                "precision": run["precision"],
                "seed": int(run["seed"]),
                "before": float(run["test.dice_mean"]),
                "epochs": int(run["fit.stop_epoch"]) + 1,
                "dice": float(later["test.dice_mean"]),
                "epochs_now": int(later["fit.stop_epoch"]) + 1,
                "replaced": str(training.replaced),
                "commit": training.commit,
                "replaced_in": training.replaced_in,
                "why": training.why,
                "known": training.known,
            }
        )
    return rows
