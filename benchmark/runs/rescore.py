"""Score finished runs anew from their kept predictions, without training: after a new measure, or a
damaged table.
"""

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
    Reader,
    parse_scores,
    read_predictions,
    read_result,
    read_spec,
    same_number,
)
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.scoring.evaluate import score
from benchmark.scoring.summary import summarise


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
    own = [folder for folder in finished if dataset_of(folder) == slices.dataset_id]
    if not finished:
        raise RecordError(
            f"{root}: holds no finished run; give the folder that reproduce wrote its runs to"
        )
    if not own:
        raise RecordError(
            f"{root}: none of its {len(finished)} finished runs is of these slices ({slices.dataset_id[:12]}); "
            f"their dataset is {', '.join(sorted({dataset_of(f)[:12] for f in finished}))}: give the slices they ran on"
        )
    found = [(folder, *scored_anew(folder, slices)) for folder in own]
    for folder, scores, change in found:
        if change.differs:
            _write(folder, read_result(folder), scores)
    return [change for _, _, change in found]


def dataset_of(folder: RunFolder) -> str:
    """The dataset_id of a run."""
    return str(Reader(folder / run_folder.SPEC, read_spec(folder))("spec/dataset_id"))


def scored_anew(folder: RunFolder, slices: SliceSet) -> tuple[pd.DataFrame, Rescored]:
    """Return the scores of one finished run's stored masks, and how they differ from those it has;
    writes nothing.

    Raises `RecordError` for slices of another dataset, slices without the patients that the
    run knew, and damaged predictions.
    """
    if dataset_of(folder) != slices.dataset_id:
        raise RecordError(
            f"{folder.path}: ran on dataset {dataset_of(folder)[:12]}, but the slices given are "
            f"{slices.dataset_id[:12]}; give the slices it ran on"
        )
    get = Reader(folder / run_folder.RESULT, read_result(folder))
    masks = read_predictions(folder)
    try:
        new = score(slices, masks, _test_slices(folder, masks))
    except ArmError as error:
        raise RecordError(f"{folder.path}: {error}; {CURE}") from error
    return new, _change(folder, get, new)


def _test_slices(folder: RunFolder, masks: Mapping[int, object]) -> tuple[int, ...]:
    """The slices that must be scored: of the shipped split, else those the predictions hold."""
    split = shipped_splits().get(
        Reader(folder / run_folder.SPEC, read_spec(folder))("spec/split_fingerprint")
    )
    return split.test if split else tuple(sorted(masks))


def _change(folder: RunFolder, get: Reader, new: pd.DataFrame) -> Rescored:
    """Compare new scores with the stored ones, each as the file would give it back."""
    path = folder / run_folder.SCORES
    known = path.is_file() and run_folder.file_sha256(path) == get(f"sha256/{run_folder.SCORES}")
    new = parse_scores(_csv(new), path)
    old = parse_scores(path.read_bytes(), path) if known else new
    if sorted(old["slice_id"]) != sorted(new["slice_id"]):
        raise RecordError(
            f"{folder.path}: {run_folder.PREDICTIONS} and {run_folder.SCORES} hold different slices; {CURE}"
        )
    if lost := int((old["patient_id"].notna() & new["patient_id"].isna()).sum()):
        raise RecordError(
            f"{folder.path}: the slices given lack {lost} patients that it knew; load them with patients"
        )
    both = [name for name in new if name in old]
    rows = {name: int((~_same(old[name], new[name])).sum()) for name in both}
    before, after = get.table("test"), summarise(new)
    return Rescored(
        folder.run_id,
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed={name: count for name, count in rows.items() if count},
        summary=tuple(
            key
            for key in {**before, **after}
            if key not in before or key not in after or not same_number(before[key], after[key])
        ),
        repaired=not known,
    )


def _write(folder: RunFolder, result: Mapping[str, Any], scores: pd.DataFrame) -> None:
    """Replace scores.csv, then result.json with the new summary and hash.

    A crash in between leaves a hash that does not agree, which collecting refuses and
    rescoring repairs.
    """
    with folder.lock():
        run_folder.write_bytes(folder / run_folder.SCORES, _csv(scores))
        hashes = {
            **result["sha256"],
            run_folder.SCORES: run_folder.file_sha256(folder / run_folder.SCORES),
        }
        run_folder.write_json(
            folder / run_folder.RESULT, {**result, "test": summarise(scores), "sha256": hashes}
        )


def _csv(scores: pd.DataFrame) -> bytes:
    """As `RunFolder.finish` writes them."""
    text: str = scores.to_csv(index=False, lineterminator="\n")
    return text.encode()


def _same(a: pd.Series[Any], b: pd.Series[Any]) -> pd.Series[bool]:
    """True where values agree, numbers to `LAST_BITS`: another processor's measures are no
    change.
    """
    alike = (a == b) | (a.isna() & b.isna())
    if is_numeric_dtype(a) and is_numeric_dtype(b):
        alike |= np.isclose(a.astype(float), b.astype(float), rtol=LAST_BITS, atol=LAST_BITS)
    return alike
