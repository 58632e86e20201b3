"""The real nnU-Net on an exported dataset, from its integrity check to a row beside ours.

It needs nnunetv2 in an environment of its own, since it cannot be installed beside the versions
that are pinned here: `NNUNET_BIN=path/to/its/bin pytest tests/exports/test_real_nnunet.py -rs`. A
training of a few steps on phantoms shows that every part fits, and nothing of what nnU-Net can do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from bench_forms import called

from benchmark.data import nifti
from benchmark.data.phantoms import make
from benchmark.exports import nnunet
from benchmark.planning.request import Request, load_splits

BIN = os.environ.get("NNUNET_BIN")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("nnUNetv2_train", path=BIN),
        reason="no nnUNetv2_train in $NNUNET_BIN or on the path: docs/judge-your-tool.md",
    ),
]

NAME = "Dataset501_Phantoms"
TRAINER = """\
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

class FewSteps(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device):  # nnU-Net reads the names
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 2, 3, 1
"""
OPTIONS = ["-tr", "FewSteps", "-device", "cpu"]


class NnUNet:
    """nnU-Net's three folders below one of ours, and its commands there."""

    def __init__(self, base: Path) -> None:
        self.dataset = base / "nnUNet_raw" / NAME
        self.base, self.trainers = base, base / "trainers"
        self.plans = base / "nnUNet_preprocessed" / NAME
        self.results = base / "nnUNet_results" / NAME / "FewSteps__nnUNetPlans__2d"
        self.trainers.mkdir()
        (self.trainers / "few_steps.py").write_text(TRAINER)

    def give(self, *words: str) -> subprocess.CompletedProcess[str]:
        folders = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
        own = {name: str(self.base / name) for name in folders}
        own |= {"nnUNet_extTrainer": str(self.trainers), "nnUNet_compile": "f"}
        own |= {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1", "OMP_NUM_THREADS": "1"}
        own["PATH"] = os.pathsep.join([*([BIN] if BIN else []), os.environ["PATH"]])
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        return subprocess.run(
            words, cwd=self.base, env=kept | own, capture_output=True, text=True, check=False
        )

    def train(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.give("sh", str(self.dataset / nnunet.TRAIN), *words)


def test_its_folds_are_ours_and_its_masks_are_scored_beside_our_runs(tmp_path: Path) -> None:
    slices = make(patients=14, slices_per_patient=1)
    nifti.export(slices, tmp_path / "slices")
    splits = load_splits(Request(data="slices", splits=(1, 2)), slices, default="patient")
    theirs = NnUNet(tmp_path)
    nnunet.export(slices, splits, theirs.dataset)

    planned = theirs.give(
        "nnUNetv2_plan_and_preprocess", "-d", "501", "-c", "2d", "--verify_dataset_integrity",
        "-np", "1", "-npfp", "1",
    )  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    assert "verify_dataset_integrity Done" in planned.stdout
    assert json.loads((theirs.plans / "splits_final.json").read_text()) == nnunet.folds_of(splits)

    for fold in range(2):
        trained = theirs.train(str(fold), *OPTIONS)
        assert trained.returncode == 0, trained.stderr
        train, val = len(splits[fold].train) + len(splits[fold].val), len(splits[fold].test)
        assert f"{train} training and {val} validation cases" in trained.stdout
        written = {path.stem for path in (theirs.results / f"fold_{fold}").glob("validation/*.png")}
        assert written == {str(number) for number in splits[fold].test}

    refused = theirs.train("2", *OPTIONS)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "fold '2'" in refused.stderr
    assert not (theirs.results / "fold_2").exists()

    where = ["--split", str(theirs.dataset / nnunet.SPLITS), "--data", "slices"]
    quick = [
        "--data",
        "slices",
        "--grid",
        "quick",
        "--only",
        "arm=otsu",
        "--protocol",
        "patient",
        "--splits",
        "1,2",
    ]
    assert called(["reproduce", *quick, "--out", "runs"], tmp_path)[0] == 0
    scored = ["score", str(theirs.results), *where, "--runs", "runs"]
    code, output, error = called([*scored, "--out", "rows.csv"], tmp_path)
    assert code == 0, error
    n = sum(len(split.test) for split in splits)
    said = "FewSteps__nnUNetPlans__2d: masks of the {} test slices of by-patient-1.json to by-patie"
    assert said.format(n) in output
    assert "beside the recorded arms" in output
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == n + 1
