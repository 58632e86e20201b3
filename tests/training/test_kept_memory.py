"""Freed memory: kept where glibc is, left alone elsewhere."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from benchmark.training import kept_memory

FAULTS = """
import resource, sys
import numpy as np
from benchmark.training.kept_memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def work():
    for _ in range(20):
        np.ones(2**23)  # 64 MiB, beyond what glibc would keep by itself
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(kept: str) -> int:
    """Pages mapped anew by twenty blocks of 64 MiB, one after the other."""
    done = subprocess.run([sys.executable, "-c", FAULTS, kept], capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_a_block_that_was_freed_is_there_for_the_next() -> None:
    """Given back, each of 20 blocks is mapped in anew, in at least its 32 pages of 2 MiB."""
    assert faults("kept") < 20 < 20 * 32 <= faults("given back")


def test_freed_memory_is_kept_where_glibc_is() -> None:
    assert kept_memory.keep_freed_memory() is (platform.libc_ver()[0] == "glibc")


def test_elsewhere_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_memory.sys, "platform", "darwin")
    assert kept_memory.keep_freed_memory() is False
