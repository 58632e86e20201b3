"""Estimates, from numbers derived by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_forms import small_slices, spec_of
from hypothesis import given
from hypothesis import strategies as st

from baselines import ARMS
from benchmark.arm import ArmEntry
from benchmark.data.slices import SliceSet
from benchmark.planning.time_estimate import (
    GUESS,
    OURS,
    CostKey,
    Sources,
    TimeEstimate,
    TimingRecord,
    cost,
    declared_gflop,
    estimate,
    left,
    remaining,
    sources_text,
    span,
    states,
    timing_record,
    timing_records,
)
from benchmark.protocol import Recipe, override
from benchmark.runs.run_folder import RunState
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import make

THESIS = override(Recipe(), "thesis", {})
NOWHERE: Sources = {"runs": [], OURS: []}
LIKE, OTHER = "like cells in runs", "other cells in runs"
SLICES = small_slices()
# milliseconds of one core an image, a batch of 4, by size and kernel, which `cost` was fitted to
# (measured once, by hand, on one machine: data of a fit, not a speed that any page states)
CPU_MS = {
    64: {3: 10.3, 5: 18.2, 7: 40.0, 9: 88.8},
    128: {3: 19.8, 5: 34.9, 7: 65.0, 9: 112.1},
    256: {3: 56.6, 5: 103.1, 7: 158.6, 9: 262.5},
}


def spec(slices: SliceSet, arm: str = "unet", recipe: Recipe = THESIS, **more: object) -> RunSpec:
    return spec_of(arm, ARMS[arm], slices, make(slices, recipe.split, 1), recipe, **more)  # type: ignore[arg-type]


def of(cell: RunSpec, sources: Sources = NOWHERE, sharing: float = 1.0) -> TimeEstimate:
    """From its beginning, of 96 images an epoch."""
    return estimate(cell, 96, ARMS[cell.arm], sources, sharing)


def priced(kernel: float, size: float = 1 / 64) -> float:
    """0.885 k^2 GFLOP at 512 x 512; what each pixel costs besides, and each image."""
    whole = 0.885 * kernel**2
    return size * (whole + 6.7) + 0.05 * (whole + 5)


def taught(by: RunSpec, per_epoch: float, epochs: int | None = 20, **more: Any) -> TimingRecord:
    own = {"gflop": declared_gflop(by, ARMS[by.arm]), **more}
    return TimingRecord(CostKey.of(by.canonical()), 1000.0, per_epoch, epochs, **own)


def test_without_a_finished_cell_the_estimate_is_a_guess_that_says_so(slices: SliceSet) -> None:
    """96 images, 30 epochs, 200 a second, and 1 s for a cell; 78.3 GFLOP are the attention's."""
    assert of(spec(slices)) == TimeEstimate(pytest.approx(priced(5) * 96 * 30 / 200 + 1), 30, GUESS)
    attention = of(spec(slices, "attention-unet"))
    assert attention.seconds == pytest.approx(priced(math.sqrt(78.3 / 0.885)) * 96 * 30 / 200 + 1)
    bigger = of(spec(slices, shape=(512, 512), kernel_size=9))
    assert bigger.seconds == pytest.approx(priced(9, 1) * 96 * 30 / 200 + 1)


def test_cells_at_once_on_a_device_slow_down_all_but_what_was_learnt_under_them(
    slices: SliceSet,
) -> None:
    own = {"runs": [taught(spec(slices), 3)]}
    assert of(spec(slices), own, sharing=2) == of(spec(slices), own)
    shared, alone = of(spec(slices), sharing=2).seconds, of(spec(slices)).seconds
    assert shared is not None
    assert alone is not None
    assert shared - 1 == pytest.approx(2 * (alone - 1))


def test_a_like_cell_tells_seconds_and_epochs_directly(slices: SliceSet) -> None:
    """Another alpha and seed are alike: the median of 2, 3, 10 s, the mean of 10, 20, 60 and 30."""
    seen = [taught(spec(slices, alpha=0.9, seed=2), s, n) for s, n in ((2, 10), (10, 60), (3, 20))]
    other = taught(spec(slices, kernel_size=9), 99, 99)
    got = of(spec(slices, alpha=0.1), {"runs": [*seen, other], OURS: []})
    assert got == TimeEstimate(3 * 30 + 1, 30, LIKE, own=True, cells=3)


def test_else_those_of_the_nearest_cost_do_best_of_that_precision(slices: SliceSet) -> None:
    """A 9x9 as the 7x7, by whose cost it is dearer, whatever a 3x3 took."""
    bf16 = override(THESIS, "bf16", {"training.precision": "bf16"})
    strangers = [taught(spec(slices, kernel_size=3), 99), taught(spec(slices, recipe=bf16), 99)]
    sources = {"runs": [*strangers, taught(spec(slices, kernel_size=7), 5)]}
    got = of(spec(slices, kernel_size=9), sources)
    seconds, epochs = 5 * priced(9) / priced(7), (30 + 3 * 20) / 4
    assert got == TimeEstimate(pytest.approx(seconds * epochs + 1), epochs, OTHER, True, 1)


def test_gflop_as_declared_and_as_counted_are_of_one_cost(slices: SliceSet) -> None:
    """A cell under way has the former, a finished one the latter; the mean of 4 and 6 s counts."""
    seven = spec(slices, kernel_size=7)
    counted = taught(seven, 6, gflop=0.885 * 49 / 64 * 1.001)
    sources = {"runs": [taught(seven, 4, None), counted]}
    got = of(spec(slices, kernel_size=9), sources)
    assert got == TimeEstimate(
        pytest.approx(5 * priced(9) / priced(7) * 25 + 1, rel=0.001), 25, OTHER, True, 2
    )


def test_else_all_trainings_of_the_slices_do_and_only_then_our_records(slices: SliceSet) -> None:
    large = taught(spec(slices, kernel_size=9, shape=(128, 128)), 5)
    ours = {OURS: [taught(spec(slices), 7, gflop=None, machine="2 cores of a kind")]}
    seconds = 5 * priced(5) / priced(9, 1 / 16)
    got = of(spec(slices), {"runs": [large], **ours})
    assert got.source == OTHER
    assert got.epochs == (25 + 20) / 2
    assert got.seconds == pytest.approx(seconds * got.epochs + 1)
    got = of(spec(slices), {"runs": [], **ours})
    assert got == TimeEstimate(7 * 25 + 1, 25, "our records: 2 cores of a kind")


@pytest.mark.parametrize("size", CPU_MS)
def test_the_cost_tells_what_was_measured_within_a_factor_of_two(size: int) -> None:
    """At 12 ms for each unit, which the GFLOP alone tell within a factor of nine only."""
    key = CostKey("unet", (size, size), "fp32")
    for kernel, ms in CPU_MS[size].items():
        got = cost(key, 0.885 * kernel**2 * size**2 / 512**2, has_epochs=True)
        assert got == pytest.approx(priced(kernel, size**2 / 512**2))
        assert 0.5 < 12 * priced(kernel, size**2 / 512**2) / ms < 2


@given(
    overhead=st.floats(4, 12),
    rate=st.floats(5, 5000),
    size=st.sampled_from(range(128, 513, 32)),
    first=st.integers(0, 11),
    mean=st.integers(20, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_after_one_cell_the_rest_of_a_grid_is_known_within_a_factor_of_two(
    overhead: float, rate: float, size: int, first: int, mean: int, seed: int
) -> None:
    """On a machine of any speed whose pixels cost a hidden number of GFLOP beside the network's.

    Four kernels and three alphas; epochs lie a fifth around a hidden mean, times 3 % around theirs.
    """
    rng = np.random.default_rng(seed)
    cells = [
        spec(SLICES, shape=(size, size), kernel_size=kernel, alpha=alpha)
        for kernel in (3, 5, 7, 9)
        for alpha in (0.1, 0.5, 0.9)
    ]
    took = [
        (float(96 * size**2 / 512**2 * (0.885 * k**2 + overhead) / rate * rng.uniform(0.97, 1.03)),
         round(mean * rng.uniform(0.8, 1.2)))
        for k in (cell.params["kernel_size"] for cell in cells)
    ]  # fmt: skip
    own = taught(cells[first], *took[first])
    others = [i for i in range(12) if i != first]
    told = sum(of(cells[i], {"runs": [own]}).seconds or 0 for i in others)
    truth = sum(took[i][0] * took[i][1] for i in others)
    assert truth / 2 < told - len(others) < truth * 2


def test_the_cost_of_an_arm_that_declares_none_is_that_of_its_finished_cells(
    slices: SliceSet,
) -> None:
    """Recorded as 3 GFLOP at 64 x 64, it is 12 at 128 x 128."""
    silent = ArmEntry("elsewhere:Arm", ARMS["unet"].defaults)
    strange, known = spec(slices, kernel_size=11), taught(spec(slices, shape=(128, 128)), 5)
    assert estimate(strange, 96, silent, {"runs": [known]}) == TimeEstimate(None, 25)
    counted = [known, taught(strange, 1.0, 20, gflop=3.0)]
    bigger = estimate(spec(slices, kernel_size=11, shape=(128, 128)), 96, silent, {"runs": counted})
    assert bigger.seconds == pytest.approx(
        1.0 * (12 + 6.7 / 16 + 0.05 * (192 + 5)) / (3 + 6.7 / 64 + 0.05 * (192 + 5))
        * bigger.epochs + 1  # type: ignore[operator]
    )  # fmt: skip


def test_a_training_that_the_protocol_cut_tells_epochs_only_under_that_limit(
    slices: SliceSet,
) -> None:
    """12 epochs at a limit of 12; at 200, how many it would have had is as open as before."""
    sources = {"runs": [taught(spec(slices), 2, 12, cut=True)]}
    short = override(THESIS, "short", {"training.max_epochs": 12})
    assert of(spec(slices), sources).epochs == 30
    assert of(spec(slices, recipe=short), sources).epochs == 12
    long = {"runs": [taught(spec(slices), 2, 200, cut=True)] * 3}
    assert of(spec(slices), long).epochs == (30 + 600) / 4


def test_another_network_is_not_alike(slices: SliceSet) -> None:
    thin = override(THESIS, "thin", {"network.channels": [4, 8]})
    assert of(spec(slices), {"runs": [taught(spec(slices, recipe=thin), 2)]}).source == OTHER


def test_no_more_epochs_than_the_protocol_allows(slices: SliceSet) -> None:
    short = override(THESIS, "short", {"training.max_epochs": 4})
    got = of(spec(slices, recipe=short), {"runs": [taught(spec(slices), 2)]})
    assert got.seconds == 2 * 4 + 1


@pytest.mark.parametrize(
    ("behind", "rest"), [(1, 19), (14, 6), (15, 5), (19, 5), (40, 5), (196, 4), (200, 0)]
)
def test_of_a_cell_that_was_begun_only_the_expected_rest_counts(behind: int, rest: int) -> None:
    """20 epochs are expected; at least the patience of 5 more, never more than max_epochs, 200."""
    whole = TimeEstimate(2.0 * 20, 20, LIKE)
    got = remaining(whole, THESIS.training, [3.0] * behind)
    assert got == TimeEstimate(3.0 * rest, rest, "their own epochs", own=True)


def test_the_pace_of_a_cell_that_was_begun_is_its_median() -> None:
    whole = TimeEstimate(80.0, 40, GUESS)
    assert remaining(whole, THESIS.training, [9.0, 1.0, 2.0]).seconds == 2.0 * (40 - 3)
    assert remaining(whole, THESIS.training, []) == whole


def test_the_time_of_an_arm_without_epochs(slices: SliceSet) -> None:
    """0.05 s an image of 512 x 512 where nothing is known; else as like cells, else by pixels."""
    otsu, small = spec(slices, "otsu", shape=(512, 512)), spec(slices, "otsu")
    assert of(otsu) == TimeEstimate(pytest.approx(0.05 * 96 + 1), None, GUESS)
    assert of(small) == TimeEstimate(pytest.approx(0.05 * 96 / 64 + 1), None, GUESS)
    nearer = TimingRecord(CostKey.of(spec(slices, "threshold").canonical()), 99.0)
    records = [TimingRecord(CostKey.of(otsu.canonical()), s) for s in (8.0, 2.0, 3.0)]
    sources = {"runs": [*records, nearer]}
    assert of(otsu, sources) == TimeEstimate(4.0, None, LIKE, True, 3)
    assert of(small, sources) == TimeEstimate(3.0 / 64 + 1, None, OTHER, True, 3)


def finished(root: Path, by: RunSpec, name: str = "a", **changes: Any) -> None:
    """A finished run's folder on 24 slices; changes go into: fit, timing, spec, environment."""
    timing = {"fit_seconds": 40.0, "predict_seconds": 2.0, "seconds_per_epoch": 4.0}
    timing["train_gflop_per_image"] = 20.0
    fit = {"stopped_early": True, "stop_epoch": 9} | changes.get("fit", {})
    texts = {
        "spec": {"spec": by.canonical() | changes.get("spec", {})},
        "timing": timing | changes.get("timing", {}),
        "result": {"fit": fit, "dataset": {"slices": 24} | changes.get("dataset", {})},
        "environment": {"gpu": None, "cores": 2, "threads": 1, "processor": "AMD EPYC"}
        | changes.get("environment", {}),
    }
    (root / name).mkdir(parents=True)
    for file, content in texts.items():
        (root / name / f"{file}.json").write_text(json.dumps(content))


def test_timing_records_are_read_off_finished_folders(slices: SliceSet, tmp_path: Path) -> None:
    unet, otsu = spec(slices), spec(slices, "otsu")
    finished(tmp_path, unet)
    finished(tmp_path, unet, "b", fit={"stopped_early": False})
    without = {"seconds_per_epoch": None, "train_gflop_per_image": None}
    finished(tmp_path, otsu, "c", timing=without)
    (tmp_path / "unfinished").mkdir()
    key = CostKey.of(unet.canonical())
    assert timing_records(tmp_path, 24) == [
        TimingRecord(key, 42.0, 4.0, 10, 20.0),
        TimingRecord(key, 42.0, 4.0, 10, 20.0, cut=True),
        TimingRecord(CostKey.of(otsu.canonical()), 42.0),
    ]
    assert timing_records(tmp_path / "nothing", 24) == []


def test_those_of_other_slices_are_told_for_as_many(slices: SliceSet, tmp_path: Path) -> None:
    """Half as many slices take half the time, whatever is in them; no less work an image."""
    finished(tmp_path, spec(slices), spec={"dataset_id": "elsewhere"})
    (record,) = timing_records(tmp_path, 12)
    assert record == TimingRecord(CostKey.of(spec(slices).canonical()), 21.0, 2.0, 10, 20.0)


@pytest.mark.parametrize(
    ("environment", "share", "machine"),
    [
        ({}, 0.5, "2 cores of AMD EPYC"),
        ({"threads": 2}, 1, "2 cores of AMD EPYC"),
        ({"threads": 4}, 1, "2 cores of AMD EPYC"),
        ({"gpu": "NVIDIA A100"}, 1, "NVIDIA A100"),
    ],
)
def test_a_record_of_ours_is_told_for_the_whole_machine_that_it_names(
    slices: SliceSet, tmp_path: Path, environment: dict[str, Any], share: float, machine: str
) -> None:
    finished(tmp_path, spec(slices), environment=environment)
    own, ours = (timing_record(tmp_path / "a", 24, ours=ours) for ours in (False, True))
    assert own is not None
    assert ours == replace(own, seconds=42 * share, per_epoch=4 * share, machine=machine)


@pytest.mark.parametrize(
    "changes",
    [
        *({"dataset": {"slices": slices}} for slices in (0, None)),
        {"spec": {"params": None}},
        *({"timing": {"seconds_per_epoch": pace}} for pace in (0.0, -1.0, "fast")),
        *({"timing": {"fit_seconds": seconds}} for seconds in (None, float("nan"))),
        *({"spec": {"protocol": {}}}, {"timing": {"train_gflop_per_image": "many"}}),
        *({"fit": {"stop_epoch": None}}, {"environment": {"cores": None}}),
        *("spec.json", "timing.json", "result.json", "environment.json"),
    ],
    ids=str,
)
def test_damaged_folders_teach_nothing(
    slices: SliceSet, tmp_path: Path, changes: dict[str, Any] | str
) -> None:
    finished(tmp_path, spec(slices), **({} if isinstance(changes, str) else changes))
    if isinstance(changes, str):
        (tmp_path / "a" / changes).write_text("{")
    assert timing_records(tmp_path, 24, ours=True) == []


def test_what_is_left() -> None:
    seconds = (1.0, 2.0, None, 4.0)
    assert left(TimeEstimate(s) for s in seconds) == (7.0, 1)
    assert left([]) == (0, 0)


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ([3, 3], "3 like cells in runs"),
        ([1], "1 like cell in runs"),
        ([2, 9, 3], "2 to 9 like cells in runs"),
        ([3, None, 3], "3 like cells in runs (for 2), a guess (for 1)"),
        ([], ""),
    ],
)
def test_where_it_was_learnt_is_told_with_numbers_of_cells(
    cells: Sequence[int | None], text: str
) -> None:
    """None: a guess. What is not known was learnt nowhere."""
    estimates = [
        TimeEstimate(1, 1, LIKE, True, n) if n else TimeEstimate(1, 1, GUESS) for n in cells
    ]
    assert sources_text([*estimates, TimeEstimate(None, 1)]) == text


def test_states_are_read_off_the_folders(slices: SliceSet, tmp_path: Path) -> None:
    otsu, background = spec(slices, "otsu"), spec(slices, "background")
    (tmp_path / otsu.run_id).mkdir()
    (tmp_path / otsu.run_id / "result.json").touch()
    assert states([otsu, background], tmp_path) == [RunState.DONE, RunState.PENDING]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.5, "1 min 0 s"), (60, "1 min 0 s"),
     (3599.4, "59 min 59 s"), (3600, "1 h 0 min"), (108 * 3600, "108 h 0 min")],
)  # fmt: skip
def test_a_time_in_words(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize("says", ["many", None, float("nan"), float("inf"), -1.0, 0])
def test_an_arm_that_says_no_number_of_its_cost_says_nothing(slices: SliceSet, says: Any) -> None:
    """Nor does one that fails to: its runs are worth more than a guess at their time."""

    def broken(params: Any) -> Any:
        return params["no such"]

    for gflop in (lambda params: says, broken):
        assert declared_gflop(spec(slices), replace(ARMS["unet"], gflop=gflop)) is None
