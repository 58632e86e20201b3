"""Sharing a machine: the laws of `allocate`, and how many cores there are to share."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from bench_forms import finish, process
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from benchmark.cli.devices import (
    HUGE_PAGES,
    WAITING,
    allocate,
    give_workers_huge_pages,
    let_waiting_threads_sleep,
    usable_cores,
    workers_that_pay,
)

counts = st.integers(1, 200)
cards = st.integers(0, 9)
devices = st.sampled_from(["auto", "cpu", "cuda", "cuda:3"])


@pytest.mark.parametrize(
    ("workers", "cells", "cores", "cards", "device", "expected"),
    [
        (1, 108, 8, 0, "auto", [("cpu", 8)]),
        (1, 108, 8, 2, "auto", [("cuda:0", 8)]),
        (3, 108, 8, 0, "auto", [("cpu", 2)] * 3),  # 8 // 3
        (4, 2, 8, 0, "auto", [("cpu", 4)] * 2),
        (3, 108, 2, 0, "auto", [("cpu", 1)] * 3),
        (3, 108, 8, 2, "auto", [("cuda:0", 2), ("cuda:1", 2), ("cuda:0", 2)]),
        (2, 108, 8, 2, "cuda", [("cuda:0", 4), ("cuda:1", 4)]),
        (2, 108, 8, 2, "cuda:1", [("cuda:1", 4)] * 2),
        (2, 108, 8, 2, "cpu", [("cpu", 4)] * 2),
        (2, 0, 8, 0, "auto", []),
    ],
)
def test_workers_share_cores_and_cards_as_in_this_table(
    workers: int, cells: int, cores: int, cards: int, device: str, expected: list[tuple[str, int]]
) -> None:
    assert allocate(workers, cells, cores, cards, device) == expected


@law
@given(counts, counts, counts, cards, devices)
def test_workers_are_as_many_as_asked_for_or_as_cells_and_their_threads_fit_the_cores(
    w: int, cells: int, cores: int, n: int, device: str
) -> None:
    """Equal, since bits agree at equal threads only; above the cores only where each has one."""
    threads = [t for _, t in allocate(w, cells, cores, n, device)]
    assert len(threads) == min(w, cells)
    assert len(set(threads)) == 1
    assert sum(threads) <= cores or set(threads) == {1}


@law
@given(counts, counts, counts, st.integers(1, 9), st.sampled_from(["auto", "cuda"]))
def test_no_card_has_two_workers_more_than_another(
    w: int, cells: int, cores: int, n: int, device: str
) -> None:
    """So every card is used before any is used twice."""
    used = Counter(device for device, _ in allocate(w, cells, cores, n, device))
    load = [used[f"cuda:{i}"] for i in range(n)]
    assert sum(load) == min(w, cells)
    assert max(load) - min(load) <= 1


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores"
)
def test_only_the_cores_that_were_granted_count(tmp_path: Path) -> None:
    granted = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(granted)})
        assert usable_cores(tmp_path / "none") == 1
    finally:
        os.sched_setaffinity(0, granted)
    assert usable_cores(tmp_path / "none") == len(granted)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("400000 100000\n", 4), ("250000 100000\n", 2), ("50000 100000\n", 1), ("900000 100000", 6),
     ("max 100000\n", 6), ("", 6), ("1 0", 6)],
)  # fmt: skip
def test_a_quota_of_a_container_counts(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On six cores: a quota is processor time granted in each period."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path / "cpu.max") == expected


@pytest.mark.parametrize("chosen", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_how_threads_wait_is_left_to_who_chose_it(chosen: str) -> None:
    variables = {chosen: "7", "PATH": "/bin"}
    let_waiting_threads_sleep(variables)
    assert variables == {chosen: "7", "PATH": "/bin"}


@pytest.mark.parametrize("chosen", ["", "glibc.malloc.arena_max=1"])
def test_workers_have_huge_pages_unless_the_user_tunes_glibc(chosen: str) -> None:
    variables = {"GLIBC_TUNABLES": chosen} if chosen else {}
    give_workers_huge_pages(variables)
    assert variables == {"GLIBC_TUNABLES": chosen or "glibc.malloc.hugetlb=1"}


def test_else_waiting_threads_sleep_before_torch_is_loaded(tmp_path: Path) -> None:
    """OpenMP reads its variables when torch is loaded: the command line sets them before that."""
    code = (
        "import os, sys\n"
        f"for name in {[*WAITING, *HUGE_PAGES]}: os.environ.pop(name, None)\n"
        "from benchmark.__main__ import main; main(['arms'])\n"
        "names = ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY', 'GLIBC_TUNABLES')\n"
        "print([os.environ.get(name) for name in names], 'torch' in sys.modules)"
    )
    code_of_exit, out, _ = finish(process(["-c", code], tmp_path))
    assert (code_of_exit, out.splitlines()[-1]) == (
        0,
        "['2000', 'PASSIVE', 'glibc.malloc.hugetlb=1'] False",
    )


@pytest.mark.parametrize(
    ("side", "cells", "seconds", "cores", "cards", "expected"),
    [
        (256, 2, 61, 2, 0, 2),
        (257, 2, 61, 2, 0, 1),  # larger images keep two threads busy
        (256, 1, 61, 2, 0, 1),
        (256, 2, 60, 2, 0, 1),  # a second process would not be worth its start
        (256, 2, 61, 1, 0, 1),
        (256, 2, 61, 3, 0, 1),  # a core would have nothing to do
        (256, 2, 61, 2, 1, 1),
    ],
)
def test_two_processes_share_a_grid_of_small_images_on_processor_cores(
    side: int, cells: int, seconds: float, cores: int, cards: int, expected: int
) -> None:
    assert workers_that_pay(side, cells, seconds, cores, cards) == expected
