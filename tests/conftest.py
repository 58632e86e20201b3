"""What every test runs under: one thread, no data found by accident; the bench they share."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # before anything imports torch

import pytest
from bench_forms import FAULTY, OUTCOME, small_recipe, small_slices, spec_of
from slurm_forms import Slurm, lacking, slurm_in

from benchmark.arm import Cases
from benchmark.data import phantoms
from benchmark.data.slices import SliceSet
from benchmark.protocol import Recipe
from benchmark.runs.prepared_data import PreparedData
from benchmark.splits.split import make


@pytest.fixture(scope="session", autouse=True)
def _nothing_found_by_accident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No data from the environment, no download, no settings of the user, nor in subprocesses."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MENINGIOMA_DATA", raising=False)
        for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
            patch.setenv(name, str(home))
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            patch.setenv(name, str(home / name.lower()))
        yield


@pytest.fixture(scope="session")
def slices() -> SliceSet:
    """24 phantoms of 8 patients, 64 x 64: 16 train, 4 validate, 4 test where split by image."""
    return small_slices()


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """The thesis's recipe with a network of few channels, two epochs, batches of four."""
    return small_recipe()


@pytest.fixture(scope="session")
def cases(slices: SliceSet, recipe: Recipe) -> dict[str, Cases]:
    """The slices of "train", "val" and "test" as an arm gets them."""
    split = make(slices, recipe.split, 1)
    spec, bench = spec_of("any", FAULTY, slices, split, recipe), PreparedData(slices, {}, {})
    return {
        part: bench.cases(spec, split, getattr(split, part)) for part in ("train", "val", "test")
    }


@pytest.fixture
def few_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The word "phantoms" means the slices of `slices`, in this process."""
    monkeypatch.setattr(phantoms, "make", partial(phantoms.make, patients=8, slices_per_patient=3))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_phantoms: None) -> None:
    """In an empty folder, with few phantoms."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names can still be made, and no byte reaches the disk: what fsync says then."""

    def refuse(stream: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if why := lacking():
        pytest.skip(why)
    with slurm_in(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def slurm(_cluster: Slurm) -> Iterator[Slurm]:
    """A Slurm of this process of pytest, nodes n1 and n2 idle; no job outlives the test."""
    yield _cluster
    _cluster.mend()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep each test's outcome, so that the contract suite can tell an arm that was skipped."""
    report = yield
    if report.when == "call" or report.outcome == "skipped":
        item.stash[OUTCOME] = report.outcome
    return report
