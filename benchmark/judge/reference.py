"""The thesis's printed numbers and the margins fixed beforehand, of `reference_results/*.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, TypeVar

from benchmark.data.registry import CHENG_DATASET_ID
from benchmark.errors import SpecError
from benchmark.protocol import load_recipe
from benchmark.runs.collect import identity_hash, protocol_hash, rule_text, without_test

T = TypeVar("T")
DATASETS = {"cheng-meningioma": CHENG_DATASET_ID}


@dataclass(frozen=True)
class Claim:
    """One statement in words that a rerun can test; section is the thesis's."""

    id: str
    statement: str
    section: str


@dataclass(frozen=True)
class PrintedCell:
    """The one cell whose Dice is printed; dice_mean is over test images and seeds, in [0, 1]."""

    arm: str
    kernel_size: int
    alpha: float
    seeds: int
    dice_mean: float
    section: str


@dataclass(frozen=True)
class Reference:
    """Everything the thesis prints: parameters_millions by kernel size, split_sizes in images."""

    dataset_id: str
    parameters_millions: Mapping[int, float]
    split_sizes: Mapping[str, int]
    best_cell: PrintedCell
    kernels: tuple[int, ...]
    alphas: tuple[float, ...]
    seeds_per_cell: int
    trainings: int
    hours: float
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Margin:
    """within: greatest difference that counts as reproduced; needs: what runs must share."""

    needs: tuple[str, ...]
    required: bool
    within: float
    reason: str


@dataclass(frozen=True)
class DiceRule:
    """When a mean Dice counts as reproduced; see `benchmark.judge.verdicts.judge_dice`."""

    needs: tuple[str, ...]
    required: bool
    image_size: int
    precisions: tuple[str, ...]
    splits: tuple[str, ...]
    min_seeds: int
    level: float
    rounding: float
    max_half_width: float
    training_set_sd: float
    power: float
    true_differences: tuple[float, ...]
    reason: str


@dataclass(frozen=True)
class IntervalRule:
    """What intervals, and verdicts on arms that train, have to meet; `tolerances.toml` says why."""

    fewest_seeds: int
    fewest_slices: int
    fewest_patients: int
    reason: str


@dataclass(frozen=True)
class RuleChange:
    """A rule that was changed after results were known; said: what the one before came to."""

    date: date
    rule: str
    was: str
    now: str
    known: str
    said: str


@dataclass(frozen=True)
class SupersededTraining:
    """A training whose record was replaced by one of the same run; `superseded.toml` says more.

    run_id: of its folder in `reference_results/superseded`; commit and replaced_in: of the history.
    """

    run_id: str
    commit: str
    replaced_by: str
    replaced_in: str
    replaced: date
    why: str
    known: str


@dataclass(frozen=True)
class PrecisionRule:
    """When a lower precision counts as equivalent to the plain one; see `judge.comparisons`."""

    plain: str
    min_seeds: int
    level: float
    margin: float
    reason: str


@dataclass(frozen=True)
class Key:
    """The cell that others are set against; alpha is the weight of false negatives."""

    arm: str
    kernel_size: int
    alpha: float


@dataclass(frozen=True)
class ContrastRule:
    """Which cell others are set against, and when a difference is real; see `comparisons.arms`."""

    reference: Key
    level: float
    reason: str


@dataclass(frozen=True)
class SplitEffectRule:
    """The level of the interval around a split's effect; see `comparisons.split_effect`."""

    level: float
    reason: str


@dataclass(frozen=True)
class SecondReaderRule:
    """When an arm agrees with reader 1 as well as the second reader does; margin in mean Dice.

    See `comparisons.second_reader`.
    """

    level: float
    margin: float
    reason: str


@dataclass(frozen=True)
class Sizes:
    """Where small, middle and large tumours part: areas of the truth in mm2, ascending."""

    edges_mm2: tuple[float, float]
    reason: str


@dataclass(frozen=True)
class ClaimRule:
    """When a claim made in words holds; `tolerances.toml` says what each number means."""

    level: float
    gain: float
    outline_right_nsd_1mm: float
    well: float
    vary: float
    share: float
    fewest_cells: int
    core_missed: float
    consistently: float
    fewest_trainings: int
    examples: int
    reason: str
    readings: Mapping[str, str]


@dataclass(frozen=True)
class Tolerances:
    """The margins, and the identity of the protocol whose runs may be compared with the thesis."""

    protocol: str
    protocol_hash: str
    recipe_hash: str
    network_hash: str
    split_rule: str
    parameters: Margin
    split_sizes: Margin
    dice: DiceRule
    intervals: IntervalRule
    precision: PrecisionRule
    contrasts: ContrastRule
    split_effect: SplitEffectRule
    second_reader: SecondReaderRule
    sizes: Sizes
    claims: ClaimRule
    changes: tuple[RuleChange, ...]


def load_reference() -> Reference:
    """Read `reference_results/thesis.toml`; `SpecError` if it is damaged."""
    return _made("thesis.toml", _reference)


def _reference(table: Mapping[str, Any]) -> Reference:
    grid, millions = table["grid"], dict(table["parameters_millions"])
    millions.pop("section")
    return Reference(
        dataset_id=DATASETS[table["dataset"]["name"]],
        parameters_millions={int(kernel): number for kernel, number in millions.items()},
        split_sizes={name: table["split_sizes"][name] for name in ("train", "val", "test")},
        best_cell=PrintedCell(**table["best_cell"]),
        kernels=tuple(grid["kernels"]),
        alphas=tuple(grid["alphas"]),
        seeds_per_cell=grid["seeds_per_cell"],
        trainings=grid["trainings"],
        hours=grid["hours"],
        claims=tuple(Claim(**claim) for claim in table["claims"]),
    )


def load_tolerances() -> Tolerances:
    """Read `reference_results/tolerances.toml`; `SpecError` if it is damaged."""
    return _made("tolerances.toml", _tolerances)


def _tolerances(table: Mapping[str, Any]) -> Tolerances:
    recipe = load_recipe(table["protocol"])
    identity, contrasts = recipe.identity(), table["contrasts"]
    return Tolerances(
        protocol=recipe.name,
        protocol_hash=protocol_hash(identity),
        recipe_hash=protocol_hash(without_test(identity)),
        network_hash=identity_hash(identity["network"]),
        split_rule=rule_text(recipe.split),
        parameters=_margin(table["parameters"], "within_millions"),
        split_sizes=_margin(table["split_sizes"], "within_images"),
        dice=DiceRule(**_frozen(table["dice"])),
        intervals=IntervalRule(**table["intervals"]),
        precision=PrecisionRule(**table["precision"]),
        contrasts=ContrastRule(**{**contrasts, "reference": Key(**contrasts["reference"])}),
        split_effect=SplitEffectRule(**table["leak"]),
        second_reader=SecondReaderRule(**table["second_reader"]),
        sizes=Sizes(**_frozen(table["sizes"])),
        claims=ClaimRule(**table["claims"]),
        changes=tuple(RuleChange(**change) for change in table["changes"]),
    )


def load_superseded() -> tuple[SupersededTraining, ...]:
    """Read `reference_results/superseded.toml`; `SpecError` if it is damaged."""

    def made(table: Mapping[str, Any]) -> tuple[SupersededTraining, ...]:
        return tuple(SupersededTraining(**training) for training in table["trainings"])

    return _made("superseded.toml", made)


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with its lists as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _margin(table: Mapping[str, Any], within: str) -> Margin:
    return Margin(tuple(table["needs"]), table["required"], table[within], table["reason"])


def _made(name: str, make: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return make(_read(name))
    except (KeyError, TypeError, ValueError) as error:
        where = f"reference_results/{name}"
        raise SpecError(f"{where}: {error!r}; restore the shipped file") from error


def _read(name: str) -> dict[str, Any]:
    try:
        return tomllib.loads((files("reference_results") / name).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SpecError(
            f"reference_results/{name}: cannot be read ({error}); restore the shipped file"
        ) from error
