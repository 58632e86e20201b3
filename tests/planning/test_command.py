"""A command makes the run that it was written for, or another arm's on the same terms."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from run_records import a_spec, halves, squares

from baselines import ARMS
from benchmark.cli.options import request
from benchmark.cli.parser import parser
from benchmark.planning.command import DATA, command, command_under_same_terms
from benchmark.planning.request import prepare
from benchmark.runs.spec import RunSpec


def written(spec: RunSpec, *, phantom: bool) -> dict[str, object]:
    """As spec.json holds it."""
    own = {"split_id": spec.split_id, "protocol": spec.recipe.name}
    return {**own, "phantom": phantom, "spec": spec.canonical()}


def specs(words: list[str], out: Path) -> list[RunSpec]:
    """What `reproduce` would run with these words."""
    asked = request(parser().parse_args(["reproduce", "--out", str(out), *words]))
    return prepare(asked, ARMS, keep_splits=False).specs


SETTINGS = "training.precision=bf16 loss.pool_batch=true training.batch_size=8"
VARIANTS = (
    "--only arm=unet kernel_size=5 alpha=0.1,0.9 --seeds 5 --image-size 64",
    "--only arm=otsu,threshold,click-region-growing",
    f"--only arm=attention-unet --splits 3 --set {SETTINGS}",
    "--grid thesis --only kernel_size=7 alpha=0.2 --seeds 2 --protocol patient --splits 2",
    "--grid thesis --only kernel_size=5 alpha=0.5 --set network.channels=8,16,32",
    "--grid thesis --only kernel_size=3 alpha=0.5 --set preprocess.nyul_fit=train",
)


@pytest.mark.usefixtures("few_phantoms")
@pytest.mark.parametrize("words", VARIANTS)
def test_the_command_of_a_run_makes_that_run(words: str, tmp_path: Path) -> None:
    """For every spec of a request: its command, parsed and expanded, gives that run_id alone."""

    wanted = specs(["--data", "phantoms", *words.split()], tmp_path)
    assert wanted
    for spec in wanted:
        text = command(written(spec, phantom=True), ARMS)
        assert text is not None
        assert text.startswith("python -m benchmark reproduce --data phantoms")
        assert [made.run_id for made in specs(shlex.split(text)[4:], tmp_path)] == [spec.run_id]


def test_the_best_cell_of_the_thesis_is_a_short_command() -> None:
    slices = squares()
    spec = a_spec(slices, halves(slices))
    assert command(written(spec, phantom=False), ARMS) == (
        f"python -m benchmark reproduce --data {DATA} --only arm=unet kernel_size=5 alpha=0.5 "
        "--seeds 1 --image-size 512"
    )


def test_a_run_of_no_shipped_grid_has_no_command() -> None:
    """An arm of another package, or a kernel that no grid has."""
    slices = squares()
    for changes in (
        {"arm": "my-arm", "params": {"width": 32}},
        {"params": {"alpha": 0.5, "kernel_size": 11}},
    ):
        spec = a_spec(slices, halves(slices), **changes)
        assert command(written(spec, phantom=False), ARMS) is None


UNET: Mapping[str, Any] = {"kernel_size": 5, "alpha": 0.5}
CHANGES = "loss.pool_batch=true training.batch_size=8 network.channels=8,16,32"


@pytest.mark.usefixtures("few_phantoms")
@pytest.mark.parametrize(
    ("words", "seeds", "splits"),
    [
        ("--only arm=attention-unet --seeds 7,5 --splits 1,3", [5, 7], [1, 3]),
        ("--only arm=otsu --image-size 64", [452669, 1, 2], [1]),  # it has no seeds
        (f"--only arm=attention-unet --seeds 5 --set {CHANGES}", [452669, 1, 2], [1]),
        ("--only arm=otsu,attention-unet --seeds 5,6 --protocol patient", [5, 6], [1]),
    ],
)
def test_the_command_of_another_arm_makes_its_runs_under_the_same_terms(
    words: str, seeds: list[int], splits: list[int], tmp_path: Path
) -> None:
    """Of all that an identity holds, arm and parameters alone differ; fewer than two seeds, which
    would show no spread between trainings, become the three of the thesis's grid.
    """
    theirs = specs(["--data", "phantoms", *words.split()], tmp_path)
    asked = [written(spec, phantom=True) for spec in theirs]
    text = command_under_same_terms(asked, "unet", UNET, ARMS, tmp_path / "my runs")
    assert text is not None
    *_, out, folder = shlex.split(text)
    assert (out, folder) == ("--out", str(tmp_path / "my runs"))
    made = specs(shlex.split(text)[4:], tmp_path)
    assert [(spec.arm, spec.params) for spec in made] == [("unet", UNET)] * len(made)
    units = {spec.split_id.rpartition("-")[0] for spec in theirs}
    assert sorted((spec.split_id, spec.seed) for spec in made) == sorted(
        (f"{unit}-{split}", seed) for unit in units for split in splits for seed in seeds
    )
    terms = [
        {
            key: value
            for key, value in spec.canonical().items()
            if key not in ("arm", "params", "seed")
        }
        for spec in (*made, *theirs)
    ]
    on_first = [each for each in terms if each["split_fingerprint"] == theirs[0].split_fingerprint]
    assert all(each == on_first[0] for each in on_first)
    assert {spec.split_fingerprint for spec in made} == {s.split_fingerprint for s in theirs}


def test_the_usual_folder_is_not_named() -> None:
    slices = squares()
    spec = written(a_spec(slices, halves(slices)), phantom=False)
    assert command_under_same_terms([spec], "unet", UNET, ARMS) == (
        f"python -m benchmark reproduce --data {DATA} --only arm=unet kernel_size=5 alpha=0.5 "
        "--seeds 452669,1,2 --image-size 512"
    )
