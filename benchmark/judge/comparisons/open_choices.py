"""What the thesis leaves open, taken another way: one change at a time from its protocol. Pure.

The reference is the thesis's best cell, with the shipped protocol of a kind of split, at one image
size. Beside it stands every cell with its parameters that differs in one setting: of the protocol,
the arm, or, from the thesis's size, the image size. Several settings that a step of `plan.toml`
names as one `choice` (half strengths) count as one; what else differs in several says nothing of
any of them.

The difference is the contrast of `arms`: the same slices, patients as the unit, a share of s^2 for
each training. A single training of the one way borrows the spread between the reference's seeds,
and no verdict rests on it. The difference is also told in SDs between seeds on those splits (of
both ways, where both have two): early stopping alone makes trainings of one recipe differ, and what
lies within that needs no other reason.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.judge.cells import Cell, cell_of, size_of
from benchmark.judge.comparable import in_cell
from benchmark.judge.comparisons.arms import PairwiseComparison, compared
from benchmark.judge.comparisons.stopping import BEST_EPOCH
from benchmark.judge.reference import ContrastRule, Reference, Tolerances
from benchmark.judge.statistics.contrast import DICE, between_seeds, mean
from benchmark.judge.statistics.spread_of_seeds import Spreads, spreads
from benchmark.judge.tables import Column, Ranked, Record, Table
from benchmark.planning.evidence import NATIVE, Step
from benchmark.protocol import Recipe, load_recipe
from benchmark.runs.collect import Collected, changed_settings
from benchmark.runs.reader import canonical

PROTOCOLS = {"image": "thesis", "patient": "patient"}  # of the reference, by kind of split
SPLIT = ["split_id", "split_fingerprint"]
ONE_WAY = ["arm", "height", "width", "changed_settings"]
PENDING, SINGLE = "not run yet", "single trainings"

Settings = Mapping[str, Any]  # arm, image_size, and section.key of a protocol that is changed


@dataclass(frozen=True, eq=False)
class OpenChoices:
    """One reference and what was done otherwise, highest mean Dice first, by the name of what.

    waiting: what the plan holds and nobody has run; several: trainings at this size that differ in
    more than one setting, and so are left out.
    """

    reference: Cell
    unit: str
    taken: Mapping[str, PairwiseComparison]
    waiting: tuple[str, ...]
    several: int
    varying: Spreads


def open_choices(
    collected: Collected,
    reference: Reference,
    tolerances: Tolerances,
    steps: Sequence[Step] = (),
) -> list[OpenChoices]:
    """Return one for each kind of split and image size at which the reference was run.

    steps: of the plan, which name choices of several settings and say what is to be run. No
    phantoms, other slices or arms from outside; other splits than the reference's do not count.
    """
    cell, runs = reference.best_cell, collected.runs.sort_values("run_id")
    runs = runs[(runs["dataset_id"] == reference.dataset_id) & ~runs["phantom"]]
    runs = runs[runs["source"] == ""].reset_index(drop=True)
    own = runs[in_cell(runs, cell.arm, cell.kernel_size, cell.alpha)]
    found = []
    for unit, protocol in PROTOCOLS.items():
        usual = changed_settings(load_recipe(protocol).identity())
        as_usual = own["changed_settings"] == canonical(usual)
        references = own[as_usual & (own["split_unit"] == unit)]
        for size, part in references.groupby(["height", "width"]):
            others = runs[runs["params"].isin(set(part["params"]))].drop(part.index)
            others = others.merge(part[SPLIT].drop_duplicates(), on=SPLIT)
            if size != (tolerances.dice.image_size,) * 2:
                others = others[(others["height"] == size[0]) & (others["width"] == size[1])]
            base = {"arm": cell.arm, "image_size": _size(*size), **usual}
            planned = _planned(steps, base, unit, reference)
            ways, several = _ways(others, base, planned, collected)
            at = cell_of(part, collected)
            found.append(_judged(at, unit, ways, list(planned), several, tolerances))
    return found


def _ways(
    others: pd.DataFrame, base: Settings, planned: Mapping[str, str], collected: Collected
) -> tuple[dict[str, Cell], int]:
    """The cells that differ from a base in one thing, by its name, and how many trainings at its
    size differ in several.
    """
    named = {changes: name for name, changes in planned.items()}
    ways, several = dict[str, Cell](), 0
    for (arm, height, width, changed), runs in others.groupby(ONE_WAY):
        own = {"arm": arm, "image_size": _size(height, width), **json.loads(changed)}
        changes = changes_from(base, own)
        name = named.get(canonical(changes)) or one_change(changes)
        if name:
            ways[name] = cell_of(runs, collected)
        elif "image_size" not in changes:
            several += len(runs)
    return ways, several


def _judged(
    reference: Cell, unit: str, ways: Mapping[str, Cell], planned: Sequence[str], several: int,
    tolerances: Tolerances,
) -> OpenChoices:  # fmt: skip
    varying = spreads([reference, *ways.values()], DICE)
    rules = tolerances.contrasts, tolerances.intervals
    rows = compared(list(ways.values()), reference, varying, *rules)
    taken = dict(sorted(zip(ways, rows, strict=True), key=lambda row: (-row[1].dice, row[0])))
    waiting = tuple(name for name in planned if name not in ways)
    return OpenChoices(reference, unit, taken, waiting, several, varying)


def changes_from(base: Settings, own: Settings) -> dict[str, Any]:
    """What of one set of settings is another than in a base, with its own values.

    >>> changes_from({"training.patience": 20}, {"training.patience": 20, "loss.pool_batch": True})
    {'loss.pool_batch': True}
    >>> changes_from({"preprocess.nyul_fit": "train"}, {})
    {'preprocess.nyul_fit': 'all'}
    """
    differing = sorted(key for key in base.keys() | own.keys() if _of(base, key) != _of(own, key))
    return {key: _of(own, key) for key in differing}


def _of(settings: Settings, key: str) -> Any:
    """A value, the thesis's where the settings do not say it; tuples as JSON has them."""
    section, _, name = key.partition(".")
    value = settings[key] if key in settings else Recipe().identity()[section][name]
    return list(value) if isinstance(value, tuple) else value


def one_change(changes: Settings) -> str | None:
    """The name of a single change; None for none or several.

    >>> one_change({"training.monitor": "val_loss"}), one_change({"loss.pool_batch": True})
    ('training.monitor = val_loss', 'loss.pool_batch = true')
    """
    if len(changes) != 1:
        return None
    ((key, value),) = changes.items()
    return f"{key} = {value if isinstance(value, str) else json.dumps(value)}"


def _planned(
    steps: Sequence[Step], base: Settings, unit: str, reference: Reference
) -> dict[str, str]:
    """The canonical changes of what steps do otherwise at the base's size, by name, in their order.

    Another arm is a choice where its step says so.
    """
    cell, found = reference.best_cell, dict[str, str]()
    wanted = {"kernel_size": cell.kernel_size, "alpha": cell.alpha}
    for step in steps:
        side, recipe = step.options.image_size or NATIVE, step.recipe
        if (recipe.split.unit, _size(side, side)) != (unit, base["image_size"]):
            continue
        cells = [of for of in step.cells() if all(of.get(k, v) == v for k, v in wanted.items())]
        settings = {**changed_settings(recipe.identity()), "image_size": base["image_size"]}
        for arm in dict.fromkeys(of["arm"] for of in cells):
            changes = changes_from(base, {**settings, "arm": arm})
            name = step.choice or (one_change(changes) if arm == cell.arm else None)
            if name and changes:
                found[name] = canonical(changes)
    return found


def _size(height: int, width: int) -> str:
    return str(size_of({"height": height, "width": width}))


FIELDS = ("choice", "trainings", "seeds", "splits", "dice", "reference_dice", "difference", "low",
          "high", "sd", "sds", "own_sd", "best_epoch", "best_epoch_least", "best_epoch_most",
          "would_be", "would_be_low", "would_be_high", "p", "standing", "why")  # fmt: skip


def choices_table(choices: OpenChoices, reference: Reference, rule: ContrastRule) -> Table:
    """One row for the reference on the splits that another way was run on, one for each way, and
    one for what is not run yet.

    Records: choice, trainings, seeds, splits, dice and reference_dice (on common splits),
    difference with low and high, sd (between seeds there), sds (the difference in these), own_sd
    (between its own seeds, None for single trainings), best_epoch (mean, from 1) with its least and
    most, would_be with its ends (the printed number plus the difference; by image alone), p (Holm),
    standing, why.
    """
    printed, interval = reference.best_cell.dice_mean, f"{rule.level:.0%} interval"
    added = printed if choices.unit == "image" else math.nan
    rows = [_record(name, row, choices, rule, added) for name, row in choices.taken.items()]
    waiting = [{"choice": name, "standing": PENDING} for name in choices.waiting]
    would_be = ("would_be", "would_be_low", "would_be_high")
    columns = (
        Column("choice", "choice"),
        Column("seeds x splits", ("seeds", "splits"), "{} x {}"),
        Column("mean Dice", "dice", "{:.4f}"),
        Column("reference's Dice", "reference_dice", "{:.4f}"),
        Column("difference", "difference", "{:+.4f}"),
        Column(interval, ("low", "high"), "{:+.3f} to {:+.3f}"),
        Column("in SDs", "sds", "{:+.1f}"),
        Column("SD of seeds", "own_sd", "{:.4f}"),
        Column("best epoch", _epochs),
        Column(f"{printed:g} would be", would_be, "{:.3f} ({:.3f} to {:.3f})"),
        Column("p (Holm)", "p", "{:.3f}"),
        Column("verdict", "standing"),
        Column("why", "why"),
    )
    essential = ("choice", "mean Dice", "difference", interval, "in SDs", "best epoch",
                 "verdict")  # fmt: skip
    cell, first = choices.reference, choices.reference.runs.iloc[0]
    title = (
        f"Open choices, {cell.name}, by {choices.unit}, {size_of(first)}: one change at a time "
        f"from protocol {first['protocol']}."
    )
    made = [dict.fromkeys(FIELDS) | row for row in (_reference(choices), *rows, *waiting)]
    shown = [c for c in columns if c.source != would_be or choices.unit == "image"]
    return Table(title, made, shown, tuple(_notes(choices, printed)), essential)


def _reference(choices: OpenChoices) -> dict[str, Any]:
    rows, cell = choices.taken.values(), choices.reference
    cell = cell.on(frozenset[str]().union(*(row.cell.splits for row in rows)) or cell.splits)
    sd = _sd(cell)
    own = {"choice": "as in the protocol", "dice": mean(cell, DICE), "standing": "reference"}
    return {**own, "sd": sd, "own_sd": sd, **_trainings(cell)}


def _record(
    name: str, row: PairwiseComparison, choices: OpenChoices, rule: ContrastRule, printed: float
) -> dict[str, Any]:
    record = {
        "choice": name,
        **_trainings(row.cell),
        "dice": row.dice,
        "reference_dice": row.reference_dice,
        "sd": _sd(row.cell, choices.reference.on(row.cell.splits)),
        "own_sd": _sd(row.cell),
        "p": row.p,
        "standing": SINGLE if row.once else row.standing.value,
        "why": row.why,
    }
    if row.difference:
        (low, high), difference = row.difference.interval(rule.level), row.difference.value
        record |= {"difference": difference, "low": low, "high": high}
        would_be = {"would_be": difference, "would_be_low": low, "would_be_high": high}
        record |= {field: printed + change for field, change in would_be.items()}
        record["sds"] = difference / record["sd"] if record["sd"] else None
    return record


def _trainings(cell: Cell) -> dict[str, Any]:
    """How many a cell has, and the epochs whose weights they kept, counted from 1."""
    epochs = pd.to_numeric(cell.runs.get(BEST_EPOCH, pd.Series(dtype=float)), "coerce") + 1
    return {
        "trainings": len(cell.runs),
        "seeds": cell.runs["seed"].nunique(),
        "splits": len(cell.splits),
        "best_epoch": epochs.mean(),
        "best_epoch_least": epochs.min(),
        "best_epoch_most": epochs.max(),
    }


def _sd(*cells: Cell) -> float | None:
    """Between the seeds' means on one split, pooled over cells and splits; None without two."""
    seeds = between_seeds(cells, DICE)
    return math.sqrt(seeds.value) if seeds else None


def _epochs(row: Record) -> Ranked | None:
    """The epoch of one training; of several their mean, the least and the most."""
    middle, least, most = (row[f"best_epoch{end}"] for end in ("", "_least", "_most"))
    if middle is None or pd.isna(middle):
        return None
    ends = "" if least == most else f" ({least:.0f} to {most:.0f})"
    return Ranked(f"{middle:.0f}{ends}", middle)


def _notes(choices: OpenChoices, printed: float) -> list[str]:
    differences = (
        "Each row differs from the reference in what it names alone. Differences are on the common "
        "splits, slice by slice, patients being the unit; a single training borrows the spread "
        "between the reference's seeds. Intervals are not corrected for the number of rows, p is; "
        "variation between training sets is not included."
    )
    sds = (
        "In SDs: the difference over the SD between seeds on those splits. By chance alone one "
        "training lies 1.2 of them from a mean of three, and one such mean 0.8 from another (root "
        "mean square)."
    )
    notes = [differences, sds]
    if choices.unit == "image":
        notes.append(
            f"{printed:g} would be: that number plus the difference, had the author chosen as the "
            "protocol does and then otherwise, and were the difference at his image size as here."
        )
    if choices.waiting:
        notes.append(f"{PENDING}: steps of reference_results/plan.toml.")
    if choices.several:
        notes.append(
            f"Left out: {choices.several} trainings that differ in several settings at once."
        )
    return [*notes, *filter(None, [choices.varying.note])]
