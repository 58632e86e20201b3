"""Grids as data: arms x axes x seeds x splits, expanded into run specs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.arm import ArmEntry
from benchmark.errors import SpecError, known, unknown_arm
from benchmark.protocol import Recipe
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split
from benchmark.storage.toml_file import read_table, shipped

LONGEST_NAME = 240  # a file system takes 255


@dataclass(frozen=True)
class Grid:
    """arms: (name, axis -> values) in order; seeds and split numbers multiply them."""

    name: str
    arms: tuple[tuple[str, Mapping[str, tuple[Any, ...]]], ...]
    seeds: tuple[int, ...]
    splits: tuple[int, ...] = (1,)
    protocol: str = "thesis"
    overrides: Mapping[str, Any] = field(default_factory=dict)


def load_grid(name_or_path: str) -> Grid:
    """Read a shipped grid by name, or a TOML file by path; `SpecError` for anything malformed."""
    name, table = read_table("grid", name_or_path)
    allowed = ("arms", "seeds", "splits", "protocol", "set")
    for key in table:
        if key not in allowed:
            raise SpecError(f"grid {name!r}: {known('key', key, allowed)}")
    if not isinstance(table.get("set", {}), dict):
        raise SpecError(f"grid {name!r}: set must be a table of SECTION.KEY = VALUE")
    arms, entries = [], table.get("arms", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SpecError(f"grid {name!r}: arms must be written as [[arms]], with double brackets")
    for entry in entries:
        axes = {
            k: tuple(v) if isinstance(v, list) else (v,) for k, v in entry.items() if k != "name"
        }
        if "name" not in entry or not all(axes.values()):
            raise SpecError(f"grid {name!r}: each [[arms]] needs a name, and no axis may be empty")
        arms.append((str(entry["name"]), axes))
    if not arms:
        raise SpecError(f"grid {name!r} names no arm")
    return Grid(
        name=name,
        arms=tuple(arms),
        seeds=check_seeds(_whole_numbers(name, "seeds", table.get("seeds", []))),
        splits=_whole_numbers(name, "splits", table.get("splits", [1])),
        protocol=str(table.get("protocol", "thesis")),
        overrides=table.get("set", {}),
    )


def check_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Return the seeds, or raise `SpecError` for one twice or one that no generator takes."""
    if len(set(seeds)) != len(seeds) or any(seed >= 2**63 for seed in seeds):
        raise SpecError(
            f"seeds {', '.join(map(str, seeds))}: each must be there once and be below 2**63"
        )
    return seeds


def _whole_numbers(grid: str, key: str, values: Any) -> tuple[int, ...]:
    wrong = not isinstance(values, list) or any(type(v) is not int or v < 0 for v in values)
    if wrong or not values:
        raise SpecError(
            f"grid {grid!r}: {key} = {values!r} must be a list of whole numbers from 0 up"
        )
    if len(set(values)) != len(values):
        raise SpecError(f"grid {grid!r}: {key} = {values!r} names one twice")
    return tuple(values)


def expand(
    grid: Grid,
    arms: Mapping[str, ArmEntry],
    recipe: Recipe,
    splits: Sequence[Split],
    *,
    dataset_id: str,
    content_fingerprint: str,
    shape: tuple[int, int],
    only: Mapping[str, Sequence[Any]] | None = None,
) -> list[RunSpec]:
    """Return the runs of a grid: splits outermost, then seeds, then arms and their axes.

    So a grid that is stopped early has whole cells of the first seed. A deterministic arm
    has one run whatever the seeds. only narrows by arm name or parameter value; a key that
    no arm of the grid has, or a value that none takes, raises `SpecError`.
    """
    specs: dict[str, RunSpec] = {}
    for split, seed, (name, axes) in itertools.product(splits, grid.seeds, grid.arms):
        if name not in arms:
            raise SpecError(unknown_arm(name, arms))
        entry = arms[name]
        for values in itertools.product(*axes.values()):
            params = entry.resolve(dict(zip(axes, values, strict=True)))
            spec = RunSpec(
                arm=name,
                params=params,
                recipe=recipe,
                dataset_id=dataset_id,
                content_fingerprint=content_fingerprint,
                split_id=split.split_id,
                split_fingerprint=split.fingerprint,
                shape=shape,
                seed=None if entry.deterministic else seed,
                source=entry.source.sha256 if entry.source else None,
            )
            if len(spec.run_id) > LONGEST_NAME:
                raise SpecError(
                    f"{name}: its parameters make a folder's name of {len(spec.run_id)} signs, "
                    f"above {LONGEST_NAME}; give them shorter names, or fewer"
                )
            specs.setdefault(spec.run_id, spec)
    return narrow(list(specs.values()), only or {})


def narrow(
    specs: list[RunSpec], only: Mapping[str, Sequence[Any]], *, in_grid: bool = True
) -> list[RunSpec]:
    """Keep the runs whose arm or parameters take one of the wanted values, for every key.

    `SpecError` for what none has names the shipped grids that have it, where runs of a grid are
    meant.
    """
    for key, wanted in only.items():
        there = {spec.arm if key == "arm" else spec.params.get(key) for spec in specs} - {None}
        if not there:
            keys = {"arm"} | {k for spec in specs for k in spec.params}
            cure = _elsewhere(key, only[key]) if in_grid else ""
            raise SpecError(f"--only: {known('key', key, keys)}{cure}")
        for value in wanted:
            if value not in there:
                cure = _elsewhere(key, [value]) if in_grid else ""
                if in_grid and not cure and key != "arm":
                    cure = f"; a grid file of yours can name it: {key} under its [[arms]]"
                raise SpecError(f"--only: {known(key, value, there)}{cure}")
        specs = [s for s in specs if (s.arm if key == "arm" else s.params.get(key)) in wanted]
    return specs


def _elsewhere(key: str, wanted: Sequence[Any]) -> str:
    """Say "; grid baselines has it: --grid baselines" where a shipped grid has all of these."""
    grids = sorted(map(load_grid, shipped("grid")), key=lambda grid: bool(grid.overrides))
    for name, arms in ((grid.name, grid.arms) for grid in grids):  # those of full trainings first
        values = ((arm,) if key == "arm" else axes.get(key, ()) for arm, axes in arms)
        there = set(itertools.chain.from_iterable(values))
        if there.issuperset(wanted):
            return f"; grid {name} has it: --grid {name}"
    return ""
