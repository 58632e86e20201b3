"""A workload small enough for tests, and the job that all implementations have in common."""

from __future__ import annotations

import pytest
from bench_forms import small_recipe

from performance.job import Job
from performance.workload import Workload, prepare


@pytest.fixture(scope="session")
def workload() -> Workload:
    """8 of 130 training phantoms and 2 of 33 for validation, 64 x 64."""
    return prepare("phantoms", 64, 8, small_recipe())


@pytest.fixture
def job(workload: Workload) -> Job:
    return Job("", workload.train, workload.val, small_recipe(), kernel_size=3, split=True)
