"""The shipped second reading: held to its table, its masks and our other records, without images.

What it scores is held to numbers that were computed beforehand by other code.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_forms import one_line, small_set, write_pairs
from PIL import Image
from run_records import squares

from benchmark.data.brisc import Masks, Variant, brisc_table, chosen
from benchmark.data.registry import CHENG_DATASET_ID, cheng_registry
from benchmark.data.slices import MENINGIOMA, SPACING_MM, Mask, mask_hash
from benchmark.errors import DataError, RecordError
from benchmark.runs import run_folder, second_reading
from benchmark.runs.collect import reproduction_folder
from benchmark.runs.reader import same_number
from benchmark.runs.run_folder import csv_bytes, file_sha256, pack_masks
from benchmark.runs.second_reading import (
    check_whole,
    main,
    second_reading_facts,
    second_reading_folder,
    second_reading_masks,
    second_reading_within,
    write_record,
)
from benchmark.scoring.diameters import diameters
from benchmark.scoring.evaluate import measures, score
from benchmark.scoring.overlap import count
from benchmark.scoring.summary import summarise

PIXEL_MM2 = SPACING_MM[0] * SPACING_MM[1]


@cache
def scores() -> pd.DataFrame:
    return second_reading.second_reading()


@cache
def counted() -> dict[int, Mask]:
    return second_reading_masks()


@cache
def further() -> dict[Variant, Mask]:
    """The masks of the further variants."""
    found = {}
    with zipfile.ZipFile(second_reading_folder() / second_reading.FURTHER) as archive:
        for name in archive.namelist():
            number, variant = map(int, name.removesuffix(".png").split("_"))
            picture = Image.open(io.BytesIO(archive.read(name)))
            found[number, variant] = np.asarray(picture, dtype=bool)
    return found


def test_the_numbers_that_were_known_beforehand() -> None:
    dice = scores()["dice"]
    assert len(dice) == 683
    assert dice.mean() == pytest.approx(0.909, abs=5e-4)
    assert dice.median() == pytest.approx(0.931, abs=5e-4)
    assert dice.quantile(0.05) == pytest.approx(0.781, abs=5e-4)
    assert (dice < 0.7).sum() == 19
    assert scores().loc[dice.idxmin(), ["slice_id", "dice"]].tolist() == [111, 0]
    assert scores()["patient_id"].nunique() == 82
    assert scores().groupby("patient_id")["dice"].mean().mean() == pytest.approx(0.890, abs=5e-4)
    again = second_reading_within().query("variant == 1")
    assert len(again) == 619
    assert again["dice"].mean() == pytest.approx(0.940, abs=5e-4)


def test_every_stored_mask_is_the_one_that_the_table_has_the_hash_of() -> None:
    """So BRISC, read by that table, is what was scored."""
    masks = {(number, 0): mask for number, mask in counted().items()} | further()
    assert masks.keys() == brisc_table().keys()
    wrong = [key for key in masks if mask_hash(masks[key]) != brisc_table()[key].mask_sha256]
    assert wrong == []


def test_the_scores_are_of_the_stored_masks() -> None:
    """Area of all; diameters, which are slower, of every fortieth slice."""
    for i, row in enumerate(scores().to_dict("records")):
        mask = counted()[row["slice_id"]]
        assert row["tp"] + row["fp"] == np.count_nonzero(mask)
        assert row["predicted_mm2"] == pytest.approx(np.count_nonzero(mask) * PIXEL_MM2, abs=1e-4)
        if i % 40 == 0:
            longest = diameters(mask, SPACING_MM)
            assert row["predicted_diameter_mm"] == round(longest.longest_mm, 4)
            assert row["predicted_perpendicular_mm"] == round(longest.perpendicular_mm, 4)


def test_the_truth_is_the_one_that_our_trainings_were_scored_against() -> None:
    """Every slice is tested in one fold: its area, diameters and patient stand there too."""
    folds = reproduction_folder().glob("unet_alpha0.5_kernel-size5_by-patient-*_256_fp32_s1_*")
    theirs = pd.concat(
        pd.read_csv(fold / "scores.csv", dtype={"patient_id": str}) for fold in folds
    )
    truth = ["slice_id", "patient_id", "truth_mm2", "truth_diameter_mm", "truth_perpendicular_mm"]
    both = scores().merge(theirs[truth], on="slice_id", suffixes=("", "_theirs"))
    assert len(both) == len(scores())
    for name in truth[1:]:
        assert both[name].tolist() == both[f"{name}_theirs"].tolist()


def test_the_columns_are_those_of_any_run() -> None:
    run = next(reproduction_folder().glob("otsu_*"))
    assert list(scores()) == list(pd.read_csv(run / "scores.csv"))
    assert list(second_reading_within().drop(columns="variant")) == list(scores())


def test_how_variants_agree_follows_from_the_stored_masks() -> None:
    """Dice of all of them; every measure of the first of every fiftieth."""
    rows = second_reading_within().to_dict("records")
    assert [(row["slice_id"], row["variant"]) for row in rows] == sorted(further())
    for i, row in enumerate(rows):
        mask, first = further()[row["slice_id"], row["variant"]], counted()[row["slice_id"]]
        assert row["dice"] == pytest.approx(count(mask, first).dice, abs=1e-12)
        if i % 50 == 0:
            expected = measures(mask, first, SPACING_MM)
            assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_the_result_says_what_it_is_of_and_holds_the_hashes() -> None:
    facts = second_reading_facts()
    assert facts["dataset_id"] == CHENG_DATASET_ID
    assert facts["licence"] == "CC BY 4.0"
    assert "arXiv:2506.14318" in facts["attribution"]
    summary = summarise(scores())
    assert facts["test"].keys() == summary.keys()
    assert all(same_number(facts["test"][name], value) for name, value in summary.items())
    meningiomas = {s.slice_id for s in cheng_registry().values() if s.label == MENINGIOMA}
    assert facts["left_out"] == sorted(meningiomas - set(scores()["slice_id"]))
    assert len(facts["left_out"]) == 25
    there = {path.name for path in second_reading_folder().iterdir()}
    assert there == {*facts["sha256"], "result.json", "README.md"}
    for name, digest in facts["sha256"].items():
        assert file_sha256(second_reading_folder() / name) == digest


def test_the_note_beside_it_has_licence_attribution_and_what_is_not_known() -> None:
    text = (second_reading_folder() / "README.md").read_text(encoding="utf-8")
    for said in ("CC BY 4.0", "2506.14318", "What is not known", "No test set", "0.98"):
        assert said in text
    table = brisc_table()
    pairs = [(table[n, 0], table[n, 1]) for n, variant in table if variant == 1]
    images = sum(one.mirrored != other.mirrored for one, other in pairs)
    assert f"In {images} of the\n{len(pairs)} pairs" in text


def variants() -> Masks:
    """Of squares 1 to 3, of 8: one in two variants, one whose first is not there."""
    slices = squares()
    masks = {}
    for number, variant, rows in ((1, 0, 8), (1, 1, 5), (2, 0, 10), (3, 1, 4)):
        mask = slices.masks[number - 1].copy()
        mask[5 + number - 1 + rows :] = False
        masks[number, variant] = mask
    return masks


def test_a_record_by_hand(tmp_path: Path) -> None:
    """8 of 10 rows: Dice 16/18; 5 rows against 8: 10/13; 4 of 10: 8/14."""
    slices, masks = squares(), variants()
    write_record(masks, slices, tmp_path / "new" / "record")
    write_record(masks, slices, tmp_path / "again")
    folder = tmp_path / "new" / "record"
    table = pd.read_csv(folder / "scores.csv")
    assert table["slice_id"].tolist() == [1, 2, 3]
    assert table["dice"].tolist() == pytest.approx([16 / 18, 1, 8 / 14])
    assert (folder / "scores.csv").read_bytes() == csv_bytes(
        score(slices, chosen(masks), (1, 2, 3))
    )
    within = pd.read_csv(folder / "within.csv")
    assert within[["slice_id", "variant"]].to_numpy().tolist() == [[1, 1]]
    assert within["dice"].tolist() == pytest.approx([10 / 13])
    assert (folder / "predictions.zip").read_bytes() == pack_masks(chosen(masks))
    result = run_folder.read_json(folder / "result.json")
    assert result["left_out"] == [4, 5, 6, 7, 8]
    assert result["within"] == {"slices": 1, "dice_mean": pytest.approx(10 / 13)}
    # slice 1: (16/18 + 10/15) / 2
    over = np.mean([(16 / 18 + 10 / 15) / 2, 1, 8 / 14])
    assert result["dice_mean_over_variants"] == pytest.approx(over)
    for name in result["sha256"]:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_changed_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(variants(), squares(), tmp_path)
    monkeypatch.setattr(second_reading, "second_reading_folder", lambda: tmp_path)
    assert len(second_reading.second_reading()) == 3
    (tmp_path / "scores.csv").write_bytes(b"slice_id,patient_id,dice\n")
    with one_line(RecordError, "scores.csv: is not the file that result.json has the hash of"):
        second_reading.second_reading()


def test_the_record_is_made_of_chengs_slices_and_of_all_masks_of_the_table(tmp_path: Path) -> None:
    source = write_pairs(small_set(), tmp_path / "set")
    with one_line(DataError, "set: these are not Cheng's 708 meningiomas"):
        main([str(tmp_path), "--data", str(source), "--out", str(tmp_path / "out")])
    with one_line(DataError, "1311 masks of the table", "4 are not those", "benchmark score"):
        check_whole(variants(), tmp_path)
    assert not (tmp_path / "out").exists()
