"""Masks and splits of a tool that never ran here: what is read, what is refused, and what it
scores.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from data_forms import damaged, small_set
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from run_records import halves, squares, write_run
from strategies import cheng_set

from benchmark.__main__ import main
from benchmark.data import nifti
from benchmark.data.slices import SliceSet
from benchmark.errors import BenchmarkError, DataError, SplitError
from benchmark.runs import run_folder
from benchmark.runs.reader import parse_scores
from benchmark.scoring.external_masks import (
    judge,
    read_masks,
    read_split,
    shipped,
    summary_text,
    turned,
)
from benchmark.scoring.summary import summarise
from benchmark.splits.split import Split

Capture = pytest.CaptureFixture[str]
Masks = dict[int, NDArray[Any]]

SLICES = squares()  # numbers 1 to 8, 64x64
SPLIT = halves(SLICES)  # 1 to 4 test, 5 validates, 6 to 8 train
SUFFIXES = [".png", ".tif", ".tiff", ".webp", ".bmp", ".nii", ".nii.gz"]


def save(path: Path, array: NDArray[Any]) -> None:
    if ".nii" not in path.name:
        Image.fromarray(array).save(path, lossless=True)
    elif path.suffix == ".gz":
        path.write_bytes(nifti.encode(array, (0.49, 0.49)))
    else:
        nibabel.save(
            nibabel.Nifti1Image(array.T[:, :, None], np.diag([-0.49, -0.49, 6.0, 1.0])), path
        )


def truth(slices: SliceSet = SLICES, wanted: tuple[int, ...] = SPLIT.test) -> Masks:
    at = slices.slice_id.tolist()
    return {number: slices.masks[at.index(number)] for number in wanted}


def write_masks(folder: Path, masks: Masks, suffix: str = ".png", top: int = 255) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, mask in masks.items():
        save(folder / f"{number}{suffix}", mask.astype(np.uint8) * np.uint8(top))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The truth of the test slices as PNGs."""
    return write_masks(tmp_path / "theirs", truth())


def refused(folder: Path, *words: str) -> None:
    """Reading raises one DataError, of one line, with all the words."""
    with pytest.raises(DataError) as caught:
        read_masks(folder, SPLIT.test, SLICES)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("top", [1, 255])
def test_a_stored_run_scores_the_same_from_its_masks(tmp_path: Path, suffix: str, top: int) -> None:
    run = write_run(tmp_path / "runs", SLICES, SPLIT, rows=7)
    theirs = write_masks(
        tmp_path / "theirs", run_folder.unpack_masks(run / run_folder.PREDICTIONS), suffix, top
    )
    judged = judge(theirs, SPLIT, SLICES)
    pd.testing.assert_frame_equal(parse_scores(judged.scores.to_csv(index=False).encode(), theirs),
                                  parse_scores((run / run_folder.SCORES).read_bytes(), theirs))  # fmt: skip
    assert judged.scores["dice"].tolist() == pytest.approx(
        [14 / 17] * 4
    )  # 7 of 10 rows: 2 * 7 / (7 + 10)
    assert run_folder.read_json(run / run_folder.RESULT)["test"] == summarise(judged.scores)
    assert judged.doubt == ""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_and_columns_stay_where_they_are(tmp_path: Path, suffix: str) -> None:
    slices = small_set()  # 64 rows, 96 columns, masks without symmetry
    theirs = write_masks(tmp_path / "theirs", truth(slices, (2, 5, 8)), suffix)
    found = read_masks(theirs, (8, 2, 5), slices)
    assert list(found) == [2, 5, 8]
    for i, mask in enumerate(found.values()):
        assert mask.dtype == bool
        assert np.array_equal(mask, slices.masks[i])


def test_masks_of_exported_slices_fit(tmp_path: Path) -> None:
    """`export` writes NIfTI masks; read as an outside tool's, they are the truth."""
    slices = small_set()
    nifti.export(slices, tmp_path / "set")
    found = read_masks(tmp_path / "set" / "masks", (2, 5, 8), slices)
    assert np.array_equal(np.stack(list(found.values())), slices.masks)


@pytest.mark.parametrize(
    "array",
    [
        np.float32([[0, 1]]),
        np.float64([[0, 255]]),
        np.int16([[0, 2]]),
        np.uint8([[0, 0]]),
        np.uint8([[1, 1]]),
        np.uint16([[0, 65535]]),
    ],
    ids=str,
)
def test_whole_numbers_of_any_kind(folder: Path, array: NDArray[Any]) -> None:
    """0 is background, one other whole number tumour; an empty and a full mask are masks."""
    (folder / "1.png").unlink()
    pattern = np.zeros((64, 64), dtype=array.dtype)
    pattern[:, :32], pattern[:, 32:] = array[0]
    save(folder / "1.nii.gz", pattern)
    assert np.array_equal(read_masks(folder, SPLIT.test, SLICES)[1], pattern > 0)


def test_other_files_and_a_palette_are_no_hindrance(folder: Path) -> None:
    for name in ("dataset.json", "plans.json", ".1.png", "1.npz"):
        (folder / name).write_bytes(b"")
    grey = Image.fromarray(truth()[1].astype(np.uint8))
    grey.putpalette([0, 0, 0, 255, 255, 255])
    grey.save(folder / "1.png")
    assert np.array_equal(read_masks(folder, SPLIT.test, SLICES)[1], truth()[1])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "no", "no: there is no such folder")
    (tmp_path / "file.png").write_bytes(b"")
    refused(tmp_path / "file.png", "no such folder")


def test_a_folder_without_masks_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "1.npz").write_bytes(b"")
    refused(tmp_path, "no slice in it", "N.png", "N.nii.gz", "N.bmp")


def test_a_missing_mask_never_leaves_the_mean(folder: Path) -> None:
    (folder / "2.png").unlink()
    refused(
        folder, "1 of the 4 test slices have no mask (2)", "an empty mask where nothing was found"
    )


def test_many_missing_masks_are_counted_and_the_first_named(tmp_path: Path) -> None:
    slices = squares(20)
    theirs = write_masks(tmp_path / "theirs", truth(slices, (9,)))
    with pytest.raises(
        DataError, match=r"10 of the 11 test slices have no mask \(1, 2, 3, 4, 5, \.\.\.\)"
    ):
        read_masks(theirs, (*range(1, 10), 11, 12), slices)


def test_a_superfluous_mask_is_named(folder: Path) -> None:
    write_masks(folder, truth(wanted=(6,)))
    refused(folder, "1 masks are of no test slice (6)")
    (folder / "3.png").unlink()
    refused(folder, "have no mask (3)", "of no test slice (6)")


@pytest.mark.parametrize("name", ["1.nii.gz", "01.png", "1.tif"])
def test_a_mask_found_twice(folder: Path, name: str) -> None:
    save(folder / name, truth()[1].astype(np.uint8))
    refused(folder, "slice 1 is there twice", "remove one")


@pytest.mark.parametrize("name", ["case_0001.png", "1_pred.nii.gz"])
def test_a_name_that_is_no_slice_number(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    refused(folder, name, "slice number")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".nii.gz"])
def test_another_size_names_both(folder: Path, suffix: str) -> None:
    (folder / "1.png").unlink()
    save(folder / f"1{suffix}", np.zeros((32, 96), np.uint8))
    refused(folder, f"1{suffix}", "the mask is 32x96", "the slices are 64x64", "nearest neighbour")


@pytest.mark.parametrize(
    ("values", "dtype", "says"),
    [
        ([0, 0.25, 0.5, 1], np.float32, "4 values (0.0, 0.25, 0.5, 1.0)"),
        ([0, 0.75], np.float32, "2 values (0.0, 0.75)"),
        ([0, np.nan], np.float32, "2 values (0.0, nan)"),
        ([0, np.inf], np.float32, "2 values (0.0, inf)"),
        ([0, 1, 2], np.uint8, "3 values (0, 1, 2)"),
        ([1, 2], np.uint8, "2 values (1, 2)"),
        ([0, -1], np.int16, "2 values (-1, 0)"),
        (range(10), np.uint8, "10 values (0, 1, 2, 3, 4, ...)"),
    ],
    ids=str,
)
def test_a_probability_map_or_several_classes(
    folder: Path, values: list[float], dtype: Any, says: str
) -> None:
    (folder / "1.png").unlink()
    save(folder / "1.nii.gz", np.resize(np.array(values, dtype=dtype), (64, 64)))
    refused(folder, "1.nii.gz", says, "threshold a probability map")


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_grey_picture_of_probabilities(folder: Path, suffix: str) -> None:
    (folder / "1.png").unlink()
    save(folder / f"1{suffix}", np.resize(np.arange(256, dtype=np.uint8), (64, 64)))
    refused(folder, f"1{suffix}", "256 values", "threshold a probability map")


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_colour_picture(folder: Path, suffix: str) -> None:
    (folder / "1.png").unlink()
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = truth()[1] * 255
    save(folder / f"1{suffix}", red)
    refused(folder, f"1{suffix}", "colour picture")


def test_numbers_that_are_no_grey_levels(folder: Path) -> None:
    (folder / "1.png").unlink()
    save(folder / "1.nii.gz", np.zeros((64, 64), np.complex64))
    refused(folder, "1.nii.gz", "complex64", "whole numbers")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of a damaged TIFF
@given(data=st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_mask_is_one_clear_error_or_a_mask(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    path, whole = tmp_path / "theirs" / f"1{suffix}", tmp_path / "whole"
    if not whole.exists():
        write_masks(path.parent, truth(wanted=(1,)), suffix)
        whole.write_bytes(path.read_bytes())
    path.write_bytes(data.draw(damaged(whole.read_bytes())))
    try:
        found = read_masks(path.parent, (1,), SLICES)
    except BenchmarkError as error:
        message = str(error)
    else:
        assert (found[1].dtype, found[1].shape) == (np.dtype(bool), (64, 64))
        return
    assert str(path) in message


TURNS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "upside down": np.flipud,
    "mirrored": np.fliplr,
    "turned by 180 degrees": lambda mask: np.rot90(mask, 2),
    "with rows and columns swapped": np.transpose,
    "turned by 90 degrees clockwise": lambda mask: np.rot90(mask, -1),
    "turned by 90 degrees counter-clockwise": np.rot90,
    "with rows and columns swapped and turned by 180 degrees": lambda mask: np.rot90(mask.T, 2),
}


@pytest.mark.parametrize("name", TURNS)
def test_turned_masks_are_told_and_left_as_they_are(name: str) -> None:
    slices = small_set(shape=(96, 96))
    masks = {number: TURNS[name](mask) for number, mask in truth(slices, (2, 5, 8)).items()}
    warning = turned(masks, slices)
    assert warning.startswith(f"The masks seem to be {name}: ")
    assert "1.000 with that undone" in warning


def test_masks_that_are_poor_whichever_way_raise_no_doubt() -> None:
    slices = small_set()
    empty = {number: np.zeros_like(mask) for number, mask in truth(slices, (2, 5)).items()}
    assert turned(empty, slices) == ""
    assert turned({number: ~mask for number, mask in empty.items()}, slices) == ""
    assert turned(truth(slices, (2, 5)), slices) == ""
    assert turned({}, slices) == ""
    assert "mirrored" in turned(
        {n: m[:, ::-1] for n, m in truth(slices, (2, 5)).items()}, slices
    )  # not square


def test_shipped_splits_are_those_of_the_708_slices() -> None:
    assert len(shipped(cheng_set())) == 12
    assert shipped(SLICES) == []
    assert read_split("by-patient-3", cheng_set()) in shipped(cheng_set())


def split_file(tmp_path: Path, text: str) -> Split:
    (tmp_path / "theirs.json").write_text(text, encoding="utf-8")
    return read_split(str(tmp_path / "theirs.json"), SLICES)


def test_a_split_file_may_leave_slices_out(tmp_path: Path) -> None:
    """In any order, with fields of its own, without validation or training."""
    found = split_file(tmp_path, '{"test": [3, 1], "train": [7, 6], "fold": 0}')
    assert found == Split("theirs.json", (6, 7), (), (1, 3))
    assert split_file(tmp_path, '\ufeff{"test": [2]}') == Split("theirs.json", (), (), (2,))


def test_a_split_written_here_is_read_back(tmp_path: Path) -> None:
    fields = {"split_id": "by-image-1", "dataset_id": SLICES.dataset_id, "rule": {}}
    sets = {"train": SPLIT.train, "val": SPLIT.val, "test": SPLIT.test}
    assert split_file(tmp_path, json.dumps({**fields, **sets})).fingerprint == SPLIT.fingerprint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read as JSON"),
        ('{"test": [1', "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"test": [' + "1" * 5000 + "]}", "cannot be read as JSON"),
        ('[{"train": [6], "val": [1]}]', "holds a list; it must hold"),
        ("{}", "the test set is empty"),
        ('{"train": [6], "test": []}', 'the test set is empty; list its slices under "test"'),
        ('{"train": {"6": 1}, "test": [1]}', "train is a dict, not a list"),
        ('{"train": null, "test": [1]}', "train is a NoneType, not a list"),
        ('{"train": ["6"], "test": [1]}', "'6' in train is no slice number"),
        ('{"train": [6.0], "test": [1]}', "'6.0' in train is no slice number"),
        ('{"train": [true], "test": [1]}', "'True' in train is no slice number"),
        ('{"train": [6], "test": [1, 1]}', "slice 1 is twice in test; keep it in one place"),
        ('{"train": [6, 1], "test": [1]}', "slice 1 is in both train and test"),
        ('{"train": [6], "val": [7, 6], "test": [1]}', "slice 6 is in both train and val"),
        ('{"train": [6], "test": [1, 99]}', "slice 99 of test is not in the data"),
        (
            '{"train": [6], "test": [1], "dataset_id": "abc"}',
            "is of dataset abc, but the slices given are",
        ),
    ],
    ids=lambda text: text[:40],
)
def test_a_bad_split_file_is_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SplitError) as caught:
        split_file(tmp_path, text)
    assert says in str(caught.value)
    assert "theirs.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_split_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "theirs.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SplitError, match="cannot be read as JSON"):
        read_split(str(tmp_path / "theirs.json"), SLICES)


def test_an_unknown_split_lists_the_known_ones() -> None:
    with pytest.raises(
        SplitError,
        match=r"unknown split 'by-image-9'; known: by-image-1, .*, or the path of a JSON",
    ):
        read_split("by-image-9", SLICES)


def test_a_shipped_split_of_other_slices() -> None:
    with pytest.raises(
        SplitError, match="by-image-1: is of dataset 6bc431b424f9, but the slices given are"
    ):
        read_split("by-image-1", SLICES)


def test_the_summary_says_what_is_not_known() -> None:
    """A measure that nobody gave words to stands under its own name."""
    shown = dict(
        summary_text({"n": 3, "dice_mean": 0.25, "dice_sd": float("nan"), "odd_thing_mm": 2.0})
    )
    assert shown == {
        "test slices": "3",
        "mean Dice": "0.2500",
        "SD over slices": "unknown",
        "odd thing mm": "2.0000",
    }


@pytest.fixture
def asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_phantoms: None, slices: SliceSet
) -> Callable[..., list[str]]:
    """Words of the verb, in a folder with the truth of four phantoms under masks/ and their
    split.
    """
    monkeypatch.chdir(tmp_path)
    write_masks(tmp_path / "masks", truth(slices, (1, 5, 9, 13)))
    (tmp_path / "split.json").write_text('{"train": [2, 3], "test": [1, 5, 9, 13]}')
    return lambda *more: ["score", "masks", "--split", "split.json", "--data", "phantoms", *more]


def test_the_verb_scores_a_folder_of_masks_and_writes_its_table(
    asked: Callable[..., list[str]], capsys: Capture, tmp_path: Path
) -> None:
    assert main(asked("--name", "their tool", "--out", "new/scores.csv")) == 0
    output = capsys.readouterr().out
    assert output.startswith("their tool: masks of the 4 test slices of split.json, ")
    assert "mean Dice                 1.0000" in output
    assert "missed tumours            0\n" in output
    assert "seem to be" not in output
    scores = pd.read_csv(tmp_path / "new" / "scores.csv")
    assert scores["slice_id"].tolist() == [1, 5, 9, 13]
    assert scores["dice"].tolist() == [1, 1, 1, 1]


def test_the_verb_overwrites_nothing(
    asked: Callable[..., list[str]], capsys: Capture, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    assert main(asked("--out", "mine.csv")) == 2
    assert "--out mine.csv: exists already and is left as it is" in capsys.readouterr().err
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_the_verb_says_where_masks_are_turned(
    asked: Callable[..., list[str]], capsys: Capture, tmp_path: Path, slices: SliceSet
) -> None:
    write_masks(tmp_path / "masks", {n: m[::-1] for n, m in truth(slices, (1, 5, 9, 13)).items()})
    assert main(asked()) == 0
    output = capsys.readouterr().out
    assert output.startswith("masks: ")
    assert "The masks seem to be " in output


def test_the_verb_names_a_wrong_folder_before_any_slice_is_read(
    asked: Callable[..., list[str]], capsys: Capture, tmp_path: Path
) -> None:
    words = asked()
    words[1] = "no/such"
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: no/such: there is no such folder")
    (tmp_path / "masks" / "5.png").unlink()
    assert main(asked()) == 2
    assert "1 of the 4 test slices have no mask (5)" in capsys.readouterr().err


def test_scores_that_do_not_fit_leave_no_folder(
    asked: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def refuse(stream: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    assert main(asked("--out", "new/scores.csv")) == 2
    assert capsys.readouterr().err.startswith(
        "error: new/scores.csv: cannot be written (No space left on device); "
    )
    assert not Path("new").exists()
