"""Score finished runs anew from their stored predictions: a new measure, or a damaged table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from benchmark.data.slices import SliceSet
from benchmark.errors import ArmError, RecordError
from benchmark.runs import run_folder
from benchmark.runs.collect import run_folders, shipped_splits
from benchmark.runs.reader import (
    CURE,
    LAST_BITS,
    FinishedRun,
    parse_scores,
    read_predictions,
    read_run,
    read_spec,
    same_number,
)
from benchmark.runs.run_folder import RunState
from benchmark.scoring.evaluate import score
from benchmark.scoring.summary import summarise
from benchmark.storage.atomic import write_bytes


@dataclass(frozen=True)
class Rescored:
    """What rescoring one run came to.

    added and removed name columns of scores.csv; changed counts the slices whose value
    changed, by column; summary names the changed numbers of result.json; repaired: the old
    scores.csv was not the one that result.json knew.
    """

    run_id: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, int] = field(default_factory=dict)
    summary: tuple[str, ...] = ()
    repaired: bool = False

    @property
    def differs(self) -> bool:
        """True where files were rewritten."""
        return bool(self.added or self.removed or self.changed or self.summary or self.repaired)


def rescore(root: Path, slices: SliceSet) -> list[Rescored]:
    """Rescore every finished run under root that is of these slices, and say what changed in each.

    Runs of other slices are left alone; where there is no finished run, none of these slices,
    or one is damaged beyond its scores.csv, `RecordError` says so and nothing is written.
    """
    finished = [folder for folder in run_folders(root) if folder.state is RunState.DONE]
    if not finished:
        raise RecordError(
            f"{root}: holds no finished run; give the folder that reproduce wrote its runs to"
        )
    datasets = [read_spec(folder)[0].dataset_id for folder in finished]
    if slices.dataset_id not in datasets:
        raise RecordError(
            f"{root}: none of its {len(finished)} finished runs is of these slices "
            f"({slices.dataset_id[:12]}); their dataset is "
            f"{', '.join(sorted({name[:12] for name in datasets}))}: give the slices they ran on"
        )
    own = [f for f, name in zip(finished, datasets, strict=True) if name == slices.dataset_id]
    rescored = [(run, *_rescored(run, slices)) for run in map(read_run, own)]
    for run, scores, change in rescored:
        if change.differs:
            _write(run, scores)
    return [change for *_, change in rescored]


def _rescored(run: FinishedRun, slices: SliceSet) -> tuple[pd.DataFrame, Rescored]:
    """Return the scores of a run's stored masks, and how they differ from those it has.

    Raises `RecordError` for slices without the patients that the run knew, and damaged predictions.
    """
    masks = read_predictions(run)
    try:
        scores = score(slices, masks, _test_slices(run, masks))
    except ArmError as error:
        raise RecordError(f"{run.folder.path}: {error}; {CURE}") from error
    path = run.folder / run_folder.SCORES
    new = parse_scores(run_folder.csv_bytes(scores), path)  # as the file would give it back
    old = _stored(run)
    if old is not None:
        _check_kept(run, old, new)
    return scores, _change(run, old, new)


def _test_slices(run: FinishedRun, masks: Mapping[int, object]) -> tuple[int, ...]:
    """The slices that must be scored: of the shipped split, else those the predictions hold."""
    split = shipped_splits().get(run.spec.split_fingerprint)
    return split.test if split else tuple(sorted(masks))


def _stored(run: FinishedRun) -> pd.DataFrame | None:
    """The scores that the run has; None where they are not those that result.json knew."""
    path, sha256 = run.folder / run_folder.SCORES, run.hash_of(run_folder.SCORES)
    if not path.is_file() or run_folder.file_sha256(path) != sha256:
        return None
    return parse_scores(path.read_bytes(), path)


def _check_kept(run: FinishedRun, old: pd.DataFrame, new: pd.DataFrame) -> None:
    """Raise `RecordError` where new scores lack a slice or a patient."""
    where = run.folder.path
    if sorted(old["slice_id"]) != sorted(new["slice_id"]):
        both = f"{run_folder.PREDICTIONS} and {run_folder.SCORES}"
        raise RecordError(f"{where}: {both} hold different slices; {CURE}")
    if lost := int((old["patient_id"].notna() & new["patient_id"].isna()).sum()):
        raise RecordError(
            f"{where}: the slices given lack {lost} patients that it knew; load them with patients"
        )


def _change(run: FinishedRun, old: pd.DataFrame | None, new: pd.DataFrame) -> Rescored:
    """How new scores, and their summary, differ from the stored ones; old None: not known."""
    before = new if old is None else old
    both = [name for name in new if name in before]
    changed = {name: int((~_same(before[name], new[name])).sum()) for name in both}
    was, is_now = run.test, summarise(new)
    agreeing = [key for key in was if key in is_now and same_number(was[key], is_now[key])]
    return Rescored(
        run.run_id,
        added=tuple(name for name in new if name not in before),
        removed=tuple(name for name in before if name not in new),
        changed={name: count for name, count in changed.items() if count},
        summary=tuple(key for key in {**was, **is_now} if key not in agreeing),
        repaired=old is None,
    )


def _write(run: FinishedRun, scores: pd.DataFrame) -> None:
    """Replace scores.csv, then result.json with the new summary and hash.

    A crash in between leaves a hash that does not agree, which collecting refuses and
    rescoring repairs.
    """
    table, path = run.folder / run_folder.SCORES, run.folder / run_folder.RESULT
    with run.folder.lock():
        write_bytes(table, run_folder.csv_bytes(scores))
        sha256 = {**run.sha256, run_folder.SCORES: run_folder.file_sha256(table)}
        result = run_folder.read_json(path)
        run_folder.write_json(path, {**result, "test": summarise(scores), "sha256": sha256})


def _same(a: pd.Series[Any], b: pd.Series[Any]) -> pd.Series[bool]:
    """True where values agree, numbers to `LAST_BITS`: what another processor measures is alike."""
    alike = (a == b) | (a.isna() & b.isna())
    if is_numeric_dtype(a) and is_numeric_dtype(b):
        alike |= np.isclose(a.astype(float), b.astype(float), rtol=LAST_BITS, atol=LAST_BITS)
    return alike
