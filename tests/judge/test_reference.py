"""The reference holds what the thesis prints and nothing else; every margin has its reason."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from benchmark.data.registry import CHENG_DATASET_ID
from benchmark.errors import SpecError
from benchmark.judge import reference
from benchmark.judge.comparable import NEEDS
from benchmark.judge.reference import load_reference, load_superseded, load_tolerances
from benchmark.splits.files import shipped as shipped_splits

PRINTED = {  # every number of the file and where the thesis prints it
    "dataset.slices": 708,  # 2.1
    "parameters_millions.3": 2.7,
    "parameters_millions.5": 7.4,  # table 2
    "parameters_millions.7": 14.4,
    "parameters_millions.9": 23.9,
    "split_sizes.train": 482,
    "split_sizes.val": 120,
    "split_sizes.test": 106,  # table 1
    "best_cell.kernel_size": 5,
    "best_cell.alpha": 0.5,
    "best_cell.seeds": 3,
    "best_cell.dice_mean": 0.898,  # 3
    **{f"grid.kernels.{i}": k for i, k in enumerate((3, 5, 7, 9))},  # 2.6
    **{
        f"grid.alphas.{i}": a for i, a in enumerate((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9))
    },  # 2.10
    "grid.seeds_per_cell": 3,
    "grid.third_seed": 452669,  # 3, figure 12
    "grid.trainings": 108,
    "grid.hours": 59.5,  # 3: 2 days, 11 hours and 30 minutes
    "context.chen-2021.dice_mean": 0.920,
    "context.chen-2021.dice_plus_minus": 0.009,  # 4
}
CLAIMS = ("best-cell", "extremes-worse", "small-kernels-mean", "small-kernels-spread",
          "tversky-no-gain", "alpha-direction", "small-tumours", "image-spread",
          "necrotic-centres", "vessels-excluded")  # fmt: skip


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, f"{path}.{key}".strip("."))
    else:
        yield path, value


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    return tomllib.loads((files("reference_results") / "thesis.toml").read_text(encoding="utf-8"))


def test_every_number_is_one_that_the_thesis_prints(shipped: dict[str, Any]) -> None:
    numbers = {path: value for path, value in leaves(shipped) if isinstance(value, int | float)}
    assert numbers == PRINTED


def test_no_dice_hides_in_the_words(shipped: dict[str, Any]) -> None:
    texts = ((path, value) for path, value in leaves(shipped) if isinstance(value, str))
    words = " ".join(value for path, value in texts if ".section" not in path)
    assert set(re.findall(r"\d+\.\d+", words)) <= {"0.1", "0.4", "0.5", "0.6", "0.9"}  # alphas
    assert "0.898" not in words
    assert "%" not in words


def test_one_cell_of_36_has_a_dice_and_chen_is_only_context(shipped: dict[str, Any]) -> None:
    holders = [path for path, _ in leaves(shipped) if "dice" in path]
    chen = "context.chen-2021.dice_"
    assert holders == ["best_cell.dice_mean", f"{chen}mean", f"{chen}plus_minus"]
    assert "never a bar" in shipped["context"]["chen-2021"]["note"]
    assert not any("context" in name or "chen" in name for name in vars(load_reference()))


def test_ten_claims_each_with_its_section() -> None:
    claims = load_reference().claims
    assert tuple(claim.id for claim in claims) == CLAIMS
    assert all(claim.statement.endswith(".") and claim.section[0] in "2345" for claim in claims)


def test_the_dataset_is_named_not_typed() -> None:
    assert load_reference().dataset_id == CHENG_DATASET_ID
    text = (files("reference_results") / "thesis.toml").read_text("utf-8")
    assert "dataset_id" not in tomllib.loads(text)["dataset"]


def test_the_grid_has_as_many_trainings_as_the_thesis_counts() -> None:
    thesis = load_reference()
    assert len(thesis.kernels) * len(thesis.alphas) * thesis.seeds_per_cell == thesis.trainings
    assert sum(thesis.split_sizes.values()) == 708


def test_margins_have_reasons_and_known_needs() -> None:
    rules = load_tolerances()
    for margin in (rules.parameters, rules.split_sizes, rules.dice):
        assert len(margin.reason) > 30
        assert set(margin.needs) <= set(NEEDS)
        assert margin.required
    assert set(NEEDS) == {*rules.parameters.needs, *rules.split_sizes.needs, *rules.dice.needs}


def test_the_named_splits_are_shipped_with_the_thesis_sizes_and_no_test_slice_in_common() -> None:
    tested: set[int] = set()
    for name in load_tolerances().dice.splits:
        stored = shipped_splits()[name]
        split = stored.split
        sizes = {name: len(numbers) for name, numbers in split.sets.items()}
        assert sizes == load_reference().split_sizes
        assert stored.dataset_id == CHENG_DATASET_ID
        assert not tested & set(split.test)
        tested |= set(split.test)


def test_every_rule_says_why_and_points_at_what_exists() -> None:
    """The reference of the contrasts is the one printed cell; sizes ascend."""
    rules, cell = load_tolerances(), load_reference().best_cell
    for rule in (rules.contrasts, rules.split_effect, rules.sizes, rules.claims, rules.precision):
        assert len(rule.reason) > 30
    assert rules.contrasts.reference == reference.Key(cell.arm, cell.kernel_size, cell.alpha)
    assert rules.sizes.edges_mm2[0] < rules.sizes.edges_mm2[1]


@pytest.mark.parametrize("load", [load_reference, load_tolerances, load_superseded])
def test_a_damaged_file_is_named(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "_read", lambda name: {"protocol": "thesis"})
    with pytest.raises(SpecError, match=r"reference_results/\w+\.toml.*restore"):
        load()
