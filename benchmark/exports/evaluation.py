"""What records say of a model: the Dice of its cell on patients not trained on, or the nearest's.

Pure: records in, plain JSON values out, which stand in the model's config.json and on its card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from benchmark.data.registry import CHENG_DATASET_ID
from benchmark.inference.model_folder import StoredModel
from benchmark.judge.cells import Cell, cell_name, cell_of
from benchmark.judge.comparable import fitted_as_the_thesis
from benchmark.judge.comparisons.leak import cheng_patients
from benchmark.judge.comparisons.second_reader import SecondReading
from benchmark.judge.comparisons.two_readers import two_readers_in_words
from benchmark.judge.reference import load_tolerances
from benchmark.judge.statistics.contrast import DICE, contrast, mean
from benchmark.judge.statistics.estimate import too_few
from benchmark.judge.statistics.spread_of_seeds import pooled
from benchmark.runs.collect import Collected, protocol_hash, shipped_splits, without_test
from benchmark.runs.reader import canonical
from benchmark.splits.leakage import leakage

DIGITS = 4
LEVEL = 0.95


@dataclass(frozen=True)
class Score:
    """Mean Dice of a cell over slices, each the mean of the trainings that tested it.

    low, high: 95% interval over patients and trainings, None where patients are unknown, where
    slices or patients are fewer than the rules ask of an interval, and where no cell on these
    terms was trained from two seeds on one split.
    """

    cell: str
    dice: float
    low: float | None
    high: float | None
    slices: int
    patients: int
    trainings: int


def evaluation(
    stored: StoredModel, collected: Collected, second: SecondReading | None = None
) -> dict[str, Any]:
    """Return what is known of a model's cell, by plain JSON values.

    cell: its name. by_patient and by_image: `Score` of the model's own cell (arm, parameters,
    recipe but for the split, data, size fed, precision) in splits of that kind, None where no run
    of it is among the records; nearest_by_patient: where by_patient is None, that of the cell of
    the same arm that differs in the fewest parameters, the one with most trainings of several.
    shared_patients: of the model's own test slices how many have their patient in training, None
    where the split is not shipped. readers: how well two readers agree on these slices, "" where
    that is not known.
    """
    runs = _alike(stored, collected.runs)
    own = runs["params"] == canonical(stored.spec.params)
    by_patient = _score(runs[own], "patient", runs, collected)
    nearest = None if by_patient else _nearest(stored, runs[~own], collected)
    by_image = _score(runs[own], "image", runs, collected)
    known = second is not None and not stored.phantom
    known = known and stored.spec.dataset_id == CHENG_DATASET_ID
    return {
        "cell": named(stored.spec.arm, stored.spec.params),
        "by_patient": by_patient and asdict(by_patient),
        "nearest_by_patient": nearest and asdict(nearest),
        "by_image": by_image and asdict(by_image),
        "shared_patients": _shared_patients(stored),
        "readers": two_readers_in_words(second, LEVEL) if second and known else "",
    }


def joined(first: Collected, second: Collected) -> Collected:
    """The runs of both, those that are in both once."""
    new = ~second.runs["run_id"].isin(first.runs["run_id"])
    more = second.scores[second.scores["run_id"].isin(second.runs["run_id"][new])]
    parts = [part for part in (first.runs, second.runs[new]) if len(part)]
    scores = [part for part in (first.scores, more) if len(part)]
    if not parts:
        return first
    return Collected(
        pd.concat(parts, ignore_index=True), pd.concat(scores, ignore_index=True), first.unfinished
    )


def named(arm: str, params: Mapping[str, Any]) -> str:
    """The name of a cell, as tables have it; without a kernel its parameters in brackets.

    >>> named("unet", {"kernel_size": 3, "alpha": 0.5})
    'unet 3x3, alpha 0.5'
    >>> named("my-arm", {"width": 32, "alpha": 0.5})
    'my-arm (alpha 0.5, width 32)'
    """
    kernel, alpha = params.get("kernel_size"), params.get("alpha")
    if type(kernel) is int:
        return cell_name(arm, kernel, alpha if isinstance(alpha, float) else float("nan"))
    told = ", ".join(f"{name} {value}" for name, value in sorted(params.items()))
    return f"{arm} ({told})" if told else arm


def _alike(stored: StoredModel, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of a model's arm on its terms, whatever their parameters and splits."""
    spec = stored.spec
    terms: Mapping[str, Any] = {
        "phantom": stored.phantom,
        "dataset_id": spec.dataset_id,
        "recipe_hash": protocol_hash(without_test(spec.recipe.identity())),
        "height": spec.shape[0],
        "width": spec.shape[1],
        "precision": spec.recipe.training.precision,
        "arm": spec.arm,
        "source": spec.source or "",
    }
    for name, value in terms.items():
        runs = runs[runs[name] == value]
    return fitted_as_the_thesis(runs)


def _score(
    runs: pd.DataFrame, unit: str, alike: pd.DataFrame, collected: Collected
) -> Score | None:
    """Of the runs of one cell in splits of a unit; of several protocols that with most of them."""
    cells = _cells(runs, unit, collected)
    return _scored(cells[0], _cells(alike, unit, collected)) if cells else None


def _cells(runs: pd.DataFrame, unit: str, collected: Collected) -> list[Cell]:
    """The cells in splits of a unit, those with most trainings first."""
    of_unit = runs[runs["split_unit"] == unit]
    cells = [cell_of(part, collected) for _, part in of_unit.groupby(["params", "protocol_hash"])]
    return sorted(cells, key=lambda cell: (-len(cell.runs), cell.name))


def _scored(cell: Cell, others: list[Cell]) -> Score:
    """others: cells on the same terms, whose spread of trainings counts where it has none."""
    seeds = pooled([cell], DICE) or pooled(others, DICE)
    slices = cell.rows.drop_duplicates("slice_id")["patient_id"].tolist()
    few = too_few(slices, load_tolerances().intervals)
    found = None if few else contrast([(1.0, cell)], DICE, seeds, by_slice=True)
    low, high = found.interval(LEVEL) if found else (None, None)
    return Score(
        cell=named(cell.arm, json.loads(cell.params)),
        dice=round(mean(cell, DICE), DIGITS),
        low=None if low is None else round(max(low, 0.0), DIGITS),
        high=None if high is None else round(min(high, 1.0), DIGITS),
        slices=int(cell.rows["slice_id"].nunique()),
        patients=int(cell.rows["patient_id"].nunique()),
        trainings=len(cell.runs),
    )


def _nearest(stored: StoredModel, others: pd.DataFrame, collected: Collected) -> Score | None:
    """The by-patient score of the cell that differs in the fewest parameters."""
    cells = _cells(others, "patient", collected)
    if not cells:
        return None
    own = stored.spec.params

    def differing(cell: Cell) -> int:
        return sum(value != own.get(name) for name, value in json.loads(cell.params).items())

    return _scored(min(cells, key=differing), cells)


def _shared_patients(stored: StoredModel) -> dict[str, int] | None:
    split = shipped_splits().get(stored.spec.split_fingerprint)
    if stored.phantom or split is None or stored.spec.dataset_id != CHENG_DATASET_ID:
        return None
    found = leakage(split, cheng_patients())
    return {"slices": int(found.patient_in_train), "of": found.n}
