"""The second reading that is shipped: scores and masks of BRISC 2025 on Cheng's slices.

`reference_results/second-reading/`, one record over all its slices, since a reader has no training
and so needs no split. Made, from a copy of BRISC or of these masks, by

    python -m benchmark.runs.second_reading PATH --data SLICES
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.data import brisc, load
from benchmark.data.registry import CHENG_DATASET_ID
from benchmark.data.slices import Mask, SliceSet
from benchmark.errors import BenchmarkError, DataError, RecordError
from benchmark.runs import run_folder
from benchmark.runs.environment import describe
from benchmark.runs.reader import parse_scores
from benchmark.runs.run_folder import PREDICTIONS, RESULT, SCORES
from benchmark.scoring.evaluate import measures, score
from benchmark.scoring.overlap import count
from benchmark.scoring.summary import DECIMALS, summarise
from benchmark.storage.atomic import write_bytes, writing

FOLDER = "second-reading"
WITHIN, FURTHER = "within.csv", "further-variants.zip"
HASHED = (SCORES, PREDICTIONS, WITHIN, FURTHER)
RULE = (
    "of a slice that was outlined more than once, variant 0 counts: the first in the order of "
    "BRISC's files, train before test; a rule that looks at no score; its mean was "
    "known when it was written"
)
SOFTWARE = ("meningioma-bench", "git_commit", "git_dirty", "python", "numpy", "scipy", "pandas",
            "pillow", "scikit-image")  # fmt: skip


def second_reading_folder() -> Path:
    """Where the record lies in the package."""
    return Path(str(files("reference_results") / FOLDER))


def second_reading() -> pd.DataFrame:
    """Its scores against Cheng's masks: one row per slice, ascending, the columns of a run's
    scores.csv (docs/measures.md); patient_id is text.

    Raises `RecordError` where the file is not the one that result.json has the hash of.
    """
    return _table(SCORES)


def second_reading_within() -> pd.DataFrame:
    """How BRISC's variants agree among themselves: one row per slice and further variant.

    Columns: slice_id, patient_id, variant (1, 2), and those of scores.csv with variant 0 in the
    place of the truth. Raises as `second_reading`.
    """
    return _table(WITHIN)


def second_reading_masks() -> dict[int, Mask]:
    """Slice number -> (512, 512) bool: the masks that were scored. Raises as `second_reading`."""
    return run_folder.unpack_masks(_checked(PREDICTIONS))


def second_reading_facts() -> dict[str, Any]:
    """Its result.json: licence, attribution, rule, slices left out, summary, hashes."""
    return run_folder.read_json(second_reading_folder() / RESULT)


def _checked(name: str) -> Path:
    path = second_reading_folder() / name
    stored = second_reading_facts().get("sha256", {}).get(name)
    if not path.is_file() or run_folder.file_sha256(path) != stored:
        raise RecordError(
            f"{path}: is not the file that result.json has the hash of; restore the shipped files"
        )
    return path


def _table(name: str) -> pd.DataFrame:
    path = _checked(name)
    return parse_scores(path.read_bytes(), path)


def within(masks: Mapping[brisc.Variant, Mask], slices: SliceSet) -> pd.DataFrame:
    """Measure each further variant against the slice's lowest; see `second_reading_within`."""
    lowest = brisc.chosen(masks)
    return pd.DataFrame(
        {
            "slice_id": number,
            "patient_id": slices.patient_of[number],
            "variant": variant,
            **measures(mask, lowest[number], slices.spacing_mm),
        }
        for (number, variant), mask in masks.items()
        if mask is not lowest[number]
    )


def write_record(masks: Mapping[brisc.Variant, Mask], slices: SliceSet, folder: Path) -> None:
    """Write the record of a second reading, its result.json last; all masks are of these slices.

    Scores, masks and tables are the same bytes each time; result.json names the software.
    """
    facts, counted = describe("cpu"), brisc.chosen(masks)
    scores, among = score(slices, counted, tuple(counted)), within(masks, slices)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / SCORES, run_folder.csv_bytes(scores))
    write_bytes(folder / PREDICTIONS, run_folder.pack_masks(counted))
    write_bytes(folder / WITHIN, run_folder.csv_bytes(among))
    further = {f"{n}_{v}": mask for (n, v), mask in masks.items() if mask is not counted[n]}
    write_bytes(folder / FURTHER, run_folder.pack_masks(further))
    truth = {number: slices.masks[slices.row_of[number]] for number in counted}
    every = pd.Series({key: count(mask, truth[key[0]]).dice for key, mask in masks.items()})
    twice = among[among["variant"] == 1]
    result = {
        "name": brisc.NAME,
        "dataset_id": slices.dataset_id,
        "licence": brisc.LICENCE,
        "attribution": brisc.ATTRIBUTION,
        "rule": RULE,
        "dice_mean_over_variants": round(every.groupby(level=0).mean().mean(), DECIMALS),
        "left_out": sorted(set(slices.row_of) - set(counted)),
        "software": {name: facts[name] for name in SOFTWARE},
        "test": summarise(scores),
        "within": {"slices": len(twice), "dice_mean": round(twice["dice"].mean(), DECIMALS)},
        "sha256": {name: run_folder.file_sha256(folder / name) for name in HASHED},
    }
    run_folder.write_json(folder / RESULT, result)


def check_whole(masks: Mapping[brisc.Variant, Mask], path: Path) -> None:
    """Raise `DataError` unless masks, read from path, are all those of the table, to the pixel."""
    lacking, other = len(brisc.brisc_table().keys() - masks.keys()), len(brisc.differing(masks))
    if lacking or other:
        raise DataError(
            f"{path}: {lacking} masks of the table benchmark/data/{brisc.TABLE} are missing and "
            f"{other} are not those that it has the hash of; give the whole of BRISC 2025, or have "
            "these scored with `python -m benchmark score`"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the record anew; `DataError` for other slices, and other masks than the table's."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.runs.second_reading")
    what = "BRISC 2025 as a folder or zip, or masks N_V.png on the slices' grid"
    parser.add_argument("path", type=Path, metavar="PATH", help=what)
    parser.add_argument("--data", required=True, metavar="SLICES", help="the 708 meningiomas")
    parser.add_argument("--out", type=Path, default=second_reading_folder())
    asked = parser.parse_args(arguments)
    slices = load(asked.data)
    if slices.dataset_id != CHENG_DATASET_ID:
        raise DataError(f"{asked.data}: these are not Cheng's 708 meningiomas; give them")
    masks = brisc.read(asked.path, slices.shape)
    check_whole(masks, asked.path)
    write_record(masks, slices, asked.out)
    print(f"{len(masks)} masks of {len(brisc.chosen(masks))} slices: {asked.out}")


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        raise SystemExit(f"error: {error}") from error
