"""What is asked becomes what is run: options, the environment, the grid, the slices."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_forms import small_set, write_pairs
from scipy.io import savemat

from baselines import ARMS
from benchmark.cli.options import request as to_request
from benchmark.cli.parser import parser
from benchmark.data.slices import SliceSet
from benchmark.errors import DataError
from benchmark.planning.request import Request, prepare
from benchmark.runs.spec import RunSpec

Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.usefixtures("elsewhere")


def asked(command: str) -> Request:
    return to_request(parser().parse_args(shlex.split(command)))


def planned(options: str) -> list[RunSpec]:
    """What `plan` of phantoms would run, without keeping the splits that it draws."""
    return prepare(asked(f"plan --data phantoms {options}"), ARMS, keep_splits=False).specs


def run_ids(options: str = "") -> list[str]:
    return [spec.run_id for spec in planned(options)]


def test_options_become_a_request() -> None:
    got = asked(
        "plan --only kernel_size=3,5 alpha=0.5 --set training.learning_rate=3e-4 "
        "network.channels=8,16,32 augmentation.noise_with_intensity=true --seeds 452669,1 "
        "--labels 1,2 --spacing 0.5 1"
    )
    assert got.only == {"kernel_size": [3, 5], "alpha": [0.5]}
    assert got.overrides == {
        "training.learning_rate": 3e-4,
        "network.channels": [8, 16, 32],
        "augmentation.noise_with_intensity": True,
    }
    assert (got.seeds, got.labels, got.spacing_mm) == ((452669, 1), (1, 2), (0.5, 1.0))
    assert asked("plan --labels all").labels is None
    assert asked("plan").labels == (1,)
    twice = asked("plan --only kernel_size=5 --only alpha=0.5").only
    assert twice == {"kernel_size": [5], "alpha": [0.5]}


def test_where_slices_come_from(monkeypatch: Patch, tmp_path: Path) -> None:
    """Asked for, the environment, an earlier download, else phantoms, in a folder of their own."""
    from benchmark.data import download

    def got(command: str) -> tuple[str, Path, str]:
        return asked(command).source, asked(command).folder, asked(command).grid_name

    assert got("plan") == ("phantoms", Path("runs-quick"), "quick")
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    for file in download.FILES:
        assert asked("plan").source == "phantoms"
        (tmp_path / file.name).touch()
    assert asked("plan").source == "figshare"
    monkeypatch.setenv("MENINGIOMA_DATA", "there")
    assert got("plan") == ("there", Path("runs"), "thesis")
    assert got("plan --data here --out out") == ("here", Path("out"), "thesis")


def test_an_override_is_another_run() -> None:
    plain, changed = run_ids(), run_ids("--set training.patience=3")
    assert not set(plain) & set(changed)
    assert run_ids("--set training.learning_rate=1e-3") == plain  # the value it had
    two = run_ids("--set training.patience=3 training.max_epochs=9")
    assert two == run_ids("--set training.max_epochs=9 training.patience=3")


def test_seeds_splits_and_image_size_multiply() -> None:
    narrow = "--only kernel_size=3 alpha=0.5"
    assert len(run_ids(f"{narrow} --seeds 1,2,3 --splits 1,2")) == 6
    assert run_ids(f"{narrow} --image-size 64") == run_ids(narrow)
    assert {spec.shape for spec in planned(f"{narrow} --image-size 96")} == {(96, 96)}
    assert len(run_ids(f"{narrow} --image-size 4096")) == 1  # the largest there may be


def test_what_is_asked_goes_before_what_the_grid_says_and_leaves_the_rest_of_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.toml").write_text("""
        seeds = [7]
        splits = [2, 3]
        protocol = "patient"
        set = { "training.patience" = 9, "training.max_epochs" = 8 }
        [[arms]]
        name = "unet"
    """)
    of_the_grid = planned("--grid mine.toml")
    of_the_options = planned(
        "--grid mine.toml --protocol thesis --splits 1,4 --seeds 5,6 --set training.patience=3"
    )
    facts = [
        {(s.split_id, s.seed, s.recipe.preprocess.nyul_fit) for s in specs}
        for specs in (of_the_grid, of_the_options)
    ]
    assert facts[0] == {("by-patient-2", 7, "train"), ("by-patient-3", 7, "train")}
    assert facts[1] == {(f"by-image-{number}", seed, "all") for number in (1, 4) for seed in (5, 6)}
    rules = [specs[0].recipe.training for specs in (of_the_grid, of_the_options)]
    assert [(rule.patience, rule.max_epochs) for rule in rules] == [(9, 8), (3, 8)]
    assert not list(tmp_path.rglob("by-*.json"))  # asked not to keep the splits that it draws


def test_options_about_slices_reach_them(tmp_path: Path) -> None:
    """Six of label 1, one without a tumour, and six of label 2, in patients of two; three folds."""
    drawn = small_set(12)
    blank = drawn.masks & (np.arange(12) != 0)[:, None, None]
    write_pairs(replace(drawn, masks=blank, label=np.repeat([1, 2], 6)), tmp_path / "own")
    folds = np.zeros(36)
    folds[drawn.slice_id - 1] = np.repeat([1, 2, 3], 4)
    savemat(tmp_path / "own" / "cvind.mat", {"cvind": np.where(folds, folds, 1)[:, None]})

    def slices_of(options: str) -> SliceSet:
        return prepare(asked(f"plan --data own {options}"), ARMS, keep_splits=False).slices

    ids = drawn.slice_id.tolist()
    assert slices_of("--labels 2").slice_id.tolist() == ids[6:]
    assert slices_of("--labels 2 --spacing 0.5 1").spacing_mm == (0.5, 1.0)
    with pytest.raises(DataError, match="--allow-empty-masks"):
        slices_of("")
    assert slices_of("--allow-empty-masks").slice_id.tolist() == ids[:6]
    every = "--data own --labels all --allow-empty-masks"
    assert len(slices_of(every)) == 12
    folded = asked(f"plan {every} --set split.unit=cvind --splits 3")
    (split,) = prepare(folded, ARMS, keep_splits=False).splits.values()
    assert (split.test, split.val) == (tuple(ids[8:]), tuple(ids[:4]))
