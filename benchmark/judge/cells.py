"""Cells of a grid as they were run under one set of terms, which comparisons are of. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError, RecordError
from benchmark.judge.reference import DATASETS
from benchmark.judge.tables import Ranked
from benchmark.protocol import load_recipe
from benchmark.runs.collect import Collected, protocol_hash

TERMS = ("phantom", "dataset_id", "protocol_hash", "height", "width", "precision")
"""What numbers that meet must share."""
SAME_CELL = ("needs_click", "arm", "params", "source")
"""What runs of one cell share beside their terms: an arm that was changed is another."""
NO_SEED = -1  # of an arm that has none
SLICE = ["split_id", "slice_id", "patient_id"]
Numbered = tuple[pd.MultiIndex, NDArray[np.int64]]  # groups in order; which of them a row is of
OURS = "(ours)"


@dataclass(frozen=True, eq=False)
class Cell:
    """One arm with one set of parameters, on the splits and seeds it was run on.

    runs: its rows of `Collected.runs`; rows: one per run and test slice, with split_id, seed
    (`NO_SEED` where it has none) and all columns of scores.csv. source: hash of the source of an
    arm from outside, or "". apart: the parameters in which it differs from cells of its panel that
    would be called the same, and the source of an arm that is there in several.
    """

    arm: str
    params: str
    kernel_size: int | None
    alpha: float
    needs_click: bool
    runs: pd.DataFrame
    rows: pd.DataFrame
    source: str = ""
    apart: str = ""
    ours: bool = False  # of the records shipped here, where a user's runs are judged

    @property
    def name(self) -> str:
        """unet 5x5, alpha 0.5, or the arm's name without a kernel; then `apart` in brackets, and
        `OURS` where it is.
        """
        apart = f" ({self.apart})" if self.apart else ""
        ours = f" {OURS}" if self.ours else ""
        return cell_name(self.arm, self.kernel_size, self.alpha) + apart + ours

    @cached_property
    def seeded(self) -> bool:
        """False for an arm that trains nothing by chance and so has no spread between seeds."""
        return bool(self.runs["seed"].notna().any())

    @cached_property
    def splits(self) -> frozenset[str]:
        return frozenset(self.runs["split_id"])

    @property
    def seeds(self) -> frozenset[int]:
        return frozenset(self.rows["seed"])

    @cached_property
    def seeds_on(self) -> dict[str, int]:
        """How many it was trained from on each split; 0 for an arm that has none."""
        return {str(k): int(n) for k, n in self.runs.groupby("split_id")["seed"].nunique().items()}

    @property
    def most_seeds(self) -> int:
        """Of one split."""
        return max(self.seeds_on.values(), default=0)

    def trained_on(self, split: str, seeds: int) -> bool:
        """True where it was run on a split, from so many seeds if it trains."""
        return split in self.splits and (not self.seeded or self.seeds_on[split] >= seeds)

    @cached_property
    def numbered(self) -> tuple[Numbered, Numbered]:
        """The slices of the cell, by `SLICE`, and its runs, by split_id and seed."""
        grouped = (self.rows.groupby(keys, dropna=False) for keys in (SLICE, ["split_id", "seed"]))
        slices, runs = ((by.size().index, by.ngroup().to_numpy()) for by in grouped)
        return slices, runs

    def rescored(self, columns: Mapping[str, NDArray[np.float64]]) -> Cell:
        """The cell with other scores, (rows,) by column; all that hangs on no score is kept."""
        cell = replace(self, rows=self.rows.assign(**columns))
        kept = {"seeded": self.seeded, "seeds_on": self.seeds_on, "numbered": self.numbered}
        vars(cell).update(kept)  # where `cached_property` looks
        return cell

    def on(self, splits: Collection[str]) -> Cell:
        """The part of the cell on some splits, itself where those are all of its own."""
        if self.splits <= set(splits):
            return self
        runs, rows = (part[part["split_id"].isin(splits)] for part in (self.runs, self.rows))
        return replace(self, runs=runs, rows=rows)

    def where(self, keep: Callable[[pd.DataFrame], pd.Series[bool]]) -> Cell:
        """The cell on the rows that keep says True of; its runs stay."""
        return replace(self, rows=self.rows[keep(self.rows)])


def cell_name(arm: str, kernel_size: int | None, alpha: float) -> str:
    """What a person calls a cell; see `Cell.name`."""
    if kernel_size is None:
        return arm
    return f"{arm} {kernel_size}x{kernel_size}" + ("" if pd.isna(alpha) else f", alpha {alpha:g}")


@dataclass(frozen=True, eq=False)
class Panel:
    """All runs under one set of `TERMS`, which title tells."""

    title: str
    runs: pd.DataFrame
    collected: Collected

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells by arm, parameters and source, arms that saw a click last; no two have one
        name.
        """
        grouped = self.runs.groupby(list(SAME_CELL))
        return disambiguated([cell_of(runs, self.collected) for _, runs in grouped])


def disambiguated(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return the cells with `apart` filled in: where two have one name, and for an arm that was
    changed its source.
    """
    named, sources = Counter(cell.name for cell in cells), dict[str, set[str]]()
    for cell in cells:
        sources.setdefault(cell.arm, set()).add(cell.source)

    def apart(cell: Cell) -> str:
        words = [source_name(cell.source)] if len(sources[cell.arm]) > 1 else []
        if named[cell.name] > 1:
            own = json.loads(cell.params)
            alike = [json.loads(other.params) for other in cells if other.name == cell.name]
            differing = [key for key in own if any(o.get(key) != own[key] for o in alike)]
            words = [*(f"{key} {own[key]}" for key in differing), *words]
        return ", ".join(words)

    return tuple(replace(cell, apart=apart(cell)) for cell in cells)


def source_name(source: str) -> str:
    """Digits of a source, enough to tell two versions of an arm apart."""
    return f"source {source[:6] or 'not recorded'}"


def with_sources(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, the name of an arm that was changed with its source."""
    several = runs.groupby("arm")["source"].transform("nunique") > 1
    names = runs["arm"] + " (" + runs["source"].map(source_name) + ")"
    return runs.assign(arm=runs["arm"].where(~several, names))


def cell_of(runs: pd.DataFrame, collected: Collected) -> Cell:
    """Return the cell of runs of one arm and parameters; those of a seed on a split are averaged.

    Raises `RecordError` where two runs on one split do not hold the same slices, or one
    slice is of two patients.
    """
    first = runs.sort_values("run_id").iloc[0]
    rows = _rows_of(runs, collected).sort_values(["split_id", "seed", "slice_id", "run_id"])
    _check_same_slices(rows)
    keys = ["split_id", "seed", "slice_id", "patient_id"]
    if rows.duplicated(keys[:3]).any():  # one seed on two forms of the files
        numbers = [name for name in rows.select_dtypes("number") if name not in keys]
        rows = rows.groupby(keys, as_index=False, dropna=False)[numbers].mean()
    return Cell(
        arm=first["arm"],
        params=first["params"],
        kernel_size=None if pd.isna(first["kernel_size"]) else int(first["kernel_size"]),
        alpha=float(first["alpha"]),
        needs_click=bool(first["needs_click"]),
        runs=runs,
        rows=rows.reset_index(drop=True),
        source=first["source"],
    )


def _rows_of(runs: pd.DataFrame, collected: Collected) -> pd.DataFrame:
    """The scores of some runs, with split_id, split_fingerprint and seed of each row's run."""
    where = [_places(collected).get(run_id, _NOWHERE) for run_id in runs["run_id"]]
    each = np.repeat(np.arange(len(runs)), [len(places) for places in where])
    rows = collected.scores.iloc[np.concatenate([_NOWHERE, *where])].reset_index(drop=True)
    named = runs[["split_id", "split_fingerprint"]].assign(
        seed=runs["seed"].fillna(NO_SEED).astype(int)
    )
    return pd.concat([rows, named.iloc[each].reset_index(drop=True)], axis=1)


_NOWHERE = np.array([], dtype=np.intp)


@lru_cache(maxsize=2)
def _places(collected: Collected) -> Mapping[str, NDArray[np.intp]]:
    """Where the rows of each run stand in the scores; looked up once, for runs may be thousands."""
    places: Mapping[str, NDArray[np.intp]] = collected.scores.groupby("run_id").indices
    return places


def _check_same_slices(rows: pd.DataFrame) -> None:
    """Raise `RecordError` unless the runs on a split hold the same slices, each of one patient."""
    for name, part in rows.groupby("split_id"):
        of_slice = part.groupby("slice_id")
        if part["split_fingerprint"].nunique() > 1:
            raise RecordError(
                f"runs {_ids(part)}: two different splits are called {name}; give them in two "
                "folders"
            )
        if (of_slice["run_id"].nunique() != part["run_id"].nunique()).any():
            raise RecordError(
                f"runs {_ids(part)}: test slices differ between runs on {name}; rescore them"
            )
        if (of_slice["patient_id"].nunique() > 1).any():
            raise RecordError(
                f"runs {_ids(part)}: a slice of {name} is of two patients; rescore them on one "
                "data set"
            )


def _ids(rows: pd.DataFrame) -> str:
    return ", ".join(sorted(set(rows["run_id"])))


def panels(collected: Collected) -> list[Panel]:
    """Return one panel per set of terms; the order of runs changes nothing."""
    runs = collected.runs.sort_values("run_id")
    return [Panel(title_of(part), part, collected) for _, part in runs.groupby(list(TERMS))]


def title_of(runs: pd.DataFrame) -> str:
    """The terms of runs that share them, in one line."""
    first = runs.iloc[0]
    terms = (f"protocol {protocol_of(runs)}", size_of(first), first["precision"])
    return ", ".join((data_of(first), *terms))


def size_of(run: Mapping[str, Any]) -> Ranked:
    """The size at which a run's slices were fed to its arm: 512x512, which sorts by the 512."""
    return Ranked(f"{run['height']}x{run['width']}", run["height"])


def protocol_of(runs: pd.DataFrame) -> str:
    """The name of the protocol that runs share, with digits of its hash unless it is shipped."""
    names, digest = sorted(set(runs["protocol"])), runs["protocol_hash"].iloc[0]
    shipped = len(names) == 1 and digest == _shipped(names[0])
    return names[0] if shipped else f"{'/'.join(names)} ({digest[:6]})"


@cache
def _shipped(protocol: str) -> str | None:
    """The hash of a shipped protocol, None for another name."""
    try:
        return protocol_hash(load_recipe(protocol).identity())
    except BenchmarkError:
        return None


def data_of(run: Mapping[str, Any]) -> str:
    """What a run (one row of `Collected.runs`) was made on, in words."""
    if run["phantom"]:
        return "phantoms"
    names = {identity: name for name, identity in DATASETS.items()}
    return names.get(run["dataset_id"], f"dataset {run['dataset_id'][:8]}")
