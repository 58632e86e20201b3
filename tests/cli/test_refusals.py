"""What is wrong with a command is named in one line, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_forms import call, refused

Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("elsewhere")

WRONG_GRIDS = {  # after seeds = [1] and [[arms]]
    "a": ('name = "unett"', "unknown arm 'unett'; known: attention-unet"),
    "b": ('name = "unet"\nkernel = 3', "unknown parameter 'kernel'; known: alpha, kernel_size"),
    "c": ('name = "unet"\nkernel_size = 4', "must"),
    "d": ('name = "unet"\nalpha = 2.0', "must"),
    "e": ('name = "unet"\nalpha = "x"', "must"),
    "f": ('name = "unet"\nkernel_size = [[3]]', "must"),
    "g": ('name = "unet"\nalpha = nan', "must"),
}
WRONG_OPTIONS = [  # of reproduce --data phantoms --out out
    ("--grid thesiss", "unknown grid 'thesiss'; known: baselines, quick, thesis, or a path ending"),
    ("--grid no.toml", "grid file no.toml is not there"),
    ("--protocol nnunet", "unknown protocol 'nnunet'; known: patient, thesis"),
    ("--set trainin.patience=3", "unknown section 'trainin'; known: augmentation, loss, network"),
    ("--set training.patients=3", "unknown key in [training] 'patients'; known: batch_size, lear"),
    ("--set training.patience=many", "training.patience = 'many' must be int"),
    ("--set training.patience=0", "must be above 0"),
    ("--set training.patience", "must have the form KEY=VALUE"),
    ("--set training.patience=3 --set training.learning_rate=banana", "must be float"),
    ("--set augmentation.bias_order=25", "[0, 10]"),
    ("--only kernel=3", "--only: unknown key 'kernel'; known: alpha, arm, band, kernel_size"),
    ("--only alpha=0.4", "--only: unknown alpha 0.4; known: 0.1, 0.5, 0.9"),
    ("--only arm=u-net", "--only: unknown arm 'u-net'; known: attention-unet, background"),
    ("--only kernel_size=5 --only kernel_size=7", "names 'kernel_size' twice"),
    (f"--seeds {2**63}", "below 2**63"),
    ("--seeds 1,1", "there once"),
    ("--image-size 100", "both sides must be multiples of 32"),
    ("--image-size 99968", "above 4096"),
    ("--splits 9", "by-image draw 9"),
    ("--spacing 0 1", "must be two numbers from 0.01 to 100"),
    ("--data ''", "--data is empty"),
    ("--only arm=otsu --device banana", "--device banana"),
    ("--only arm=otsu --device cpu:7", "--device cpu:7"),
    ("--only arm=otsu --device cuda:99", "--device cuda:99"),
    *((f"--grid {name}.toml", says) for name, (_, says) in WRONG_GRIDS.items()),
]


@pytest.mark.parametrize(("options", "says"), WRONG_OPTIONS)
def test_what_is_wrong_is_named_before_anything_is_written(
    capsys: Capture, tmp_path: Path, options: str, says: str
) -> None:
    """With the known names, where there are any; not even a split, but where an arm is asked."""
    for name, (arm, _) in WRONG_GRIDS.items():
        (tmp_path / f"{name}.toml").write_text(f"seeds = [1]\n[[arms]]\n{arm}\n")
    assert says in refused(capsys, f"reproduce --data phantoms --out out {options}")
    assert not list(tmp_path.rglob("spec.json"))
    late = any(word in options for word in ("--device", "c.toml", "d.toml"))
    assert late or not list(tmp_path.rglob("by-*.json"))


OF_DATA = ("data", "plan --data", "reproduce --data", "rescore --runs . --data", "audit --data",
           "score . --split a --data")  # fmt: skip


@pytest.mark.parametrize(
    ("command", "says"),
    [
        *((f"{verb} no/such", "no/such: not there") for verb in OF_DATA),
        ("data empty", "looked for"),
        ("data empty", "images.npy"),
        ("compare --runs no/such", "--runs no/such: there is no such folder"),
        ("rescore --runs no/such", "--runs no/such: there is no such folder"),
        ("compare --runs empty", "holds no run; give the folder"),
        ("compare --runs empty --format csv", "csv needs one --section, of verdicts, patients"),
        ("compare --runs empty --format csv --section arms runs", "csv needs one --section"),
        ("reproduce --data phantoms --only arm=otsu --out mine.txt", "mine.txt"),
    ],
)
def test_a_wrong_path_is_named(capsys: Capture, tmp_path: Path, command: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    assert says in refused(capsys, command)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "verb", ["audit", "audit --split s.json", "score m --split s.json", "rescore --runs m"]
)
def test_what_is_about_slices_of_the_user_draws_none_unasked(
    capsys: Capture, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "s.json").write_text('{"train": [1, 2], "test": [3]}')
    (tmp_path / "m").mkdir()
    says = "no slices are given; name their folder or zip with --data PATH or in $MENINGIOMA_DATA"
    assert f"error: {says} (or say --data phantoms for drawn ones)" in refused(capsys, verb)


def test_slices_of_a_label_that_none_has(capsys: Capture) -> None:
    """Phantoms know no labels; as slices of a folder they are meningiomas."""
    assert call("export phantoms some") == 0
    assert "no slice with label" in refused(capsys, "reproduce --data some --labels 2")


def test_phantoms_and_real_slices_never_share_a_folder(capsys: Capture, tmp_path: Path) -> None:
    run = tmp_path / "mixed" / "some-run"
    run.mkdir(parents=True)
    (run / "spec.json").write_text(json.dumps({"phantom": False}))
    says = "mixed holds runs on real slices, and these would be runs on phantoms; give another fol"
    assert says in refused(capsys, "reproduce --data phantoms --only arm=otsu --out mixed")
    (run / "spec.json").write_text(json.dumps({"phantom": True}))
    assert call("export phantoms real") == 0
    says = "mixed holds runs on phantoms, and these would be runs on real slices"
    assert says in refused(capsys, "plan --data real --out mixed")
    assert list((tmp_path / "mixed").iterdir()) == [run]


@pytest.mark.parametrize("workers", ["", "--workers 2"])
def test_a_card_that_is_not_there(capfd: Capture, monkeypatch: Patch, workers: str) -> None:
    """One line, and no worker is started, which would add its own."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    command = "reproduce --data phantoms --only arm=otsu,background --device cuda"
    error = refused(capfd, f"{command} {workers}")
    assert error.startswith("error: --device cuda: PyTorch sees no CUDA card here")
