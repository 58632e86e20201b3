"""Answers on what was asked, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from benchmark.judge.answers import questions
from benchmark.judge.cells import Cell
from benchmark.judge.comparisons.headline import headline
from benchmark.judge.statistics.contrast import DICE, Statistic, mean, mean_of, reduced
from benchmark.judge.statistics.estimate import clustered_mean
from benchmark.judge.tables import Record
from benchmark.report.checklists.known import Answer, Known, spread
from benchmark.report.figure import counted


def _summary(known: Known) -> str:
    said = [f"{each.question} {each.verdict}." for each in questions(known.judgement)]
    return f"{counted(len(known.runs), 'finished run')}. {' '.join(said)}"


def _aims(known: Known) -> str:
    return " ".join(each.question for each in questions(known.judgement))


def _goal(known: Known) -> str:
    if known.phantoms:
        return "To show what the benchmark does, on drawn phantoms."
    rerun = (known.runs["dataset_id"] == known.judgement.reference.dataset_id).any()
    text = "Ways to outline tumours are scored on held-out slices and set beside each other."
    if rerun and not known.judgement.own_arms_alone:
        text = (
            "A published experiment is rerun and its claims are judged by margins fixed "
            "beforehand; other ways to outline are set beside it."
        )
    return text + " Nobody's care depended on it." * known.cheng


def _robustness(known: Known) -> str:
    def several(column: str, thing: str) -> str:
        return counted(known.runs[column].nunique(), thing)

    taken = sum(len(each.taken) for each in known.judgement.open_choices)
    return (
        f"{several('split_id', 'split')}, {several('seed', 'seed')}, "
        f"{several('height', 'image size')}, {several('precision', 'precision')}; "
        f"{counted(taken, 'open choice')} of the protocol taken otherwise."
    )


def _internal(known: Known) -> str:
    sizes = known.runs["test.n"]
    return (
        f"Held-out test slices of the same dataset, {spread(sizes)} a run, seen once by each run, "
        f"after training: {counted(known.runs['split_id'].nunique(), 'split')}."
    )


def _performance(known: Known) -> str:
    ours = [row for row in headline(*_terms(known)).records if row["what"] == "ours"]
    said = [_score(row, known.level) for row in ours]
    if said:
        cell = known.judgement.reference.best_cell
        name = f"{cell.arm} {cell.kernel_size}x{cell.kernel_size}, alpha {cell.alpha:g}"
        return f"Mean Dice of {name} {'; '.join(said)}. Other arms are in the tables."
    shown = [f"{cell.name} {mean(cell, DICE):.3f} ({panel.title})" for panel, cell in known.shown]
    return f"Mean Dice: {'; '.join(shown)}. Intervals are in the tables."


def _score(row: Record, level: float) -> str:
    low, high = row["low"], row["high"]
    interval = "" if low is None else f" ({level:.0%} {low:.3f} to {high:.3f})"
    terms = f"at {row['size']}, {row['precision']}, by {row['split']}"
    return f"{terms}: {row['dice']:.3f}{interval}"


def _terms(known: Known) -> tuple[Any, ...]:
    judgement = known.judgement
    return judgement.collected, judgement.reference, judgement.tolerances


def _by_pixel(known: Known) -> str:
    measures = {"sensitivity": mean_of("sensitivity"), "precision": mean_of("precision")}
    said = []
    for panel, cell in known.shown:
        own = ", ".join(
            f"{name} {_estimated(cell, of, known.level)}" for name, of in measures.items()
        )
        said.append(f"{cell.name} ({panel.title}): {own}")
    return (
        f"By pixel, mean over test slices: {'; '.join(said)}. In brackets "
        f"{known.level:.0%} intervals with patients as the unit, without the spread between "
        "trainings."
    )


def _estimated(cell: Cell, statistic: Statistic, level: float) -> str:
    values = reduced(cell, statistic).by_slice
    patients = values.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return f"{values.mean():.3f}"
    found = clustered_mean(values.to_numpy(dtype=float), patients.tolist())
    low, high = found.interval(level)
    return f"{found.value:.3f} ({max(low, 0):.3f} to {min(high, 1):.3f})"


def _failures(known: Known) -> str:
    said = []
    for panel, cell in known.shown:
        tumours = cell.rows[cell.rows["tp"] + cell.rows["fn"] > 0]
        missed = int((tumours["tp"] == 0).sum())
        said.append(f"{cell.name} ({panel.title}) {missed} of {len(tumours)}")
    return (
        f"Test tumours missed wholly, over all trainings: {'; '.join(said)}. They count with a "
        "Dice of 0. A report with slices shows failures that fixed rules choose: small tumours, "
        "straight edges, missed centres."
    )


ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {
        "summary": _summary,
        "aims": _aims,
        "goal": _goal,
        "robustness": _robustness,
        "internal": _internal,
        "performance": _performance,
        "by_pixel": _by_pixel,
        "failures": _failures,
    }
)
