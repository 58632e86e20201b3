"""A task: told that time is nearly over, it leaves, and asks to be begun anew, not for ever."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from benchmark.errors import SlurmError
from benchmark.launchers.task import MOST_IDLE_STARTS, Leaving, Task

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no Slurm")

Capture = pytest.CaptureFixture[str]
Fd = pytest.CaptureFixture[str]
Work = Callable[[Leaving], int]


@pytest.fixture
def submitits() -> Iterator[list[int]]:
    """What is called on the signals before a task begins, as submitit's handlers are."""
    heard: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    numbers = (signal.SIGUSR2, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]
    yield heard
    for number, old in zip(numbers, before, strict=True):
        signal.signal(number, old)


def task(work: Work, folder: Path, notice: int = 1, cells: tuple[Path, ...] = ()) -> Task:
    return Task(work, folder, cells, notice)


def tell(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def until(leaving: Leaving) -> None:
    end = time.monotonic() + 20
    while not leaving():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_work_that_is_not_disturbed_ends_with_its_code(
    tmp_path: Path, submitits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    seen: list[tuple[Path, bool]] = []

    def work(leaving: Leaving) -> int:
        seen.append((Path.cwd(), leaving()))
        return 1

    assert task(work, tmp_path)() == 1
    assert seen == [(tmp_path, False)]
    assert submitits == []
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_told_that_time_is_nearly_over_it_may_leave_a_state_and_is_then_begun_anew(
    tmp_path: Path, submitits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the notice goes by before the work is ended, by what passes as Ctrl-C."""
    monkeypatch.chdir(tmp_path)
    ends: list[str] = []

    def work(leaving: Leaving) -> int:
        tell(signal.SIGUSR2)
        until(leaving)
        ends.append("left a state")
        try:
            time.sleep(20)
        except Exception:  # as the runner takes what an arm raises for a failure
            ends.append("taken for a failure")
        except KeyboardInterrupt:
            ends.append("as Ctrl-C")
            raise
        return 0

    assert task(work, tmp_path)() == 1
    assert ends == ["left a state", "as Ctrl-C"]
    assert submitits == [signal.SIGUSR2]


def test_the_notice_is_heard_while_the_work_prints(
    tmp_path: Path, submitits: list[int], monkeypatch: pytest.MonkeyPatch, capfd: Fd
) -> None:
    """Python refuses to print from a handler that has interrupted a write of the same stream."""
    monkeypatch.chdir(tmp_path)

    class Disk(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            if not told:
                told.append(tell(signal.SIGUSR2))
            return len(data)

    told: list[None] = []
    busy = io.TextIOWrapper(io.BufferedWriter(Disk()))

    def work(leaving: Leaving) -> int:
        monkeypatch.setattr(sys, "stdout", busy)
        print("a word", flush=True)
        monkeypatch.undo()
        return 10 * leaving() + bool(signal.getitimer(signal.ITIMER_REAL)[0])

    assert task(work, tmp_path, notice=600)() == 11
    assert "that the time is nearly over\n" in capfd.readouterr().out


def test_work_that_ends_before_the_notice_is_over_is_not_begun_anew(
    tmp_path: Path, submitits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def work(leaving: Leaving) -> int:
        tell(signal.SIGUSR2)
        until(leaving)
        return 0

    assert task(work, tmp_path, notice=600)() == 0
    assert submitits == []
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_sigterm_leaves_a_state_and_goes_on(
    tmp_path: Path, submitits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm begins the task anew, or has cancelled it: in both cases it ends the process itself."""
    monkeypatch.chdir(tmp_path)

    def work(leaving: Leaving) -> int:
        tell(signal.SIGTERM)
        until(leaving)
        return 0

    assert task(work, tmp_path)() == 0
    tell(signal.SIGTERM)
    assert submitits == [signal.SIGTERM]  # the earlier handler is back


def test_a_folder_that_the_node_does_not_have_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(SlurmError, match="cannot be seen from this node"):
        task(lambda leaving: 0, gone)()
    assert capsys.readouterr().err == (
        f"error: {gone}: cannot be seen from this node (No such file or directory); start from a "
        "folder on a disk that every node has\n"
    )


def test_a_start_that_ended_while_it_loaded_made_no_progress_whatever_there_was(
    tmp_path: Path,
) -> None:
    pytest.importorskip("submitit")
    (tmp_path / "checkpoint.pt").touch()
    again = task(lambda leaving: 0, tmp_path, cells=(tmp_path,)).checkpoint().function
    assert again.idle_starts == 1


@pytest.mark.parametrize("name", ["checkpoint.pt", "result.json", "failure.json"])
def test_a_task_is_begun_anew_as_long_as_it_leaves_something(tmp_path: Path, name: str) -> None:
    pytest.importorskip("submitit")
    cell = tmp_path / "cell"
    cell.mkdir()
    (cell / name).touch()

    def starts(work: Work, times: int) -> Task | None:
        now: Task | None = task(work, tmp_path, cells=(cell,))
        for _ in range(times):
            assert now
            now()
            delayed = now.checkpoint()
            now = delayed.function if delayed else None
        return now

    later = iter(range(2_000_000_000, 2_100_000_000))

    def leaves(leaving: Leaving) -> int:
        moment = next(later)
        os.utime(cell / name, (moment, moment))
        return 0

    before = Path.cwd()
    try:
        assert starts(leaves, 2 * MOST_IDLE_STARTS) is not None
        assert starts(lambda leaving: 0, MOST_IDLE_STARTS - 1) is not None
        assert starts(lambda leaving: 0, MOST_IDLE_STARTS) is None
    finally:
        os.chdir(before)
