"""Grids: what is expanded, in which order, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baselines import ARMS as OURS
from benchmark.arm import ArmEntry
from benchmark.arm_source import ArmSource
from benchmark.errors import ArmError, SpecError
from benchmark.planning.grid import Grid, expand, load_grid
from benchmark.protocol import Recipe, load_recipe
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split

ARMS = {
    "unet": ArmEntry("elsewhere:UNet", {"alpha": 0.5, "kernel_size": 5}),
    "otsu": ArmEntry("elsewhere:Otsu", {}, deterministic=True),
    "cut": ArmEntry("elsewhere:Cut", {"level": 0.5}, deterministic=True),
}
SPLITS = (Split("by-image-1", (1, 2), (3,), (4,)), Split("by-image-2", (1, 3), (4,), (2,)))
DATA: Any = {"dataset_id": "d", "content_fingerprint": "c", "shape": (512, 384)}
UNET, OTSU = '[[arms]]\nname = "unet"\n', '[[arms]]\nname = "otsu"\n'
THESIS = f"""
seeds = [452669, 1, 2]
{UNET}
alpha = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
kernel_size = [3, 5, 7, 9]
"""


def written(folder: Path, text: str) -> Grid:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_grid(str(path))


def runs(grid: Grid, splits: tuple[Split, ...] = SPLITS[:1], **options: Any) -> list[RunSpec]:
    return expand(grid, ARMS, Recipe(), splits, **DATA, **options)


def test_the_shipped_thesis_grid_is_36_cells_of_3_seeds(tmp_path: Path) -> None:
    """Thesis, 2.10: nine alphas x four kernels x three seeds = 108 trainings."""
    specs = runs(written(tmp_path, THESIS))
    assert len(specs) == len({s.run_id for s in specs}) == 108
    cells = {(s.params["alpha"], s.params["kernel_size"]) for s in specs}
    assert cells == {(round(0.1 * i, 1), k) for i in range(1, 10) for k in (3, 5, 7, 9)}
    assert {s.seed for s in specs} == {452669, 1, 2}
    shipped = load_grid("thesis")
    assert (shipped.protocol, shipped.splits, shipped.overrides) == ("thesis", (1,), {})
    assert {s.run_id for s in runs(shipped)} == {s.run_id for s in specs}


def test_a_cell_of_an_arm_from_outside_has_its_source(tmp_path: Path) -> None:
    """So that a changed arm is another run; one of this repository has none."""
    grid = written(tmp_path, f"seeds = [1]\n{UNET}{OTSU}")
    source = ArmSource("my-arm", "0.1", "a" * 64)
    arms = {**ARMS, "otsu": replace(ARMS["otsu"], source=source)}
    unet, otsu = expand(grid, arms, Recipe(), SPLITS[:1], **DATA)
    assert (unet.source, otsu.source) == (None, "a" * 64)
    assert {unet.run_id, otsu.run_id} & {spec.run_id for spec in runs(grid)} == {unet.run_id}


def test_a_grid_that_names_a_broken_arm_is_refused_with_the_reason(tmp_path: Path) -> None:
    arms = {**ARMS, "otsu": ArmEntry("own_arm:Mine", broken="arm 'otsu' cannot be used: 1 / 0")}
    grid, alone = (written(tmp_path, f"seeds = [1]\n{text}") for text in (UNET + OTSU, UNET))
    with pytest.raises(ArmError, match=r"^arm 'otsu' cannot be used: 1 / 0$"):
        expand(grid, arms, Recipe(), SPLITS[:1], **DATA)
    assert len(expand(alone, arms, Recipe(), SPLITS[:1], **DATA)) == 1


def test_a_grid_that_is_stopped_early_has_whole_cells_of_the_first_seed(tmp_path: Path) -> None:
    specs = runs(written(tmp_path, THESIS))
    assert [s.seed for s in specs] == [452669] * 36 + [1] * 36 + [2] * 36
    assert [s.params for s in specs[:36]] == [s.params for s in specs[36:72]]


def test_splits_are_outermost(tmp_path: Path) -> None:
    specs = runs(written(tmp_path, THESIS), SPLITS)
    names = [(s.split_id, s.fingerprint) for s in SPLITS]
    assert [(s.split_id, s.split_fingerprint) for s in specs] == [names[0]] * 108 + [names[1]] * 108


def test_axes_follow_the_file_the_last_one_fastest(tmp_path: Path) -> None:
    axes = "kernel_size = [9, 3]\nalpha = [0.7, 0.2]\n"
    specs = runs(written(tmp_path, f"seeds = [1]\n{UNET}{axes}"))
    cells = [(s.params["kernel_size"], s.params["alpha"]) for s in specs]
    assert cells == [(9, 0.7), (9, 0.2), (3, 0.7), (3, 0.2)]


def test_a_deterministic_arm_has_one_run_whatever_the_seeds(tmp_path: Path) -> None:
    specs = runs(written(tmp_path, f"seeds = [1, 2, 3]\n{OTSU}{UNET}"), SPLITS)
    once = [("otsu", None), ("unet", 1), ("unet", 2), ("unet", 3)]
    assert [(s.arm, s.seed) for s in specs] == once * 2  # and once per split


def test_one_cell_named_twice_is_one_run(tmp_path: Path) -> None:
    grid = written(tmp_path, f"seeds = [1]\n{UNET}{UNET}alpha = [0.5, 0.6]\n")
    assert [s.params["alpha"] for s in runs(grid)] == [0.5, 0.6]


def test_defaults_are_filled_in_and_a_single_value_is_an_axis(tmp_path: Path) -> None:
    (spec,) = runs(written(tmp_path, f"seeds = [7]\n{UNET}alpha = 0.9\n"))
    assert spec.params == {"alpha": 0.9, "kernel_size": 5}
    assert (spec.dataset_id, spec.content_fingerprint, spec.shape) == ("d", "c", (512, 384))


def test_all_keys_of_a_grid_are_read(tmp_path: Path) -> None:
    """Without more than arms and seeds it is split 1 of the thesis."""
    more = 'splits = [2, 4]\nprotocol = "patient"\n[set]\n"training.patience" = 9\n'
    arms, patience = (("otsu", {}),), {"training.patience": 9}
    grid = written(tmp_path, f"seeds = [3]\n{more}{OTSU}")
    assert grid == Grid("mine", arms, (3,), (2, 4), "patient", patience)
    grid = written(tmp_path, f"seeds = [3]\n{OTSU}")
    assert grid == Grid("mine", arms, (3,), (1,), "thesis", {})


def test_an_unknown_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"unknown grid 'nonsense'; known: .*path ending in \.toml"):
        load_grid("nonsense")
    with pytest.raises(SpecError, match=r"other\.toml is not there"):
        load_grid(str(tmp_path / "other.toml"))


NUMBERS = "must be a list of whole numbers"
NO_NUMBERS = ("[]", "1", "[-1]", "[1.5]", "[true]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = [\n", "not valid TOML"),
        (f"seed = 1\n{UNET}", "unknown key 'seed'; known: arms, protocol, seeds, set, splits"),
        ("seeds = [1]\n", "names no arm"),
        ("seeds = [1]\n[[arms]]\nalpha = 0.5\n", "needs a name"),
        (f"seeds = [1]\n{UNET}alpha = []\n", "no axis may be empty"),
        (UNET, f"seeds = .* {NUMBERS}"),
        *((f"seeds = {bad}\n{UNET}", f"seeds = .* {NUMBERS}") for bad in NO_NUMBERS),
        (f"seeds = [1, 1]\n{UNET}", "seeds = .* names one twice"),
        (f"seeds = [1]\nsplits = []\n{UNET}", f"splits = .* {NUMBERS}"),
        (f"seeds = [1]\nset = 3\n{UNET}", "set must be a table"),
        ('seeds = [1]\n[arms]\nname = "unet"\n', r"must be written as \[\[arms\]\]"),
        ("seeds = [1]\narms = 3\n", r"must be written as \[\[arms\]\]"),
        ("seeds = [1]\narms = [3]\n", r"must be written as \[\[arms\]\]"),
    ],
)
def test_a_malformed_grid_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=f"mine.*{message}"):
        written(tmp_path, text)


BOTH = f'seeds = [1, 2]\n{UNET}alpha = [0.3, 0.5]\n[[arms]]\nname = "cut"\nlevel = [0.4, 0.6]\n'
UNETS, CUTS = [("unet", 0.3), ("unet", 0.5)], [("cut", 0.4), ("cut", 0.6)]


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        ({}, [*UNETS, *CUTS, *UNETS]),
        ({"arm": ["cut"]}, CUTS),
        ({"alpha": [0.5]}, [("unet", 0.5)] * 2),
        ({"arm": ["unet"], "alpha": [0.3]}, [("unet", 0.3)] * 2),
        ({"level": [0.6, 0.4]}, CUTS),  # the grid's order, not the one asked in
    ],
)
def test_only_narrows_by_arm_or_parameter(
    only: dict[str, list[object]], kept: list[tuple[str, float]], tmp_path: Path
) -> None:
    specs = runs(written(tmp_path, BOTH), only=only)
    assert [(s.arm, s.params.get("alpha", s.params.get("level"))) for s in specs] == kept


@pytest.mark.parametrize(
    ("text", "only", "message"),
    [
        ('seeds = [1]\n[[arms]]\nname = "unett"\n', {}, "arm 'unett'; known: cut, otsu, unet"),
        (f"seeds = [1]\n{UNET}kernel = 5", {}, "parameter 'kernel'; known: alpha, kernel_size"),
        (f"seeds = [1]\n{OTSU}alpha = 0.5", {}, r"parameter 'alpha'; known: \(none\)"),
        (BOTH, {"kernel": [5]}, "key 'kernel'; known: alpha, arm, kernel_size, level"),
        (BOTH, {"alpha": [0.4]}, "alpha 0.4; known: 0.3, 0.5"),
        (BOTH, {"arm": ["otsu"]}, "arm 'otsu'; known: cut, unet"),
        (BOTH, {"alpha": ["0.5"]}, "alpha '0.5'; known: 0.3, 0.5"),
    ],
)
def test_what_no_run_has_lists_what_is_known(
    text: str, only: dict[str, list[object]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=f"{'--only: ' if only else ''}unknown {message}"):
        runs(written(tmp_path, text), only=only)


def test_a_whole_number_for_a_float_parameter_is_the_same_run() -> None:
    """alpha = 1 and alpha = 1.0 are one cell, not two."""
    entry = ArmEntry("module:Class", {"alpha": 0.5, "kernel_size": 5})
    assert type(entry.resolve({"alpha": 1})["alpha"]) is float
    assert type(entry.resolve({"kernel_size": 3})["kernel_size"]) is int


def test_a_run_whose_name_no_file_system_takes_is_refused(tmp_path: Path) -> None:
    long = ArmEntry("elsewhere:Long", {f"{'a' * 30}{i}": 0 for i in range(8)})
    grid = written(tmp_path, 'seeds = [1]\n[[arms]]\nname = "long"\n')
    with pytest.raises(
        SpecError, match=r"long: its parameters make a folder's name of 3\d\d signs"
    ):
        expand(grid, {"long": long}, Recipe(), SPLITS[:1], **DATA)


def ours(name: str) -> list[RunSpec]:
    """What a shipped grid makes of the arms of this repository."""
    grid = load_grid(name)
    return expand(grid, OURS, load_recipe(grid.protocol, grid.overrides), SPLITS[:1], **DATA)


def test_the_quick_grid_covers_everything_and_the_baselines_grid_every_other_arm() -> None:
    specs, unet = ours("quick"), "unet"
    assert {spec.arm for spec in specs} == set(OURS) - {"dynunet"}  # 46 million parameters
    cells = {(s.params["kernel_size"], s.params["alpha"]) for s in specs if s.arm == unet}
    assert cells == {(3, 0.5), (5, 0.5), (7, 0.5), (9, 0.5), (5, 0.1), (5, 0.9)}
    specs = ours("baselines")
    assert {spec.arm for spec in specs} == set(OURS) - {unet}
    assert [spec.seed for spec in specs if spec.arm == "otsu"] == [None]
    for network in ("attention-unet", "unet-maxpool"):
        assert len([spec for spec in specs if spec.arm == network]) == 3
