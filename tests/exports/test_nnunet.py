"""nnU-Net's raw dataset: nothing is changed, its folds are our splits, and it trains no other."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from bench_forms import call, refused
from data_forms import one_line, small_set, snapshot, write_index
from PIL import Image

from benchmark.data import load
from benchmark.data.slices import SliceSet
from benchmark.errors import DataError, OutputError
from benchmark.exports import nnunet
from benchmark.protocol import SplitRule
from benchmark.splits.files import read_splits
from benchmark.splits.split import Split, draws, make

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

SLICES = small_set(24)  # 12 patients of two slices
NAME = "Dataset501_Some"


def splits_of(unit: str = "patient", slices: SliceSet = SLICES, folds: int = 4) -> list[Split]:
    rule = SplitRule(unit=unit, folds=folds)
    return [make(slices, rule, number) for number in range(1, draws(slices, rule) + 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    nnunet.export(SLICES, splits_of(), tmp_path / "raw" / NAME)
    return tmp_path / "raw" / NAME


# Slices


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_pictures_and_labels_are_the_slices(tmp_path: Path, dtype: str) -> None:
    """Read back as a folder of pairs they are the same dataset: levels, masks, numbers."""
    slices = small_set(6, dtype=dtype)
    nnunet.export(slices, splits_of("patient", slices, 3), tmp_path / NAME)
    for name, part in (("imagesTr", "images"), ("labelsTr", "masks")):
        (tmp_path / "pairs" / part).mkdir(parents=True)
        for path in (tmp_path / NAME / name).iterdir():
            plain = path.name.replace("_0000", "")
            shutil.copy(path, tmp_path / "pairs" / part / plain)
    write_index(slices, tmp_path / "pairs")
    back = load(tmp_path / "pairs")
    assert back.dataset_id == slices.dataset_id
    assert np.array_equal(back.images, slices.images)
    assert dtype == "int16" or back.fingerprint == slices.fingerprint  # PNG has no int16


def test_labels_are_0_and_1_in_8_bits_and_of_an_empty_mask_0(tmp_path: Path) -> None:
    masks = SLICES.masks.copy()
    masks[0] = False
    nnunet.export(replace(SLICES, masks=masks), splits_of(), tmp_path / NAME)
    for row, number in enumerate(SLICES.slice_id):
        with Image.open(tmp_path / NAME / "labelsTr" / f"{number}.png") as label:
            assert label.mode == "L"
            assert np.array_equal(np.asarray(label), masks[row].astype(np.uint8))
    assert len(np.unique(masks[1:])) == 2


def test_the_dataset_file_says_what_is_there(folder: Path) -> None:
    """Keys as documentation/dataset_format.md lists them; a channel called CT would be scaled."""
    said = json.loads((folder / "dataset.json").read_text())
    assert said == {
        "channel_names": {"0": "T1ce"},
        "labels": {"background": 0, "tumour": 1},
        "numTraining": 24,
        "file_ending": ".png",
    }
    images, labels = ({path.name for path in (folder / part).iterdir()}
                      for part in ("imagesTr", "labelsTr"))  # fmt: skip
    assert images == {f"{number}_0000.png" for number in SLICES.slice_id}
    assert labels == {f"{number}.png" for number in SLICES.slice_id}


def test_the_same_slices_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    nnunet.export(SLICES, splits_of(), tmp_path / "again" / NAME)
    assert snapshot(tmp_path / "again" / NAME) == snapshot(folder)


# Folds


@pytest.mark.parametrize(("unit", "folds"), [("image", 0), ("patient", 3), ("patient", 12)])
def test_a_fold_tests_what_our_split_tests_and_trains_on_all_else(unit: str, folds: int) -> None:
    splits = splits_of(unit, folds=folds)
    listed = nnunet.folds_of(splits)
    assert len(listed) == len(splits) >= 3
    for split, fold in zip(splits, listed, strict=True):
        train, val = ({int(name) for name in fold[part]} for part in ("train", "val"))
        assert len(train) + len(val) == len(fold["train"]) + len(fold["val"]) == len(SLICES)
        assert val == set(split.test)
        assert train == set(split.train) | set(split.val)
        if unit == "patient":
            homes = ({SLICES.patient_of[n] for n in numbers} for numbers in (train, val))
            assert set.isdisjoint(*homes)
    tests = [set(fold["val"]) for fold in listed]
    assert all(a.isdisjoint(b) for a, b in combinations(tests, 2))


def test_the_splits_beside_are_read_in_the_order_of_folds(tmp_path: Path) -> None:
    """Of twelve the tenth comes after the ninth, as fold 9 after fold 8."""
    splits = splits_of(folds=12)
    nnunet.export(SLICES, splits, tmp_path / NAME)
    back = read_splits(str(tmp_path / NAME / nnunet.SPLITS), SLICES)
    assert [split.sets for split in back] == [split.sets for split in splits]
    listed = json.loads((tmp_path / NAME / "splits_final.json").read_text())
    assert [fold["val"] for fold in listed] == [[str(n) for n in split.test] for split in back]


def test_splits_are_folds_by_their_numbers_in_whatever_order_they_are_asked_for(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    """As `score` reads the files beside: else a fold would be held against another's split."""
    monkeypatch.chdir(tmp_path)
    assert call(f"export --to nnunet phantoms {NAME} --splits 3,1") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "fold 0 is by-patient-1, fold 1 by-patient-3" in said
    listed = json.loads((tmp_path / NAME / "splits_final.json").read_text())
    for number, fold in zip((1, 3), listed, strict=True):
        path = tmp_path / NAME / nnunet.SPLITS / f"by-patient-{number}.json"
        assert fold["val"] == [str(n) for n in json.loads(path.read_text())["test"]]


# What is refused, and what is left then


@pytest.mark.parametrize("name", ["Dataset5_X", "Dataset501", "501_X", "Dataset501_X Y", "some"])
def test_a_name_that_nnunet_would_not_find(tmp_path: Path, name: str) -> None:
    with one_line(DataError, name, "DatasetNNN_Name", "call the folder Dataset501_Meningioma"):
        nnunet.export(SLICES, splits_of(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_as_it_is(folder: Path) -> None:
    before = snapshot(folder.parent)
    with one_line(DataError, NAME, "exists already"):
        nnunet.export(SLICES, splits_of(), folder)
    with one_line(DataError, f"{NAME} has the number 501 already", "choose another"):
        nnunet.export(SLICES, splits_of(), folder.with_name("Dataset501_Other"))
    assert snapshot(folder.parent) == before
    nnunet.export(SLICES, splits_of(), folder.with_name("Dataset502_Other"))


def test_a_level_below_0_is_named(tmp_path: Path) -> None:
    slices = small_set(6, dtype="int16")
    slices.images[2, 0, 0] = -7
    with one_line(DataError, "slice 8: grey level -7", "add a constant"):
        nnunet.export(slices, splits_of("patient", slices, 3), tmp_path / "raw" / NAME)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_fails_or_is_stopped_leaves_nothing(
    tmp_path: Path, monkeypatch: Patch, stop: BaseException
) -> None:
    done, calls = Image.Image.save, []

    def save(picture: Image.Image, path: Path) -> None:
        calls.append(path)
        if len(calls) > 5:
            raise stop
        done(picture, path)

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises((KeyboardInterrupt, OutputError)):
        nnunet.export(SLICES, splits_of(), tmp_path / "raw" / NAME)
    assert len(calls) == 6
    assert list(tmp_path.iterdir()) == []


# The guard around nnU-Net, which is played by a script that says how it was called

needs_sh = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


class Theirs:
    """A folder of nnU-Net's preprocessed data, and a stand-in for its training on the path."""

    def __init__(self, dataset: Path) -> None:
        self.dataset, base = dataset, dataset.parent.parent
        (base / "bin").mkdir()
        (base / "bin" / "nnUNetv2_train").write_text('#!/bin/sh\necho trained "$@"\n')
        (base / "bin" / "nnUNetv2_train").chmod(0o755)
        self.variables = {
            "PATH": f"{base / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "nnUNet_preprocessed": str(base / "pre processed"),
        }
        self.list = base / "pre processed" / NAME / "splits_final.json"
        self.list.parent.mkdir(parents=True)
        shutil.copy(dataset / "splits_final.json", self.list)

    def train(self, *words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["sh", str(self.dataset / nnunet.TRAIN), *words],
            env=self.variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def theirs(folder: Path) -> Theirs:
    return Theirs(folder)


@needs_sh
def test_a_fold_of_the_list_is_trained_with_the_options_given(theirs: Theirs) -> None:
    told = theirs.train("3", "-tr", "nnUNetTrainer_5epochs", "-device", "cpu")
    assert told == (0, f"trained {NAME} 2d 3 -tr nnUNetTrainer_5epochs -device cpu\n", "")


@needs_sh
@pytest.mark.parametrize("fold", ["4", "-1", "all", "00", "0 1", "", "*"])
def test_a_fold_beyond_the_list_is_refused_and_not_trained(theirs: Theirs, fold: str) -> None:
    says = f"error: fold '{fold}': {NAME} has folds 0 to 3; give one of them\n"
    assert theirs.train(fold) == (2, "", says)


@needs_sh
@pytest.mark.parametrize("spelt", ["--val_best", "--val_b", "--val_"])
def test_weights_chosen_on_test_slices_are_refused(theirs: Theirs, spelt: str) -> None:
    """argparse takes what an option alone begins with."""
    code, out, error = theirs.train("0", "--val", spelt)
    assert (code, out) == (2, "")
    assert error.startswith("error: --val_best: ")


@needs_sh
def test_another_list_of_folds_is_refused(theirs: Theirs) -> None:
    """A list of nnU-Net's own, or of an earlier export, and none at all."""
    theirs.list.write_text("[]")
    for _ in range(2):
        code, out, error = theirs.train("0")
        assert (code, out) == (2, "")
        assert f"error: {theirs.list}: is not the list of this dataset; plan first" in error
        theirs.list.unlink(missing_ok=True)
    del theirs.variables["nnUNet_preprocessed"]
    code, out, error = theirs.train("0")
    assert (code != 0, out) == (True, "")
    assert "nnUNet_preprocessed" in error
    assert "export it as for planning" in error


# The command


@pytest.mark.usefixtures("elsewhere")
def test_the_printed_commands_lead_to_a_row_beside_ours(capsys: Capture, tmp_path: Path) -> None:
    """nnU-Net's part is played by the labels themselves: they are called the truth, at Dice 1."""
    made = f"export --to nnunet phantoms 'my raw/{NAME}' --splits 1,2,3"
    assert call(made) == 0
    *_, raw, pre, results, plan, train, score = capsys.readouterr().out.splitlines()
    assert raw == f"export nnUNet_raw='{tmp_path / 'my raw'}'"
    assert pre == f"export nnUNet_preprocessed={tmp_path / 'nnUNet_preprocessed'}"
    assert results == f"export nnUNet_results={tmp_path / 'nnUNet_results'}"
    assert plan == "nnUNetv2_plan_and_preprocess -d 501 -c 2d --verify_dataset_integrity"
    assert train == f"for fold in 0 1 2; do sh 'my raw/{NAME}/train.sh' $fold; done"
    words = shlex.split(score)
    assert words[:3] == ["python", "-m", "benchmark"]
    dataset, trained = tmp_path / "my raw" / NAME, Path(words[4])
    listed = json.loads((dataset / "splits_final.json").read_text())
    for number, fold in enumerate(listed):
        (trained / f"fold_{number}" / "validation").mkdir(parents=True)
        for name in fold["val"]:
            label = dataset / "labelsTr" / f"{name}.png"
            shutil.copy(label, trained / f"fold_{number}" / "validation")
        (trained / f"fold_{number}" / "validation" / "summary.json").write_text("{}")
    few = "--only arm=otsu --protocol patient --splits 1,3 --out runs"
    assert call(f"reproduce --data phantoms {few}") == 0
    capsys.readouterr()
    assert call(shlex.join([*words[3:], "--runs", "runs"])) == 0
    output = capsys.readouterr().out
    n, ours = (sum(len(listed[k]["val"]) for k in folds) for folds in ((0, 1, 2), (0, 2)))
    assert f"nnUNetTrainer__nnUNetPlans__2d: masks of the {n} test slices of by-patient-1" in output
    assert re.search(r"^mean Dice +1\.0000$", output, re.MULTILINE)
    assert f"these masks equal the truth on {n} of {n} slices" in output
    (row,) = (line for line in output.splitlines() if line.startswith("otsu"))
    assert row.split()[4:6] == ["2", str(ours)]  # of the folds that it was run on alone


@pytest.mark.usefixtures("elsewhere")
def test_all_folds_of_the_patient_protocol_are_the_default(capsys: Capture, tmp_path: Path) -> None:
    assert call(f"export --to nnunet phantoms {NAME}") == 0
    names = {path.stem for path in (tmp_path / NAME / "splits").iterdir()}
    assert names == {f"by-patient-{number}" for number in range(1, 8)}
    assert call("export --to nnunet phantoms Dataset502_Draws --protocol thesis --labels all") == 0
    names = {path.stem for path in (tmp_path / "Dataset502_Draws" / "splits").iterdir()}
    assert names == {f"by-image-{number}" for number in range(1, 7)}  # 24 / round(24 * 0.15)
    assert capsys.readouterr().out.endswith("--data phantoms --labels all\n")
    assert {path.name for path in tmp_path.iterdir()} == {NAME, "Dataset502_Draws"}


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (f"--to nnunet phantoms {NAME} --splits 8", "fold 8 does not exist; there are folds 1 to"),
        (f"--to nnunet phantoms {NAME} --protocol x", "unknown protocol 'x'; known: patient"),
        ("--to nnunet phantoms some", "some: nnU-Net finds a dataset by a name of the form"),
        ("phantoms some --splits 1", "--splits: is for --to nnunet, not --to nifti; leave it out"),
        ("phantoms some --protocol patient", "--protocol: is for --to nnunet, not --to nifti"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    capsys: Capture, tmp_path: Path, words: str, says: str
) -> None:
    assert says in refused(capsys, f"export {words}")
    assert list(tmp_path.iterdir()) == []
