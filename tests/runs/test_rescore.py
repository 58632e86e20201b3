"""Rescoring gives the stored scores back, mends them, adds a measure; it leaves what agrees."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from run_records import NEWER, as_before, halves, squares, write_run

from benchmark.errors import RecordError
from benchmark.runs import rescore as module
from benchmark.runs import run_folder
from benchmark.runs.collect import collect
from benchmark.runs.reader import parse_scores
from benchmark.runs.rescore import Rescored, rescore
from benchmark.runs.run_folder import RunFolder
from benchmark.storage.atomic import write_bytes

SLICES = squares()
SPLIT = halves(SLICES)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path, SLICES, SPLIT)


def root_of(folder: RunFolder) -> Path:
    return folder.path.parent


def files_of(folder: RunFolder) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.path.iterdir()
    }


def collected(folder: RunFolder) -> pd.DataFrame:
    return collect(root_of(folder)).scores


def test_a_sound_run_is_left_untouched(folder: RunFolder) -> None:
    before = files_of(folder)
    assert rescore(root_of(folder), SLICES) == [Rescored(folder.run_id)]
    assert files_of(folder) == before


def test_nothing_but_the_masks_the_spec_and_the_result_is_needed(folder: RunFolder) -> None:
    for name in ("timing.json", "environment.json"):
        (folder / name).unlink()
    assert rescore(root_of(folder), SLICES) == [Rescored(folder.run_id)]


def test_changed_scores_are_put_right(folder: RunFolder) -> None:
    """The hash is made to agree, so only the predictions know better."""
    true = (folder / "scores.csv").read_bytes()
    table = parse_scores(true, folder / "scores.csv")
    table.loc[1, "dice"] += 1e-6
    table.to_csv(folder / "scores.csv", index=False)
    result = json.loads((folder / "result.json").read_text())
    result["sha256"]["scores.csv"] = run_folder.file_sha256(folder / "scores.csv")
    run_folder.write_json(folder / "result.json", result)
    (change,) = rescore(root_of(folder), SLICES)
    assert change == Rescored(folder.run_id, changed={"dice": 1})
    assert (folder / "scores.csv").read_bytes() == true
    assert len(collected(folder)) == 4


def test_what_another_processor_measured_is_no_change(folder: RunFolder) -> None:
    """Every number one part in 10^13 off, the table's hash made to agree: nothing is rewritten."""
    table = parse_scores((folder / "scores.csv").read_bytes(), folder / "scores.csv")
    floats = table.select_dtypes("float").columns
    assert len(floats) > 5
    table[floats] *= 1 + 1e-13
    table.to_csv(folder / "scores.csv", index=False)
    result = run_folder.read_json(folder / "result.json")
    result["sha256"]["scores.csv"] = run_folder.file_sha256(folder / "scores.csv")
    run_folder.write_json(folder / "result.json", result)
    before = files_of(folder)
    assert rescore(root_of(folder), SLICES) == [Rescored(folder.run_id)]
    assert files_of(folder) == before


@pytest.mark.parametrize("content", [b"", b"slice_id,dice\n", None])
def test_a_damaged_table_is_repaired_from_the_predictions(
    folder: RunFolder, content: bytes | None
) -> None:
    true = (folder / "scores.csv").read_bytes()
    (folder / "scores.csv").unlink() if content is None else (folder / "scores.csv").write_bytes(
        content
    )
    with pytest.raises(RecordError, match="rescore"):
        collected(folder)
    (change,) = rescore(root_of(folder), SLICES)
    assert change == Rescored(folder.run_id, repaired=True)
    assert (folder / "scores.csv").read_bytes() == true
    assert len(collected(folder)) == 4


def test_a_changed_summary_is_put_right(folder: RunFolder) -> None:
    result = json.loads((folder / "result.json").read_text())
    true = dict(result["test"])
    result["test"] |= {"dice_mean": 0.95, "invented": 1}
    run_folder.write_json(folder / "result.json", result)
    (change,) = rescore(root_of(folder), SLICES)
    assert set(change.summary) == {"dice_mean", "invented"}
    assert json.loads((folder / "result.json").read_text())["test"] == true


def test_a_new_measure_is_added_and_the_rest_of_the_result_kept(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, before = module.score, json.loads((folder / "result.json").read_text())

    def with_area_error(*args: Any) -> pd.DataFrame:
        scores = score(*args)
        return scores.assign(area_error_mm2=scores["predicted_mm2"] - scores["truth_mm2"])

    monkeypatch.setattr(module, "score", with_area_error)
    (change,) = rescore(root_of(folder), SLICES)
    assert change == Rescored(folder.run_id, added=("area_error_mm2",))
    # 20 of 100 pixels missed at 0.49 x 0.49 mm: -4.802 mm2
    assert collected(folder)["area_error_mm2"].tolist() == pytest.approx([-4.802] * 4)
    after = json.loads((folder / "result.json").read_text())
    assert after.pop("sha256") != before.pop("sha256")
    assert after == before
    assert not rescore(root_of(folder), SLICES)[0].differs


def test_runs_of_other_slices_are_left_alone(folder: RunFolder) -> None:
    other = squares(first=50)
    mine = write_run(root_of(folder), other, halves(other))
    assert [change.run_id for change in rescore(root_of(folder), other)] == [mine.run_id]


def test_slices_of_another_dataset_are_refused(folder: RunFolder) -> None:
    with pytest.raises(
        RecordError, match=r"none of its 1 finished runs.*give the slices they ran on"
    ):
        rescore(root_of(folder), squares(first=50))


def test_unfinished_runs_and_empty_roots_are_told(folder: RunFolder) -> None:
    (folder / "result.json").unlink()
    for root in (root_of(folder), root_of(folder) / "nowhere"):
        with pytest.raises(RecordError, match="holds no finished run"):
            rescore(root, SLICES)


def test_nothing_is_written_where_one_run_is_damaged(folder: RunFolder) -> None:
    """The first differs and could be mended; the second has lost its masks."""
    (folder / "scores.csv").write_bytes(b"")
    other = write_run(root_of(folder), SLICES, SPLIT, seed=2)
    (other / "predictions.zip").write_bytes(b"PK")
    before = files_of(folder)
    with pytest.raises(RecordError, match=r"predictions\.zip"):
        rescore(root_of(folder), SLICES)
    assert files_of(folder) == before


def test_changed_predictions_are_refused(folder: RunFolder) -> None:
    (folder / "predictions.zip").write_bytes(b"PK")
    with pytest.raises(RecordError, match=r"predictions\.zip.*hash.*remove the run's folder"):
        rescore(root_of(folder), SLICES)


def keep_masks(folder: RunFolder, slices: list[int]) -> None:
    """Keep the masks of these slices alone, and make the hash agree."""
    masks = run_folder.unpack_masks(folder / "predictions.zip")
    packed = run_folder.pack_masks({number: masks[number] for number in slices})
    write_bytes(folder / "predictions.zip", packed)
    result = run_folder.read_json(folder / "result.json")
    result["sha256"]["predictions.zip"] = run_folder.file_sha256(folder / "predictions.zip")
    run_folder.write_json(folder / "result.json", result)


@pytest.mark.parametrize(
    ("shipped", "words"),
    [
        (
            True,
            "slice 4 is missing from the predictions",
        ),  # or three of four would pass for the whole test set
        (False, "predictions.zip and scores.csv hold different slices"),
    ],
    ids=["shipped split", "own split"],
)
def test_a_run_that_has_lost_a_mask_is_refused(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, shipped: bool, words: str
) -> None:
    keep_masks(folder, [1, 2, 3])
    splits = {SPLIT.fingerprint: SPLIT} if shipped else {}
    monkeypatch.setattr(module, "shipped_splits", lambda: splits)
    before = files_of(folder)
    with pytest.raises(RecordError) as refused:
        rescore(root_of(folder), SLICES)
    cure = "remove the run's folder to have it run again"
    assert str(refused.value) == f"{folder.path}: {words}; {cure}"
    assert files_of(folder) == before


def test_patients_that_have_become_known_are_a_change_and_unknown_ones_are_none(
    tmp_path: Path,
) -> None:
    """Empty cells agree with each other and with nothing else."""
    nameless = replace(SLICES, patient_id=(None,) * len(SLICES))
    folder = write_run(tmp_path, nameless, SPLIT)
    assert rescore(tmp_path, nameless) == [Rescored(folder.run_id)]
    (change,) = rescore(tmp_path, SLICES)
    assert change == Rescored(
        folder.run_id, changed={"patient_id": 4}, summary=("patients", "dice_mean_by_patient")
    )


def test_patients_are_never_lost(folder: RunFolder) -> None:
    before = files_of(folder)
    with pytest.raises(RecordError, match="lack 4 patients"):
        rescore(root_of(folder), replace(SLICES, patient_id=(None,) * len(SLICES)))
    assert files_of(folder) == before


def test_another_pixel_size_is_reported_as_a_change_of_what_is_in_mm(folder: RunFolder) -> None:
    (change,) = rescore(root_of(folder), replace(SLICES, spacing_mm=(1.0, 1.0)))
    in_mm = [name for name in collected(folder) if name.endswith(("_mm", "_mm2"))]
    # the lowest two of ten rows are missed: 0.98 mm, now 2 mm, which leaves NSD at 2 mm as it was
    assert change.changed == dict.fromkeys([*in_mm, "nsd_1mm"], 4)


def test_a_run_of_before_the_distances_gets_them(folder: RunFolder) -> None:
    """Rescored, it is the run that would be written today, byte for byte; and once is enough."""
    today = {name: (folder / name).read_bytes() for name in ("scores.csv", "result.json")}
    numbers = json.loads(today["result.json"])["test"]
    as_before(folder)
    old = json.loads((folder / "result.json").read_text())["test"]
    (change,) = rescore(root_of(folder), SLICES)
    assert change == Rescored(
        folder.run_id, added=NEWER, summary=tuple(name for name in numbers if name not in old)
    )
    assert {name: (folder / name).read_bytes() for name in today} == today
    assert not rescore(root_of(folder), SLICES)[0].differs
