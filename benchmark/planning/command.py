"""Options of `reproduce` as words, and the command that makes a run; imports no torch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.arm import ArmEntry
from benchmark.errors import SpecError
from benchmark.planning.grid import Grid, load_grid
from benchmark.planning.request import Request
from benchmark.protocol import load_recipe

GRIDS = ("thesis", "baselines", "quick")  # shipped; asked in this order
PROTOCOLS = ("thesis", "patient")
DATA = "path/to/slices"


def words(request: Request) -> list[str]:
    """What a request asks for, beside its slices, as words of the command line."""

    def listed(keyed: Mapping[str, Any]) -> list[str]:
        return [f"{key}={_text(values)}" for key, values in keyed.items()]

    options: dict[str, Sequence[str]] = {
        "--grid": [request.grid or ""],
        "--only": listed(request.only),
        "--seeds": [_text(request.seeds or ())],
        "--image-size": [str(request.image_size or "")],
        "--protocol": [request.protocol or ""],
        "--splits": [_text(request.splits or ())],
        "--set": listed(request.overrides),
        "--out": [str(request.out or "")],
    }
    return [word for option, own in options.items() if any(own) for word in (option, *own)]


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
    height, width = spec["shape"]
    protocol = spec_json["protocol"] if spec_json["protocol"] in PROTOCOLS else grid.protocol
    found = (re.search(r"(\d+)$", split) for split in splits)
    numbers = tuple(sorted({int(number[1]) for number in found if number}))
    usual_values = load_recipe(protocol, grid.overrides).identity()
    request = Request(
        grid=None if grid.name == usual else grid.name,
        only={"arm": [spec["arm"]], **{name: [spec["params"][name]] for name in axes}},
        seeds=tuple(seeds),
        image_size=height if height == width else None,
        protocol=None if protocol == grid.protocol else protocol,
        splits=None if numbers in ((), (1,)) else numbers,
        overrides=dict(sorted(_changed(spec["protocol"], usual_values))),
        out=out,
    )
    own = words(request)
    return shlex.join(["python", "-m", "benchmark", "reproduce", "--data", data, *own])


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


def _changed(own: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """SECTION.KEY and value, of every value of a protocol that is not the usual one."""
    for section, values in own.items():
        for key, value in values.items():
            if _text(usual.get(section, {}).get(key)) != _text(value):
                yield f"{section}.{key}", value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
