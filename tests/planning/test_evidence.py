"""The plan of the evidence as data: its order, what of it is done, the commands that say so."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import costly, law

from baselines import ARMS
from benchmark.cli.options import request
from benchmark.cli.parser import parser
from benchmark.errors import SpecError
from benchmark.planning.evidence import EvidencePlan, commands, load_plan, plan_of, products
from benchmark.planning.grid import expand, load_grid
from benchmark.planning.request import Request
from benchmark.protocol import load_recipe
from benchmark.runs.collect import collect, reproduction_folder
from benchmark.runs.reader import read_spec
from benchmark.runs.run_folder import RunFolder
from benchmark.runs.spec import RunSpec
from benchmark.splits import files

PLAN = load_plan()
RUNS = collect(reproduction_folder()).runs


@cache
def shipped() -> dict[str, RunSpec]:
    """The spec of every record shipped here, by run_id."""
    root = reproduction_folder()
    return {run_id: read_spec(RunFolder(root, run_id))[0] for run_id in RUNS["run_id"]}


def digests(asked: Request) -> list[str]:
    """What `reproduce` would run with these options on the slices of the records, by digest."""
    grid = load_grid(asked.grid or "thesis")
    recipe = load_recipe(asked.protocol or grid.protocol, {**grid.overrides, **asked.overrides})
    unit, side = recipe.split.unit, asked.image_size or 512
    splits = [files.shipped()[f"by-{unit}-{n}"].split for n in asked.splits or grid.splits]
    data = next(iter(shipped().values()))
    grid = replace(grid, seeds=asked.seeds or grid.seeds)
    own: dict[str, Any] = {"dataset_id": data.dataset_id, "shape": (side, side)}
    own |= {"content_fingerprint": data.content_fingerprint, "only": asked.only}
    return [spec.digest for spec in expand(grid, ARMS, recipe, splits, **own)]


def of_words(words: Sequence[str]) -> list[str]:
    return digests(request(parser().parse_args(["reproduce", *words])))


def of_runs(runs: pd.DataFrame) -> set[str]:
    return {shipped()[run_id].digest for run_id in runs["run_id"]}


def test_the_commands_behind_the_records_make_the_records_and_nothing_else() -> None:
    made = [of_words(words) for words in commands(PLAN, RUNS)]
    assert set(itertools.chain(*made)) == of_runs(RUNS)
    whole = [step.words for step in PLAN.steps]
    places = [whole.index(words) for words in commands(PLAN, RUNS) if words in whole]
    assert places == sorted(places)


@settings(costly, max_examples=8)
@given(st.sets(st.integers(0, len(RUNS) - 1), min_size=1))
def test_any_part_of_the_records_is_told_by_commands_that_make_that_part(rows: set[int]) -> None:
    part = RUNS.iloc[sorted(rows)]
    assert set(itertools.chain(*map(of_words, commands(PLAN, part)))) == of_runs(part)


def test_no_command_stands_where_nothing_was_run() -> None:
    assert commands(PLAN, RUNS[:0]) == []
    for term, value in (("phantom", True), ("source", "0" * 64), ("height", 300)):
        assert commands(PLAN, RUNS.assign(**{term: value})) == []


def test_the_words_of_a_step_are_its_options() -> None:
    """Words typed again ask for the same runs as the step carried out on slices."""
    for step in PLAN.steps:
        typed, own = request(parser().parse_args(["reproduce", *step.words])), step.of(Request())
        assert digests(typed) == digests(own)
        assert len(digests(own)) > 0


cell = st.fixed_dictionaries(
    {"split": st.sampled_from([1, 2]), "seed": st.sampled_from([1, 2, 3])}
    | {"arm": st.just("unet"), "alpha": st.sampled_from([0.1, 0.5, 0.9])}
) | st.fixed_dictionaries({"split": st.just(1), "seed": st.just(1), "arm": st.just("otsu")})


@law
@given(st.lists(cell, min_size=1, unique_by=lambda cell: tuple(cell.items())))
def test_products_are_the_cells_each_once(cells: list[dict[str, Any]]) -> None:
    found = [
        tuple(zip(chosen, values, strict=True))
        for chosen in products(cells)
        for values in itertools.product(*chosen.values())
    ]
    assert sorted(found, key=str) == sorted((tuple(cell.items()) for cell in cells), key=str)


def test_a_full_product_is_one() -> None:
    cells = [{"seed": s, "kernel": k} for s in (1, 2) for k in (3, 5, 7)]
    assert products(cells) == [{"seed": [1, 2], "kernel": [3, 5, 7]}]
    assert products(cells[:-1]) == [
        {"seed": [1], "kernel": [3, 5, 7]},
        {"seed": [2], "kernel": [3, 5]},
    ]


STEP: Mapping[str, Any] = {"purpose": "why", "fixed": date(2026, 11, 30), "known_from": "here"}
FIRST = {**STEP, "only": {"alpha": [0.5]}, "seeds": [1, 2], "set": {"training.patience": 9}}
SECOND = {**STEP, "grid": "baselines", "image_size": 256, "splits": [1, 3]}


def plan(*steps: Mapping[str, Any]) -> EvidencePlan:
    return plan_of({"steps": [deepcopy(dict(step)) for step in steps]})


def test_the_hash_is_of_what_is_run_and_of_its_order_and_of_no_prose() -> None:
    own = plan(FIRST, SECOND).hash
    assert re.fullmatch(r"[0-9a-f]{12}", own)
    prose = {"purpose": "other words", "fixed": date(2027, 1, 1), "known_from": "there"}
    prose |= {"choice": "a name"}
    assert plan({**FIRST, **prose}, {**SECOND, **prose}).hash == own
    others = [
        plan(SECOND, FIRST),
        plan(FIRST),
        plan(FIRST, SECOND, SECOND),
        plan({**FIRST, "seeds": [2, 1]}, SECOND),
        plan({**FIRST, "set": {"training.patience": 8}}, SECOND),
        plan({**FIRST, "only": {"alpha": [0.4]}}, SECOND),
        plan(FIRST, {**SECOND, "splits": [1]}),
        plan(FIRST, {**SECOND, "image_size": 128}),
        plan(FIRST, {**SECOND, "grid": "quick"}),
        plan(FIRST, {**SECOND, "protocol": "patient"}),
    ]
    assert len({own, *(other.hash for other in others)}) == len(others) + 1


WRONG = [
    ({"seed": [1]}, "unknown key 'seed'; known: "),
    ({"fixed": "2026-11-30"}, "fixed = '2026-11-30' must be a day"),
    ({"seeds": "1"}, "seeds = '1' must be a list of whole numbers"),
    ({"seeds": [1, 1]}, "seeds 1, 1: each must be there once"),
    ({"splits": []}, "splits = [] must be a list of whole numbers"),
    ({"splits": [True]}, "must be a list of whole numbers"),
    ({"image_size": "256"}, "image_size = '256' must be a whole number"),
    ({"grid": "thesi"}, "unknown grid 'thesi'"),
    ({"protocol": "thesi"}, "unknown protocol 'thesi'"),
    ({"only": {"kernel": [3]}}, "only: unknown key 'kernel'"),
    ({"only": {"alpha": [0.55]}}, "only: unknown alpha 0.55"),
    ({"set": {"training.patienc": 9}}, "unknown key in [training] 'patienc'"),
    ({"set": {"training.patience": "long"}}, "training.patience"),
]


@pytest.mark.parametrize(("change", "says"), WRONG)
def test_what_is_wrong_in_a_step_is_one_line_that_names_it(
    change: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecError) as caught:
        plan(FIRST, {**STEP, **change})
    text = str(caught.value)
    assert text.startswith("reference_results/plan.toml: step 2: ")
    assert says in text
    assert "\n" not in text


@pytest.mark.parametrize("lost", STEP)
def test_a_step_says_what_for_and_since_when(lost: str) -> None:
    with pytest.raises(SpecError, match=f"step 1: '{lost}' is missing"):
        plan({key: value for key, value in FIRST.items() if key != lost})


def test_a_plan_without_steps_is_refused() -> None:
    with pytest.raises(SpecError, match="has no"):
        plan()


def test_steps_are_added_at_the_end() -> None:
    """Later days never stand before earlier ones, in the steps and in the rules."""
    for days in ([step.fixed for step in PLAN.steps], [day for day, _ in PLAN.rules]):
        assert days == sorted(days)
        assert len(days) > 2
