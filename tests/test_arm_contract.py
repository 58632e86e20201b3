"""The contract that every arm keeps: one suite over all built-in arms and a plug-in."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import FAULTY, OUTCOME, small_recipe, small_slices, spec_of
from numpy.typing import NDArray
from plugin_arm import Dimmer

import baselines
from baselines import ARMS
from benchmark.arm import Arm, ArmEntry, Cases, ClickArm, FitReport, Keepable, RunContext
from benchmark.errors import ArmError
from benchmark.preprocessing.nyul import Landmarks
from benchmark.runs.model_file import ModelState, pack, unpack
from benchmark.runs.prepared_data import PreparedData
from benchmark.scoring.evaluate import simulated_clicks
from benchmark.splits.split import make

ENTRIES: dict[str, ArmEntry] = {**ARMS, "plug-in": ArmEntry.of(Dimmer)}
LEARN_NOTHING = {"background", "otsu", "plug-in"}  # these predict without having been fitted
TRAINED = [name for name, entry in ENTRIES.items() if not entry.deterministic]
every_arm = pytest.mark.parametrize("name", ENTRIES)


@dataclass(frozen=True)
class Fitted:
    """A fitted arm, what it was fitted on, and the random states around fitting and predicting."""

    arm: Any
    train: Cases
    test: Cases
    maps: NDArray[np.float32]
    untouched: bool  # the arrays it was given
    quiet: bool  # the global random generators

    def predict(self, cases: Cases) -> NDArray[np.float32]:
        return ask(self.arm, cases)


def build(name: str) -> Any:
    return Dimmer() if name == "plug-in" else ENTRIES[name].load()()


def ask(arm: Any, cases: Cases) -> Any:
    clicks = [simulated_clicks(cases.masks)] if arm.needs_click else []
    return arm.predict(cases.images, *clicks)


def take(cases: Cases, rows: Any) -> Cases:
    images, masks, numbers = cases.images[rows], cases.masks[rows], cases.slice_id[rows]
    return replace(cases, grey=images, masks=masks, slice_id=numbers)


def random_states() -> list[Any]:
    _, words, *rest = np.random.get_state()  # noqa: NPY002 - the generator that nobody may touch
    return [random.getstate(), words.tobytes(), *rest, torch.get_rng_state().tolist()]


@cache
def tiny() -> tuple[Cases, Cases, Cases]:
    slices, recipe = small_slices(), small_recipe()
    split = make(slices, recipe.split, 1)
    spec, bench = spec_of("any", FAULTY, slices, split, recipe), PreparedData(slices, {}, {})
    train, val, test = (
        bench.cases(spec, split, rows) for rows in (split.train, split.val, split.test)
    )
    return train, val, test


@cache
def fitted(name: str, seed: int = 1, again: int = 0) -> Fitted:
    """Fit and predict once for all tests; `again` counts independent repetitions."""
    train, val, test = tiny()
    arrays = [a for cases in tiny() for a in (cases.images, cases.masks, cases.slice_id)]
    before = [array.copy() for array in arrays]
    states = random_states()
    arm = build(name)
    report = arm.fit(train, val, RunContext(small_recipe(), seed))
    maps = ask(arm, test)
    quiet = random_states() == states
    untouched = all(np.array_equal(a, b) for a, b in zip(before, arrays, strict=True))
    assert isinstance(report, FitReport)
    return Fitted(arm, train, test, maps, untouched, quiet)


def test_the_table_holds_every_module_of_the_folder() -> None:
    folder = Path(str(baselines.__file__)).parent
    modules = {f"baselines.{path.stem}" for path in folder.glob("[!_]*.py")}
    assert {entry.target.partition(":")[0] for entry in ARMS.values()} == modules


@pytest.mark.parametrize("name", ARMS)
def test_an_entry_says_what_its_class_says(name: str) -> None:
    entry, described = ARMS[name], ArmEntry.of(ARMS[name].load())
    assert described == entry
    for key, value in described.defaults.items():
        assert type(value) is type(entry.defaults[key])


@every_arm
def test_an_arm_has_the_methods_and_flags(name: str) -> None:
    arm, entry = build(name), ENTRIES[name]
    assert isinstance(arm, ClickArm if entry.needs_click else Arm)
    assert (arm.deterministic, arm.needs_click) == (entry.deterministic, entry.needs_click)


@every_arm
def test_maps_are_probabilities_of_every_pixel(name: str) -> None:
    one = fitted(name)
    assert isinstance(one.maps, np.ndarray)
    assert (one.maps.dtype, one.maps.shape) == (np.dtype(np.float32), one.test.images.shape)
    assert np.isfinite(one.maps).all()
    assert one.maps.min() >= 0
    assert one.maps.max() <= 1


@every_arm
def test_asked_twice_it_answers_the_same(name: str) -> None:
    one = fitted(name)
    np.testing.assert_array_equal(one.predict(one.test), one.maps)


@every_arm
def test_an_answer_does_not_depend_on_the_other_images(name: str) -> None:
    """Alone, or any number in any order."""
    one = fitted(name)
    for rows in ([0], [1], [2], [3], [3, 0, 2, 1, 0]):
        maps = one.predict(take(one.test, np.array(rows)))
        np.testing.assert_allclose(maps, one.maps[rows], atol=1e-5)
    assert one.predict(one.train).shape == one.train.images.shape


@every_arm
def test_predicting_before_fitting(name: str) -> None:
    """An arm that learns raises; one that learns nothing answers as it does after fitting."""
    one = fitted(name)
    if name in LEARN_NOTHING:
        np.testing.assert_array_equal(ask(build(name), one.test), one.maps)
    else:
        with pytest.raises(ArmError, match="before fit"):
            ask(build(name), one.test)


@every_arm
def test_what_it_is_given_and_the_global_random_generators_stay_as_they_were(name: str) -> None:
    assert fitted(name).untouched
    assert fitted(name).quiet


@pytest.mark.parametrize("name", [name for name in ENTRIES if name not in TRAINED])
def test_a_deterministic_arm_knows_no_seed(name: str) -> None:
    np.testing.assert_array_equal(fitted(name, seed=2).maps, fitted(name).maps)


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    assert fitted(name, again=1).maps.tobytes() == fitted(name).maps.tobytes()


@pytest.mark.parametrize("name", TRAINED)
def test_another_seed_gives_another_network(name: str) -> None:
    assert np.abs(fitted(name, seed=2).maps - fitted(name).maps).max() > 1e-4


@pytest.mark.parametrize("name", ARMS)
def test_what_was_kept_gives_the_same_bits(name: str) -> None:
    """state, a file, restore into a fresh arm: predictions bit for bit, no generator touched."""
    one, fresh = fitted(name), build(name)
    assert isinstance(one.arm, Keepable)
    landmarks = Landmarks((1.0, 99.0), (0.0, 100.0))
    state = ModelState(one.arm.state(), landmarks, (64, 64), (1.0, 1.0), 16, 5)
    packed = pack(state, name)
    states = random_states()
    fresh.restore(unpack(packed, Path("model.pt")).state, RunContext(small_recipe(), seed=0))
    assert random_states() == states
    assert ask(fresh, one.test).tobytes() == one.maps.tobytes()


@pytest.mark.parametrize("name", TRAINED)
def test_a_network_has_no_state_before_it_is_fitted(name: str) -> None:
    with pytest.raises(ArmError, match="before fit"):
        build(name).state()


@pytest.mark.parametrize("name", [name for name in ARMS if name not in LEARN_NOTHING])
def test_a_state_of_another_arm_is_not_taken(name: str) -> None:
    with pytest.raises((ArmError, RuntimeError)):
        build(name).restore({"something": 1.0}, RunContext(small_recipe(), seed=0))


def test_no_arm_was_only_skipped(request: pytest.FixtureRequest) -> None:
    """Of the arms that this session was asked to test; without a choice, these are all."""
    here: list[Any] = [item for item in request.session.items if item.path == request.node.path]
    of_arms = [item for item in here if hasattr(item, "callspec")]
    tested = [item for item in of_arms if item.stash.get(OUTCOME, "skipped") != "skipped"]
    asked, answered = (
        {item.callspec.params["name"] for item in items} for items in (of_arms, tested)
    )
    assert answered == asked
