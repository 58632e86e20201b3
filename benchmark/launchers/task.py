"""A task of an array on its node: cells one after another, gone on with wherever it begins anew."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from benchmark.errors import BenchmarkError, SlurmError
from benchmark.runs.claim import Claim
from benchmark.runs.run_folder import CHECKPOINT, FAILURE, RESULT
from benchmark.runs.slurm_queue import waiting_or_running

TOLD = "USR2"  # the signal before the time limit, which submitit and its sbatch script use
MOST_IDLE_STARTS = 3  # starts in a row that left nothing on the disk


class Leaving:
    """Whether the work is about to be stopped, for `RunOptions.leaving`."""

    def __init__(self) -> None:
        self.now = False

    def __call__(self) -> bool:
        return self.now


class OutOfTime(KeyboardInterrupt):
    """The time between the signal and the end is half gone: it passes as Ctrl-C does."""


class Ended(KeyboardInterrupt):
    """Slurm is ending this task: what it does then is Slurm's to say."""


class Task:
    """What submitit pickles and calls; it asks to be begun anew when it is out of time.

    work: given a `Leaving`, runs the cells and returns 0 or 1, skipping what is done; folder: where
    the command was given; cells: the folders of its runs; notice_seconds: between the signal and
    the time limit. A function of a module, or a partial of one, so that it pickles.
    """

    def __init__(
        self,
        work: Callable[[Leaving], int],
        folder: Path,
        cells: Sequence[Path],
        notice_seconds: int,
        idle_starts: int = 0,
    ) -> None:
        self.work, self.folder, self.cells = work, folder, tuple(cells)
        self.notice_seconds, self.idle_starts = notice_seconds, idle_starts
        self.began = math.inf  # until it begins: what is there already is no progress

    def __call__(self) -> int:
        """Run the cells; the exit code. Errors end the task with a line on stderr."""
        leaving, self.began = Leaving(), self._newest()
        try:
            self._go_there()
            with _told(leaving, self.notice_seconds / 2) as told:
                try:
                    return self.work(leaving)
                except OutOfTime:
                    pass
        except Ended:
            print("ended by Slurm; what was reached is kept", flush=True)
            return 1
        except BenchmarkError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise
        print("out of time: asks to be begun anew", flush=True)
        told()  # submitit's: calls `checkpoint`, has the task requeued and ends the process
        return 1

    def checkpoint(self) -> Any:
        """The task as it begins anew; None where start after start left nothing on the disk."""
        from submitit.helpers import DelayedSubmission

        idle = 0 if self._newest() > self.began else self.idle_starts + 1
        if idle >= MOST_IDLE_STARTS:
            print(
                f"error: {idle} starts in a row wrote neither a checkpoint nor a result: the time "
                "limit is too short for an epoch; give these cells a longer time",
                file=sys.stderr,
                flush=True,
            )
            return None
        task = Task(self.work, self.folder, self.cells, self.notice_seconds, idle)
        return DelayedSubmission(task)

    def _newest(self) -> float:
        """When the latest checkpoint, result or failure of its cells was written; 0 for none."""
        times = [0.0]
        for cell in self.cells:
            for name in (CHECKPOINT, RESULT, FAILURE):
                with contextlib.suppress(OSError):
                    times.append((cell / name).stat().st_mtime)
        return max(times)

    def _go_there(self) -> None:
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise SlurmError(
                f"{self.folder}: cannot be seen from this node ({error.strerror}); start from a "
                "folder on a disk that every node has"
            ) from error


def _is_ending() -> bool:
    """Whether Slurm takes this task's processes away now; it is not asked where there is none."""
    job = Claim.mine().job
    try:
        task = waiting_or_running([job]).get(job) if job else None
    except SlurmError:
        return False  # it goes on until it is killed
    return bool(job) and (task is None or task.state != "RUNNING")


@contextlib.contextmanager
def _told(leaving: Leaving, patience: float) -> Iterator[Callable[[], None]]:
    """Inside, the signal makes a state be left after every epoch, and ends the work soon after.

    SIGTERM does the first: a task that is preempted has some time yet, and Slurm begins it anew. Of
    one that Slurm is ending, as by `scancel`, the work ends at once. Yields what the signal did
    before: submitit's handler.
    """
    number: Any = getattr(signal, f"SIG{TOLD}", None)
    if number is None:  # Windows, which has no Slurm
        yield lambda: None
        return

    def leave(number: int, frame: FrameType | None) -> None:
        leaving.now = True
        if _is_ending():
            raise Ended

    def soon(number: int, frame: FrameType | None) -> None:
        if not signal.getitimer(signal.ITIMER_REAL)[0]:
            leaving.now = True
            signal.setitimer(signal.ITIMER_REAL, patience)
            line = f"told at {time.strftime('%H:%M:%S')} that the time is nearly over\n"
            with contextlib.suppress(OSError):  # `print` fails where the work is just printing
                os.write(1, line.encode())

    def over(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    ours = {number: soon, signal.SIGTERM: leave, signal.SIGALRM: over}
    before = {which: signal.signal(which, handler) for which, handler in ours.items()}

    def submitits() -> None:
        handler = before[number]
        if callable(handler):
            handler(number, None)

    try:
        yield submitits
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for which, handler in before.items():
            signal.signal(which, handler or signal.SIG_DFL)
