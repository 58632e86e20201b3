"""From what the user asked for to the slices, splits and specs of a grid. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark import data
from benchmark.arm import ArmEntry
from benchmark.data.slices import SliceSet, check_sides
from benchmark.errors import SpecError
from benchmark.planning.grid import Grid, expand, load_grid
from benchmark.protocol import load_recipe
from benchmark.runs.collect import refuse_mixing
from benchmark.runs.spec import RunSpec
from benchmark.splits.files import SPLITS, load_or_make
from benchmark.splits.split import Split, draws

DATA_VARIABLE = "MENINGIOMA_DATA"
PHANTOMS = "phantoms"
MAX_SIDE = 4096


@dataclass(frozen=True)
class Request:
    """The options of the command line, checked as little as possible."""

    data: str | None = None
    grid: str | None = None
    protocol: str | None = None
    arm_files: tuple[Path, ...] = ()
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    splits: tuple[int, ...] | None = None
    image_size: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    out: Path | None = None
    labels: tuple[int, ...] | None = (1,)
    allow_empty_masks: bool = False
    spacing_mm: tuple[float, float] | None = None

    @property
    def given(self) -> str | None:
        """Where slices come from: the option, the environment, else a download; None for none."""
        return self.data or os.environ.get(DATA_VARIABLE) or _earlier_download()

    @property
    def source(self) -> str:
        """Where slices come from: what is `given`, else phantoms."""
        return self.given or PHANTOMS

    @property
    def folder(self) -> Path:
        """Where runs are kept; phantoms never share the default folder with real slices."""
        return self.out or Path("runs-quick" if self.source == PHANTOMS else "runs")

    @property
    def grid_name(self) -> str:
        return self.grid or ("quick" if self.source == PHANTOMS else "thesis")

    @property
    def own_grid(self) -> bool:
        """Whether the arms of the files are all that is run."""
        return bool(self.arm_files) and self.grid is None


@dataclass(frozen=True)
class PlannedRuns:
    """A request made concrete: the slices, the splits by name and the runs in order."""

    slices: SliceSet
    splits: Mapping[str, Split]
    specs: list[RunSpec]
    grid: Grid
    folder: Path


def load_slices(request: Request, say: Callable[[str], None] | None = print) -> SliceSet:
    """Read the request's slices, whatever their form; say, if any, is given their note, if any."""
    slices = data.load(
        request.source,
        labels=request.labels,
        allow_empty_masks=request.allow_empty_masks,
        spacing_mm=request.spacing_mm,
    )
    if say is not None and slices.note:
        say(slices.note)
    return slices


def load_given(request: Request) -> SliceSet:
    """As `load_slices`, for work on slices of the user: `SpecError` where none are given."""
    if request.given is None:
        raise SpecError(
            f"no slices are given; name their folder or zip with --data PATH or in ${DATA_VARIABLE}"
            f" (or say --data {PHANTOMS} for drawn ones)"
        )
    return load_slices(request)


def prepare(
    request: Request,
    arms: Mapping[str, ArmEntry],
    *,
    keep_splits: bool = True,
    say: Callable[[str], None] | None = print,
    slices: SliceSet | None = None,
    mixing_refused: bool = False,
) -> PlannedRuns:
    """Load the data, read or draw the splits, expand the grid. Writes nothing but new splits.

    keep_splits: whether they are kept; say is as in `load_slices`; slices: the request's, where
    they were read before; mixing_refused: whether `refuse_mixing`, which opens a file of every run,
    was done before. Raises a `BenchmarkError` for
    anything that is not as it should be, before any folder is written to.
    """
    grid = load_grid(request.grid_name)
    if request.own_grid:
        grid = _grid_of_files(grid, request.arm_files, arms)
    recipe = load_recipe(request.protocol or grid.protocol, {**grid.overrides, **request.overrides})
    slices = load_slices(request, say) if slices is None else slices
    if not mixing_refused:
        refuse_mixing(request.folder, slices.phantom)
    shape = slices.shape if request.image_size is None else (request.image_size, request.image_size)
    check_sides(shape, "--image-size")
    if max(shape) > MAX_SIDE:
        raise SpecError(f"--image-size {max(shape)} is above {MAX_SIDE}")
    if request.seeds is not None:
        grid = replace(grid, seeds=request.seeds)

    def specs_on(splits: Sequence[Split]) -> list[RunSpec]:
        return expand(
            grid,
            arms,
            recipe,
            splits,
            dataset_id=slices.dataset_id,
            content_fingerprint=slices.fingerprint,
            shape=shape,
            only=request.only,
        )

    specs_on([Split("any", (), (), ())])  # a wrong name is refused before a split is written
    cvind = data.authors_folds(request.source) if recipe.split.unit == "cvind" else None
    splits = {}
    for number in request.splits or grid.splits:
        split = load_or_make(
            slices, recipe.split, number, request.folder / SPLITS, cvind, keep=keep_splits
        )
        splits[split.split_id] = split
    return PlannedRuns(slices, splits, specs_on([*splits.values()]), grid, request.folder)


def load_splits(request: Request, slices: SliceSet, default: str) -> tuple[Split, ...]:
    """The splits asked for of a protocol, in their order, or all that it has; none is written.

    default: the protocol, where the request names none. Raises `SplitError` for a number that
    these slices have no split of.
    """
    rule = load_recipe(request.protocol or default, request.overrides).split
    cvind = data.authors_folds(request.source) if rule.unit == "cvind" else None
    numbers = request.splits or range(1, max(draws(slices, rule, cvind), 1) + 1)
    folder = request.folder / "splits"
    return tuple(
        load_or_make(slices, rule, number, folder, cvind, keep=False)
        for number in dict.fromkeys(numbers)
    )


def _grid_of_files(grid: Grid, files: Sequence[Path], arms: Mapping[str, ArmEntry]) -> Grid:
    """The grid with the arms of these files in place of its own: their defaults, its seeds."""
    modules = [file.stem for file in files]
    own = [name for name, arm in arms.items() if arm.target.partition(":")[0] in modules]
    return replace(grid, name="+".join(modules), arms=tuple((name, {}) for name in own))


def _earlier_download() -> str | None:
    """The word "figshare" where the whole archive lies in the cache already, else None."""
    from benchmark.data.download import FILES, cache_folder

    return "figshare" if all((cache_folder() / file.name).is_file() for file in FILES) else None
