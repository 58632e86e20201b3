"""The plan of the evidence: its steps in order, as `reference_results/plan.toml` has them. No
torch, no arm: what of a step is there is read off a table of finished runs.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from importlib.resources import files
from itertools import product
from typing import Any

import pandas as pd

from benchmark.errors import SpecError, known
from benchmark.planning.command import words
from benchmark.planning.grid import Grid, check_seeds, load_grid
from benchmark.planning.request import Request
from benchmark.protocol import Recipe, load_recipe
from benchmark.runs.collect import identity_hash, protocol_hash

PLAN = "reference_results/plan.toml"
NATIVE = 512  # the side in pixels of the slices, at which a step without image_size feeds them

Cell = dict[str, Any]  # of a step: its split's number, seed, arm and the arm's axes by name
Chosen = dict[str, list[Any]]  # the same names, the values of cells that make a full product


@dataclass(frozen=True)
class Step:
    """One step: what `reproduce` is asked for, what for, and the day it was fixed by at the latest.

    known_from: what shows that day; choice: what the step changes, in a word, where that is no
    single setting.
    """

    purpose: str
    fixed: date
    known_from: str
    options: Request
    choice: str = ""

    def of(self, asked: Request) -> Request:
        """The step on the slices, and into the folder, that somebody asked for."""
        own = self.options
        return replace(
            asked,
            grid=own.grid or "thesis",
            protocol=own.protocol,
            only=own.only,
            seeds=own.seeds,
            splits=own.splits,
            image_size=own.image_size,
            overrides=own.overrides,
        )

    @property
    def words(self) -> list[str]:
        """The options on the command line."""
        return words(self.options)

    @cached_property
    def grid(self) -> Grid:
        return load_grid(self.options.grid or "thesis")

    @cached_property
    def recipe(self) -> Recipe:
        changes = {**self.grid.overrides, **self.options.overrides}
        return load_recipe(self.options.protocol or self.grid.protocol, changes)

    def cells(self) -> Iterator[Cell]:
        """Every run of the step, a seed told of arms that have none too, in the grid's order."""
        splits, seeds = self.options.splits or self.grid.splits, self.options.seeds
        for split, seed, (arm, axes) in product(splits, seeds or self.grid.seeds, self.grid.arms):
            for values in product(*axes.values()):
                cell = {"split": split, "seed": seed, "arm": arm}
                cell |= dict(zip(axes, values, strict=True))
                if all(cell.get(key) in wanted for key, wanted in self.options.only.items()):
                    yield cell

    def among(self, runs: pd.DataFrame) -> list[Cell]:
        """The cells that a table of finished runs (`benchmark.runs.collect`) has."""
        identity, unit = self.recipe.identity(), self.recipe.split.unit
        side = self.options.image_size or NATIVE
        mine = runs[
            (runs["protocol_hash"] == protocol_hash(identity))
            & (runs["precision"] == self.recipe.training.precision)
            & (runs["height"] == side)
            & (runs["width"] == side)
            & (runs["source"] == "")
            & ~runs["phantom"]
        ]
        there = [(_seed(run["seed"]), json.loads(run["params"]), run) for run in _rows(mine)]

        def done(cell: Cell) -> bool:
            params = {k: v for k, v in cell.items() if k not in ("split", "seed", "arm")}
            return any(
                seed in (None, cell["seed"])
                and params.items() <= own.items()
                and (run["arm"], run["split_id"]) == (cell["arm"], f"by-{unit}-{cell['split']}")
                for seed, own, run in there
            )

        return [cell for cell in self.cells() if done(cell)]

    def narrowed(self, chosen: Chosen) -> Step:
        """The step for these values alone, each said where the grid has more of it."""
        whole = _values(list(replace(self, options=replace(self.options, only={})).cells()))
        fewer = {key: own for key, own in chosen.items() if len(own) < len(whole[key])}
        only = {k: v for k, v in fewer.items() if k not in ("split", "seed")}
        seeds, splits = tuple(chosen["seed"]), tuple(chosen["split"])
        own = replace(
            self.options,
            only=only,
            seeds=self.options.seeds if "seed" not in fewer else seeds,
            splits=self.options.splits if "split" not in fewer else splits,
        )
        return replace(self, options=own)


@dataclass(frozen=True)
class EvidencePlan:
    """The steps in the order in which they are carried out, and the rules by day."""

    steps: tuple[Step, ...]
    rules: tuple[tuple[date, str], ...]

    @property
    def hash(self) -> str:
        """12 hex digits of the sha256 over the steps' options in their order; of no prose."""
        return identity_hash([_plain(step.options) for step in self.steps])


def load_plan() -> EvidencePlan:
    """Read `reference_results/plan.toml`; `SpecError` names the step that is wrong."""
    try:
        table = tomllib.loads((files("reference_results") / "plan.toml").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"{PLAN}: cannot be read ({error}); restore the shipped file") from error
    return plan_of(table)


def plan_of(table: Mapping[str, Any]) -> EvidencePlan:
    """The plan that a parsed file holds; errors as in `load_plan`."""
    steps = []
    for number, entry in enumerate(table.get("steps", ()), start=1):
        try:
            steps.append(_step(entry))
        except (SpecError, KeyError, TypeError, ValueError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else error
            raise SpecError(f"{PLAN}: step {number}: {why}") from error
    if not steps:
        raise SpecError(f"{PLAN}: has no [[steps]]; restore the shipped file")
    try:
        rules = tuple((row["date"], row["sha256"]) for row in table.get("analysis", ()))
    except KeyError as error:
        raise SpecError(f"{PLAN}: [[analysis]]: {error} is missing") from error
    return EvidencePlan(tuple(steps), rules)


def _plain(options: Request) -> list[Any]:
    """What a step asks for, as JSON holds it."""
    own = options.grid, options.protocol, options.only, options.seeds, options.splits
    return [*own, options.image_size, options.overrides]


PROSE = ("purpose", "fixed", "known_from", "choice")
OPTIONS = ("grid", "protocol", "only", "seeds", "splits", "image_size", "set")


def _step(entry: Mapping[str, Any]) -> Step:
    """One [[steps]] table; whatever would be refused only when it is run is refused here."""
    for key in entry:
        if key not in (*PROSE, *OPTIONS):
            raise SpecError(known("key", key, (*PROSE, *OPTIONS)))
    if type(entry["fixed"]) is not date:
        raise SpecError(f"fixed = {entry['fixed']!r} must be a day, such as 2026-11-30")
    seeds, splits = (_whole_numbers(entry, key) for key in ("seeds", "splits"))
    if type(entry.get("image_size", 1)) is not int:
        raise SpecError(f"image_size = {entry['image_size']!r} must be a whole number")
    options = Request(
        grid=entry.get("grid"),
        protocol=entry.get("protocol"),
        only={key: list(values) for key, values in entry.get("only", {}).items()},
        seeds=seeds and check_seeds(seeds),
        splits=splits,
        image_size=entry.get("image_size"),
        overrides=entry.get("set", {}),
    )
    choice = entry.get("choice", "")
    step = Step(entry["purpose"], entry["fixed"], entry["known_from"], options, choice)
    _check_only(step)
    step.recipe.identity()
    return step


def _whole_numbers(entry: Mapping[str, Any], key: str) -> tuple[int, ...] | None:
    own = entry.get(key)
    if key in entry and (
        not isinstance(own, list) or not own or any(type(n) is not int or n < 0 for n in own)
    ):
        raise SpecError(f"{key} = {own!r} must be a list of whole numbers from 0 up")
    return tuple(own) if own else None


def _check_only(step: Step) -> None:
    """Raise `SpecError` for a name or a value that the step's grid has not."""
    whole = _values(list(replace(step, options=replace(step.options, only={})).cells()))
    for key, wanted in step.options.only.items():
        if key not in whole:
            raise SpecError(f"only: {known('key', key, whole)}")
        for value in wanted:
            if value not in whole[key]:
                raise SpecError(f"only: {known(key, value, whole[key])}")
    if not list(step.cells()):
        raise SpecError("only: no run of the grid has all of these values")


def commands(plan: EvidencePlan, runs: pd.DataFrame) -> list[list[str]]:
    """The options that make a table's runs, in the plan's order.

    A step of which all runs are there stands as it is, if it brings any; of another, what it brings
    beyond earlier steps, in as many commands as that takes.
    """
    before: set[str] = set()
    found = []
    for step in plan.steps:
        there = step.among(runs)
        new = [cell for cell in there if _key(step, cell) not in before]
        if new and len(there) == len(list(step.cells())):
            found.append(step.words)
        elif new:
            found += [step.narrowed(chosen).words for chosen in products(new)]
        before |= {_key(step, cell) for cell in new}
    return found


def _key(step: Step, cell: Cell) -> str:
    """What tells a cell from those of other steps under other terms."""
    side = step.options.image_size or NATIVE
    return identity_hash([step.recipe.identity(), side, sorted(cell.items())])


def products(cells: Sequence[Cell]) -> list[Chosen]:
    """Values by name whose products are these cells together: parted at the first name that has to
    be, values with the same rest kept as one.

    >>> products([{"seed": s, "alpha": a} for s, a in ((1, 0.1), (1, 0.5), (2, 0.1), (2, 0.5))])
    [{'seed': [1, 2], 'alpha': [0.1, 0.5]}]
    >>> products([{"seed": 1, "alpha": 0.1}, {"seed": 2, "alpha": 0.5}, {"seed": 3, "alpha": 0.1}])
    [{'seed': [1, 3], 'alpha': [0.1]}, {'seed': [2], 'alpha': [0.5]}]
    """
    kinds = list(dict.fromkeys(tuple(cell) for cell in cells))
    if len(kinds) > 1:  # arms with other axes
        parts = [[cell for cell in cells if tuple(cell) == kind] for kind in kinds]
        return [chosen for part in parts for chosen in products(part)]
    values = _values(cells)
    if math.prod(map(len, values.values())) == len(cells):
        return [values]
    name, own = next(iter(values.items()))
    by_rest: dict[str, list[Any]] = {}
    for value in own:
        rest = [{**cell, name: None} for cell in cells if cell[name] == value]
        by_rest.setdefault(json.dumps(rest), []).append(value)
    found = []
    for text, alike in by_rest.items():
        rest = [{k: v for k, v in cell.items() if k != name} for cell in json.loads(text)]
        found += [{name: alike, **chosen} for chosen in products(rest)]
    return found


def _values(cells: Sequence[Cell]) -> Chosen:
    """The values of each name, in the order in which they come."""
    names = dict.fromkeys(name for cell in cells for name in cell)
    return {
        name: list(dict.fromkeys(cell[name] for cell in cells if name in cell)) for name in names
    }


def _rows(runs: pd.DataFrame) -> list[dict[str, Any]]:
    return runs[["arm", "params", "seed", "split_id"]].to_dict("records")


def _seed(seed: Any) -> int | None:
    return None if pd.isna(seed) else int(seed)
