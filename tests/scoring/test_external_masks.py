"""Masks of a tool that never ran here: what is read, what is refused, and what it scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from data_forms import damaged, in_one_folder, one_line, small_set, write_zip
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from run_records import halves, squares, write_run

from benchmark.__main__ import main
from benchmark.data import nifti
from benchmark.data.brisc import brisc_table
from benchmark.data.registry import RegisteredSlice
from benchmark.data.slices import SliceSet, mask_hash
from benchmark.errors import BenchmarkError, DataError
from benchmark.runs import run_folder
from benchmark.runs.reader import parse_scores
from benchmark.scoring import external_masks
from benchmark.scoring.external_masks import judge, read_masks, summary_text
from benchmark.scoring.summary import summarise
from benchmark.splits.split import Split

Capture = pytest.CaptureFixture[str]
Masks = dict[int, NDArray[Any]]
Verb = Callable[..., list[str]]

SLICES = squares()  # numbers 1 to 8, 64x64
SPLIT = halves(SLICES)  # 1 to 4 test, 5 validates, 6 to 8 train
SUFFIXES = [".png", ".tif", ".tiff", ".webp", ".bmp", ".nii", ".nii.gz"]


def save(path: Path, array: NDArray[Any]) -> None:
    if ".nii" not in path.name:
        Image.fromarray(array).save(path, lossless=True)
    elif path.suffix == ".gz":
        path.write_bytes(nifti.encode(array, (0.49, 0.49)))
    else:
        affine = np.diag([-0.49, -0.49, 6.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(array.T[:, :, None], affine), path)


def truth(slices: SliceSet = SLICES, wanted: tuple[int, ...] = SPLIT.test) -> Masks:
    return {number: slices.masks[slices.row_of[number]] for number in wanted}


def write_masks(folder: Path, masks: Masks, suffix: str = ".png", top: int = 255) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, mask in masks.items():
        save(folder / f"{number}{suffix}", mask.astype(np.uint8) * np.uint8(top))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The truth of the test slices as PNGs."""
    return write_masks(tmp_path / "theirs", truth())


def with_first(folder: Path, array: NDArray[Any], suffix: str = ".nii.gz") -> Path:
    """The folder with this array as the mask of slice 1."""
    (folder / "1.png").unlink()
    save(folder / f"1{suffix}", array)
    return folder


def refused(folder: Path, *words: str) -> None:
    with one_line(DataError, *words):
        read_masks(folder, SPLIT.test, SLICES)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("top", [1, 255])
def test_a_stored_run_scores_the_same_from_its_masks(tmp_path: Path, suffix: str, top: int) -> None:
    run = write_run(tmp_path / "runs", SLICES, SPLIT, rows=7)
    masks = run_folder.unpack_masks(run / run_folder.PREDICTIONS)
    theirs = write_masks(tmp_path / "theirs", masks, suffix, top)
    judged = judge(theirs, SPLIT, SLICES)
    written = judged.scores.to_csv(index=False).encode()
    stored = parse_scores((run / run_folder.SCORES).read_bytes(), theirs)
    pd.testing.assert_frame_equal(parse_scores(written, theirs), stored)
    # 7 of 10 rows: 2 * 7 / (7 + 10)
    assert judged.scores["dice"].tolist() == pytest.approx([14 / 17] * 4)
    assert run_folder.read_json(run / run_folder.RESULT)["test"] == summarise(judged.scores)
    assert judged.warning == ""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_and_columns_stay_where_they_are(tmp_path: Path, suffix: str) -> None:
    slices = small_set()  # 64 rows, 96 columns, masks without symmetry
    theirs = write_masks(tmp_path / "theirs", truth(slices, (2, 5, 8)), suffix)
    masks = read_masks(theirs, (8, 2, 5), slices)
    assert list(masks) == [2, 5, 8]
    assert {mask.dtype for mask in masks.values()} == {np.dtype(bool)}
    assert np.array_equal(np.stack(list(masks.values())), slices.masks)


def test_masks_of_exported_slices_fit(tmp_path: Path) -> None:
    """`export` writes NIfTI masks; read as an outside tool's, they are the truth."""
    slices = small_set()
    nifti.export(slices, tmp_path / "set")
    masks = read_masks(tmp_path / "set" / "masks", (2, 5, 8), slices)
    assert np.array_equal(np.stack(list(masks.values())), slices.masks)


@pytest.mark.parametrize(
    ("dtype", "left", "right"),
    [("f4", 0, 1), ("f8", 0, 255), ("i2", 0, 2), ("u1", 0, 0), ("u1", 1, 1), ("u2", 0, 65535)],
)
def test_whole_numbers_of_any_kind(folder: Path, dtype: str, left: int, right: int) -> None:
    """0 is background, one other whole number tumour; an empty and a full mask are masks."""
    pattern = np.full((64, 64), left, dtype)
    pattern[:, 32:] = right
    masks = read_masks(with_first(folder, pattern), SPLIT.test, SLICES)
    assert np.array_equal(masks[1], pattern > 0)


def test_other_files_and_a_palette_are_no_hindrance(folder: Path) -> None:
    for name in ("dataset.json", "plans.json", ".1.png", "1.npz"):
        (folder / name).write_bytes(b"")
    grey = Image.fromarray(truth()[1].astype(np.uint8))
    grey.putpalette([0, 0, 0, 255, 255, 255])
    grey.save(folder / "1.png")
    assert np.array_equal(read_masks(folder, SPLIT.test, SLICES)[1], truth()[1])


def test_a_folder_that_is_not_there_or_has_no_masks(tmp_path: Path) -> None:
    refused(tmp_path / "no", "no: there is no such folder")
    (tmp_path / "file.png").write_bytes(b"")
    refused(tmp_path / "file.png", "no such folder")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "1.npz").write_bytes(b"")
    refused(tmp_path / "other", "no slice in it", "N.png", "N.nii.gz", "N.bmp")


def test_missing_and_superfluous_masks_are_named(folder: Path) -> None:
    (folder / "2.png").unlink()
    lacking = "1 of the 4 test slices have no mask (2)"
    refused(folder, lacking, "an empty mask where nothing was found")
    write_masks(folder, truth(wanted=(6,)))
    refused(folder, lacking, "of no test slice (6)")
    write_masks(folder, truth(wanted=(2,)))
    refused(folder, "1 masks are of no test slice (6)")


def test_many_missing_masks_are_counted_and_the_first_named(tmp_path: Path) -> None:
    slices = squares(20)
    theirs = write_masks(tmp_path / "theirs", truth(slices, (9,)))
    says = r"10 of the 11 test slices have no mask \(1, 2, 3, 4, 5, \.\.\.\)"
    with pytest.raises(DataError, match=says):
        read_masks(theirs, (*range(1, 10), 11, 12), slices)


def test_slices_without_a_mask_are_left_out_when_asked_and_never_in_silence(folder: Path) -> None:
    """Of slices 1 to 4, of patients 100360 and 100361, 2 to 4 go, so the second has none left."""
    for number in (2, 3, 4):
        (folder / f"{number}.png").unlink()
    lacking = "3 of the 4 test slices have no mask (2, 3, 4)"
    refused(folder, lacking, "or have the others alone scored with --only-common")
    write_masks(folder, truth(wanted=(6,)))  # of no test slice: passed over
    judged = judge(folder, SPLIT, SLICES, only_common=True)
    whole = judge(write_masks(folder.parent / "all", truth()), SPLIT, SLICES)
    pd.testing.assert_frame_equal(judged.scores, whole.scores.iloc[:1])
    assert judged.split == SPLIT
    assert judged.share == "1 of the 4"
    assert judged.left_out.to_numpy().tolist() == [[2, "100360"], [3, "100361"], [4, "100361"]]
    assert judged.left_out_text == (
        "Left out, by --only-common: 3 test slices without a mask (2, 3, 4); no slice is left of 1 "
        "patient."
    )
    first, *others = judged.table.to_dict("records")
    assert first == judged.scores.iloc[0].to_dict()
    assert [row["slice_id"] for row in others] == [2, 3, 4]
    assert judged.table.drop(columns=["slice_id", "patient_id"])[1:].isna().all(axis=None)


def test_a_whole_folder_is_scored_alike_with_only_common(folder: Path) -> None:
    asked, plain = (judge(folder, SPLIT, SLICES, only_common=only) for only in (True, False))
    pd.testing.assert_frame_equal(asked.table, plain.table)
    assert (asked.share, asked.left_out_text) == ("the 4", "")


def test_without_a_slice_in_common_nothing_is_scored(tmp_path: Path) -> None:
    theirs = write_masks(tmp_path / "theirs", truth(wanted=(6,)))
    for only in (True, False):
        with one_line(DataError, "none of the 4 test slices has a mask (1, 2, 3, 4)", "split"):
            judge(theirs, SPLIT, SLICES, only_common=only)


def readings(folder: Path, *missing: int) -> Path:
    """Every slice but missing ones in two variants: the truth, and what a row less leaves of it."""
    folder.mkdir()
    for number in set(SLICES.row_of) - set(missing):
        mask = truth(wanted=(number,))[number]
        less = mask.copy()
        less[np.flatnonzero(mask.any(axis=1))[0]] = False
        for variant, drawn in enumerate((less, mask)):
            save(folder / f"{number}_{variant}.png", drawn.astype(np.uint8) * 255)
    return folder


def test_of_a_second_reading_the_lowest_variant_counts(tmp_path: Path) -> None:
    """9 of 10 rows: 18/19, against the truth and against each other. It is of all slices, so those
    of other sets are passed over.
    """
    judged = judge(readings(tmp_path / "second"), SPLIT, SLICES)
    assert judged.scores["slice_id"].tolist() == list(SPLIT.test)
    assert judged.scores["dice"].tolist() == pytest.approx([18 / 19] * 4)
    assert judged.warning.splitlines() == [
        "A second reading of 8 slices in 16 masks; of a slice with several the first counts.",
        "Within it, variant 1 against variant 0: mean Dice 0.947 over 8 slices.",
        "16 of its masks are not those whose scores are shipped here.",
    ]


def test_a_second_reading_lacks_slices_only_when_asked(tmp_path: Path) -> None:
    second = readings(tmp_path / "second", 2, 7)
    with one_line(DataError, "1 of the 4 test slices have no mask (2)", "--only-common"):
        judge(second, SPLIT, SLICES)
    judged = judge(second, SPLIT, SLICES, only_common=True)
    assert judged.scores["slice_id"].tolist() == [1, 3, 4]
    assert judged.left_out["slice_id"].tolist() == [2]
    with one_line(DataError, "none of the 1 test slices has a mask (7)"):
        judge(second, Split("seven", (), (), (7,)), SLICES, only_common=True)


def test_brisc_is_laid_on_no_slices_but_chengs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices of one's own may have the same numbers; only a registered mask says which it is."""
    folder = tmp_path / "brisc2025" / "masks"
    folder.mkdir(parents=True)
    for number in (1, 2, 3, 4):
        name, mask = brisc_table()[number, 0].name, truth(wanted=(number,))[number]
        save(folder / f"{name}.png", mask[:, ::-1] if brisc_table()[number, 0].mirrored else mask)
    with one_line(DataError, "BRISC's masks are of Cheng's slices", "slice 1", "--data"):
        judge(folder, SPLIT, SLICES)
    registry = {
        mask_hash(mask): RegisteredSlice(number, 1, "a") for number, mask in truth().items()
    }
    monkeypatch.setattr(external_masks, "cheng_registry", lambda: registry)
    assert judge(folder, SPLIT, SLICES).scores["dice"].tolist() == [1] * 4
    swapped = {k: replace(v, slice_id=v.slice_id % 4 + 1) for k, v in registry.items()}
    monkeypatch.setattr(external_masks, "cheng_registry", lambda: swapped)
    with one_line(DataError, "slice 1 of the slices given is not his"):
        judge(folder, SPLIT, SLICES)


@pytest.mark.parametrize("name", ["1.nii.gz", "01.png", "1.tif"])
def test_a_mask_that_is_there_twice(folder: Path, name: str) -> None:
    save(folder / name, truth()[1].astype(np.uint8))
    refused(folder, "slice 1 is there twice", "remove one")


@pytest.mark.parametrize("name", ["case_0001.png", "1_pred.nii.gz"])
def test_a_name_that_is_no_slice_number(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    refused(folder, name, "slice number")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".nii.gz"])
def test_another_size_names_both(folder: Path, suffix: str) -> None:
    with_first(folder, np.zeros((32, 96), np.uint8), suffix)
    refused(folder, f"1{suffix}", "the mask is 32x96", "the slices are 64x64", "nearest neighbour")


@pytest.mark.parametrize(
    ("values", "dtype", "suffix", "says"),
    [
        ([0, 0.25, 0.5, 1], np.float32, ".nii.gz", "4 values (0.0, 0.25, 0.5, 1.0)"),
        ([0, 0.75], np.float32, ".nii.gz", "2 values (0.0, 0.75)"),
        ([0, np.nan], np.float32, ".nii.gz", "2 values (0.0, nan)"),
        ([0, np.inf], np.float32, ".nii.gz", "2 values (0.0, inf)"),
        ([0, 1, 2], np.uint8, ".nii.gz", "3 values (0, 1, 2)"),
        ([1, 2], np.uint8, ".nii.gz", "2 values (1, 2)"),
        ([0, -1], np.int16, ".nii.gz", "2 values (-1, 0)"),
        (range(10), np.uint8, ".nii.gz", "10 values (0, 1, 2, 3, 4, ...)"),
        (range(256), np.uint8, ".png", "256 values"),
        (range(256), np.uint8, ".bmp", "256 values"),
    ],
    ids=str,
)
def test_a_probability_map_or_classes(
    folder: Path, values: list[float], dtype: Any, suffix: str, says: str
) -> None:
    with_first(folder, np.resize(np.array(values, dtype=dtype), (64, 64)), suffix)
    refused(folder, f"1{suffix}", says, "threshold a probability map")


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_colour_picture(folder: Path, suffix: str) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = truth()[1] * 255
    refused(with_first(folder, red, suffix), f"1{suffix}", "colour picture")


def test_numbers_that_are_no_grey_levels(folder: Path) -> None:
    with_first(folder, np.zeros((64, 64), np.complex64))
    refused(folder, "1.nii.gz", "complex64", "whole numbers")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of a damaged TIFF
@given(data=st.data())
@settings(in_one_folder, max_examples=25)
def test_damage_is_one_clear_error_or_a_mask(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    path, whole = tmp_path / "theirs" / f"1{suffix}", tmp_path / "whole"
    if not whole.exists():
        write_masks(path.parent, truth(wanted=(1,)), suffix)
        whole.write_bytes(path.read_bytes())
    path.write_bytes(data.draw(damaged(whole.read_bytes())))
    try:
        masks = read_masks(path.parent, (1,), SLICES)
    except BenchmarkError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert (masks[1].dtype, masks[1].shape) == (np.dtype(bool), (64, 64))


def test_masks_that_seem_turned_are_refused_unless_told_otherwise(tmp_path: Path) -> None:
    theirs = write_masks(tmp_path / "theirs", {n: mask[:, ::-1] for n, mask in truth().items()})
    says = "mean Dice over the 4 slices with a tumour is 0.000 as they are, and 1.000 with that"
    with one_line(
        DataError, f"{theirs}: the masks seem to be mirrored: ", says, "write row 0 first",
        "nothing was scored", "--as-they-are",
    ):  # fmt: skip
        judge(theirs, SPLIT, SLICES)
    judged = judge(theirs, SPLIT, SLICES, as_they_are=True)
    assert judged.scores["dice"].tolist() == [0] * 4
    assert says in judged.warning
    assert judged.warning.endswith(" undone. Nothing was turned.")


def test_inverted_masks_are_refused(tmp_path: Path) -> None:
    theirs = write_masks(tmp_path / "theirs", {n: ~mask for n, mask in truth().items()}, ".nii.gz")
    with one_line(DataError, "seem to be inverted: ", "write 0 for the background"):
        judge(theirs, SPLIT, SLICES)


@pytest.mark.parametrize(("equal", "n", "said"), [(20, 20, True), (2, 20, True), (1, 20, False)])
def test_the_folder_of_the_truth_is_asked_about(
    tmp_path: Path, equal: int, n: int, said: bool
) -> None:
    """From a tenth of the slices; the others have one pixel less."""
    slices = squares(2 * n)
    split = halves(slices)
    masks = {number: mask.copy() for number, mask in truth(slices, split.test).items()}
    for number in split.test[equal:]:
        masks[number][number + 4, 20] = False
    theirs = write_masks(tmp_path / "theirs", masks)
    warning = judge(theirs, split, slices).warning
    says = f"equal the truth on {equal} of {n} slices: is this the folder of the truth?"
    assert warning == (f"{theirs}: these masks {says}" if said else "")


@pytest.mark.parametrize(("shift", "odd"), [(-1, "low"), (1, "high")])
def test_numbers_that_are_all_one_off(tmp_path: Path, shift: int, odd: str) -> None:
    """As of a tool that counts from 0: the slices in common are not scored as one another."""
    shifted = {number + shift: mask for number, mask in truth().items()}
    refused(write_masks(tmp_path / odd, shifted), f"every number is one too {odd}: ", "1, 2, 3, 4;")


def test_the_summary_says_what_is_not_known() -> None:
    """A measure that nobody gave words to stands under its own name."""
    summary = {"n": 3, "dice_mean": 0.25, "dice_sd": float("nan"), "odd_thing_mm": 2.0}
    expected = {"test slices": "3", "mean Dice": "0.2500", "SD over slices": "unknown"}
    assert dict(summary_text(summary)) == expected | {"odd thing mm": "2.0000"}


@pytest.fixture
def verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_phantoms: None, slices: SliceSet
) -> Verb:
    """Words of `score`, where the truth of four phantoms lies in masks/, and their split."""
    monkeypatch.chdir(tmp_path)
    write_masks(tmp_path / "masks", truth(slices, (1, 5, 9, 13)))
    (tmp_path / "split.json").write_text('{"train": [2, 3], "test": [1, 5, 9, 13]}')
    return lambda *more: ["score", "masks", "--split", "split.json", "--data", "phantoms", *more]


def test_the_verb_scores_a_folder_and_writes_its_table(
    verb: Verb, capsys: Capture, tmp_path: Path
) -> None:
    assert main(verb("--name", "their tool", "--out", "new/scores.csv")) == 0
    output = capsys.readouterr().out
    assert output.startswith("their tool: masks of the 4 test slices of split.json, ")
    assert "mean Dice                 1.0000" in output
    assert "missed tumours            0\n" in output
    assert (
        "these masks equal the truth on 4 of 4 slices: is this the folder of the truth?" in output
    )
    scores = pd.read_csv(tmp_path / "new" / "scores.csv")
    assert scores["slice_id"].tolist() == [1, 5, 9, 13]
    assert scores["dice"].tolist() == [1, 1, 1, 1]


def test_the_verb_says_in_lines_table_and_file_what_it_left_out(
    verb: Verb, capsys: Capture, tmp_path: Path
) -> None:
    (tmp_path / "masks" / "5.png").unlink()
    assert main(verb()) == 2
    assert "the others alone scored with --only-common" in capsys.readouterr().err
    assert main(verb("--only-common", "--out", "scores.csv")) == 0
    output = capsys.readouterr().out
    assert "masks: masks of 3 of the 4 test slices of split.json" in output
    assert "Left out, by --only-common: 1 test slice without a mask (5);" in output
    *_, third, _ = rows = (tmp_path / "scores.csv").read_text().splitlines()
    assert len(rows) == 5
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores["slice_id"].tolist() == [1, 5, 9, 13]
    assert scores["dice"].isna().tolist() == [False, True, False, False]
    assert third.split(",")[2].isdigit()  # counts stay whole numbers


def test_the_verb_scores_every_slice_of_a_second_reading_in_a_zip(
    few_phantoms: None, slices: SliceSet, capsys: Capture, tmp_path: Path
) -> None:
    members = {}
    for number in slices.slice_id.tolist()[1:]:
        save(tmp_path / "mask.png", truth(slices, (number,))[number].astype(np.uint8))
        members[f"deep/{number}_0.png"] = (tmp_path / "mask.png").read_bytes()
    archive = str(write_zip(tmp_path / "second.zip", members))
    words = ["score", archive, "--split", "all", "--data", "phantoms"]
    assert main(words) == 2
    assert "1 of the 24 test slices have no mask (1)" in capsys.readouterr().err
    assert main([*words, "--only-common"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("second.zip: masks of 23 of the 24 test slices of all, ")
    assert "A second reading of 23 slices in 23 masks" in output


def test_the_verb_overwrites_nothing(verb: Verb, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    assert main(verb("--out", "mine.csv")) == 2
    assert "--out mine.csv: exists already and is left as it is" in capsys.readouterr().err
    assert (tmp_path / "mine.csv").read_text() == "mine"


@pytest.mark.parametrize("slip", [np.flipud, np.logical_not])
def test_the_verb_refuses_turned_masks_and_writes_nothing(
    verb: Verb, capsys: Capture, tmp_path: Path, slices: SliceSet, slip: Callable[..., Any]
) -> None:
    masks = {number: slip(mask) for number, mask in truth(slices, (1, 5, 9, 13)).items()}
    write_masks(tmp_path / "masks", masks)
    assert main(verb("--out", "new/scores.csv")) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: masks: the masks seem to be ")
    assert not (tmp_path / "new").exists()
    assert main(verb("--out", "new/scores.csv", "--as-they-are")) == 0
    output = capsys.readouterr()
    assert "masks: the masks seem to be " in output.out
    assert (tmp_path / "new" / "scores.csv").exists()


def test_the_verb_draws_no_slices_unasked(
    verb: Verb, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word for word in verb() if word not in ("--data", "phantoms")]
    assert main(words) == 2
    says = "error: no slices are given; name their folder or zip with --data PATH or in $MENINGIOM"
    assert capsys.readouterr().err.startswith(says)
    monkeypatch.setenv("MENINGIOMA_DATA", "phantoms")
    assert main(words) == 0


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("masks", "--out masks: is a folder; name a file, such as masks/scores.csv"),
        ("split.json", "--out split.json: exists already and is left as it is"),
        ("gone", "--out gone: exists already and is left as it is"),
        ("split.json/new.csv", "split.json/new.csv: cannot be written (Not a directory)"),
        ("split.json/a/new.csv", "split.json/a/new.csv: cannot be written (Not a directory)"),
    ],
)
def test_the_verb_tries_where_it_is_to_write_before_it_works(
    verb: Verb, capsys: Capture, tmp_path: Path, out: str, says: str
) -> None:
    """Before the slices are looked for, which are not there."""
    (tmp_path / "gone").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    assert main([*verb("--out", out), "--data", "no/such"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {says}")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_help_says_how_axes_lie(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["score", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "the first axis of a NIfTI file is a slice's columns from left to right" in text


def test_the_verb_names_a_wrong_folder(verb: Verb, capsys: Capture, tmp_path: Path) -> None:
    words = verb()
    words[1] = "no/such"
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: no/such: there is no such folder")
    (tmp_path / "masks" / "5.png").unlink()
    assert main(verb()) == 2
    assert "1 of the 4 test slices have no mask (5)" in capsys.readouterr().err


def test_scores_that_do_not_fit_leave_no_folder(
    verb: Verb, full_disk: None, capsys: Capture
) -> None:
    assert main(verb("--out", "new/scores.csv")) == 2
    says = "error: new/scores.csv: cannot be written (No space left on device); "
    assert capsys.readouterr().err.startswith(says)
    assert not Path("new").exists()
