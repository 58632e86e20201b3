"""The command that makes a run, written from its spec.json; imports no torch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.arm import ArmEntry
from benchmark.errors import SpecError
from benchmark.planning.grid import Grid, load_grid
from benchmark.protocol import load_recipe

GRIDS = ("thesis", "baselines", "quick")  # shipped; asked in this order
PROTOCOLS = ("thesis", "patient")
DATA = "path/to/slices"


def command(spec_json: Mapping[str, Any], arms: Mapping[str, ArmEntry]) -> str | None:
    """Return the command that makes a run, given its spec.json, on slices at `DATA`.

    None where no shipped grid has it. On the same slices the command's run has the same run_id,
    unless it was made before the schema was raised.
    """
    seed = spec_json["spec"]["seed"]
    seeds = [] if seed is None else [seed]
    return _command(spec_json, arms, seeds, [spec_json["split_id"]], None)


def command_under_same_terms(
    spec_jsons: Sequence[Mapping[str, Any]],
    arm: str,
    params: Mapping[str, Any],
    arms: Mapping[str, ArmEntry],
    out: Path | None = None,
) -> str | None:
    """Return the command that runs an arm under the terms that some runs share, on their splits.

    Its seeds are theirs; the thesis grid's where they have fewer than two, which show no spread.
    out: the folder for its runs, None for the usual one. None where no shipped grid has the arm
    with these params.
    """
    first = spec_jsons[0]
    spec = first["spec"] | {"arm": arm, "params": arms[arm].resolve(params)}
    seeds = sorted({each["spec"]["seed"] for each in spec_jsons} - {None})
    seeds = seeds if len(seeds) > 1 else list(load_grid("thesis").seeds)
    splits = {each["split_id"] for each in spec_jsons}
    return _command({**first, "spec": spec}, arms, seeds, splits, out)


def _command(
    spec_json: Mapping[str, Any],
    arms: Mapping[str, ArmEntry],
    seeds: Sequence[int],
    splits: Iterable[str],
    out: Path | None,
) -> str | None:
    spec = spec_json["spec"]
    chosen = _grid_of(spec, arms)
    if chosen is None:
        return None
    grid, axes = chosen
    data, usual = ("phantoms", "quick") if spec_json["phantom"] else (DATA, "thesis")
    words = ["python", "-m", "benchmark", "reproduce", "--data", data]
    words += [] if grid.name == usual else ["--grid", grid.name]
    params = (f"{name}={_text(spec['params'][name])}" for name in axes)
    words += ["--only", f"arm={spec['arm']}", *params]
    words += ["--seeds", _text(seeds)] if seeds else []
    height, width = spec["shape"]
    words += ["--image-size", str(height)] if height == width else []
    protocol = spec_json["protocol"] if spec_json["protocol"] in PROTOCOLS else grid.protocol
    words += [] if protocol == grid.protocol else ["--protocol", protocol]
    found = (re.search(r"(\d+)$", split) for split in splits)
    numbers = sorted({int(number[1]) for number in found if number})
    words += ["--splits", _text(numbers)] if numbers not in ([], [1]) else []
    changed = sorted(_changed(spec["protocol"], load_recipe(protocol, grid.overrides).identity()))
    words += ["--set", *changed] if changed else []
    words += [] if out is None else ["--out", str(out)]
    return shlex.join(words)


def _grid_of(
    spec: Mapping[str, Any], arms: Mapping[str, ArmEntry]
) -> tuple[Grid, tuple[str, ...]] | None:
    """The first shipped grid with a run's arm and parameters, and the axes that choose them."""
    for name in GRIDS:
        grid = load_grid(name)
        for arm, axes in grid.arms:
            if arm != spec["arm"] or arm not in arms:
                continue
            try:
                params = arms[arm].resolve({axis: spec["params"].get(axis) for axis in axes})
            except SpecError:
                continue
            chosen = all(spec["params"][axis] in values for axis, values in axes.items())
            if params == spec["params"] and chosen:
                return grid, tuple(axes)
    return None


def _changed(own: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    """SECTION.KEY=VALUE of every value of a protocol that is not the usual one."""
    for section, values in own.items():
        for key, value in values.items():
            if _text(usual.get(section, {}).get(key)) != _text(value):
                yield f"{section}.{key}={_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
