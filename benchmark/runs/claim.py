"""Who works on a run, told by a file: where the lock of one node is not seen by another.

The holder's file is `.claim-N`, made by a link, which no two can make; its time of change is a
heartbeat. Who finds the holder dead makes `.claim-N+1`, and only one can. The former holder, should
it come back after a pause, finds its file gone or a higher number, and writes nothing more. Ages
are told by the file server's own clock: that of a fresh file beside it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from benchmark.errors import RunLockedError, SlurmError
from benchmark.runs.slurm_queue import cluster, waiting_or_running
from benchmark.storage.atomic import put

NAME, TICKET = ".claim-", ".ticket-"
HEARTBEAT_SECONDS = 30.0
DEAD_SECONDS = 300.0  # without a heartbeat; far more than the clocks of two nodes differ
JOIN_SECONDS = 5.0  # for a heartbeat that a disk holds up


@dataclass(frozen=True)
class Claim:
    """Who works on a run.

    host: the machine and the space of its process numbers; node: what Slurm calls it, else its
    name; job: Slurm's number of the task, such as 12_3, or "", on a cluster of this name; start:
    how often that was begun anew; token: no other claim's.
    """

    host: str = ""
    node: str = ""
    pid: int = 0
    job: str = ""
    cluster: str = ""
    start: int = 0
    token: str = ""

    @classmethod
    def mine(cls) -> Claim:
        """One of this process."""
        get = os.environ.get
        job = get("SLURM_ARRAY_JOB_ID", "") or get("SLURM_JOB_ID", "")
        index = get("SLURM_ARRAY_TASK_ID", "")
        return cls(
            host=f"{platform.node()} {_pid_namespace()}",
            node=get("SLURMD_NODENAME", "") or platform.node(),
            pid=os.getpid(),
            job=f"{job}_{index}" if index else job,
            cluster=get("SLURM_CLUSTER_NAME", ""),
            start=int(get("SLURM_RESTART_COUNT", "") or 0),
            token=uuid.uuid4().hex,
        )

    @classmethod
    def read(cls, path: Path) -> Claim:
        """Read a claim's file; of one that is damaged nothing is known but its heartbeat."""
        with contextlib.suppress(ValueError, TypeError):
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        return cls()


def is_gone(
    holder: Claim,
    me: Claim,
    age: float,
    pid_lives: Callable[[int], bool],
    job_lives: Callable[[Claim], bool | None],
) -> bool:
    """Whether a holder is known to be dead.

    age: seconds since its heartbeat. Its process number tells on its own machine, its job elsewhere
    (None: not known). A task of Slurm's that was begun anew is dead where it was before.
    """
    if age > DEAD_SECONDS:
        return True
    if holder.host == me.host:
        return holder.pid == me.pid or not pid_lives(holder.pid)
    if holder.job and (holder.job, holder.cluster) == (me.job, me.cluster):
        return holder.start < me.start
    return bool(holder.job) and job_lives(holder) is False


@dataclass(frozen=True)
class Found:
    """A claim in its file, and when its heartbeat was, by the file server's clock."""

    path: Path
    number: int
    claim: Claim
    beat: float

    @property
    def still(self) -> bool:
        """Whether it is there unchanged."""
        with contextlib.suppress(OSError):
            return Claim.read(self.path) == self.claim
        return False


def find(folder: Path) -> Found | None:
    """The claim of the highest number in a run's folder."""
    with contextlib.suppress(OSError):
        names = (path.name for path in folder.iterdir())
        numbers = (name.removeprefix(NAME) for name in names if name.startswith(NAME))
        number = max((int(text) for text in numbers if text.isdecimal()), default=0)
        path = folder / f"{NAME}{number}"
        if number:
            return Found(path, number, Claim.read(path), path.stat().st_mtime)
    return None


def holder(folder: Path) -> Claim | None:
    """Whoever works on a run as far as its folder tells, without asking Slurm."""
    found = find(folder)
    if found is None:
        return None
    age = time.time() + _clock_ahead(folder.parent) - found.beat
    gone = is_gone(found.claim, Claim.mine(), age, pid_lives, job_lives=lambda claim: None)
    return None if gone else found.claim


class Held:
    """A claim of this process. `check` is to be called before anything is written."""

    def __init__(self, path: Path, number: int, claim: Claim) -> None:
        self.path, self.claim = path, claim
        self.next = path.with_name(f"{NAME}{number + 1}")
        self.released = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def check(self) -> None:
        """Beat; `RunLockedError` where another process has taken the run over."""
        try:
            ours = Claim.read(self.path) == self.claim
            if ours:
                os.utime(self.path)  # the server's clock, and its word on whether the file is there
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            ours = False
        if not ours or self.next.exists():
            raise RunLockedError(
                f"{self.path.parent.name}: was taken over by another process, since this one gave "
                f"no sign of life for {DEAD_SECONDS:.0f} s; it goes on there"
            )

    def _beat(self) -> None:
        while not self.released.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError, RunLockedError):  # found again at the next write
                self.check()

    def release(self) -> None:
        """Let go of the run, unless another has taken it."""
        self.released.set()
        if self.thread.is_alive():
            self.thread.join(JOIN_SECONDS)
        with contextlib.suppress(OSError):
            if Claim.read(self.path) == self.claim:
                self.path.unlink()


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[Held]:
    """Hold a run's folder, which is there; `RunLockedError` where another process works on it."""
    held = take(folder, Claim.mine())
    held.thread.start()
    try:
        yield held
    finally:
        held.release()


def take(folder: Path, me: Claim) -> Held:
    """Make me the holder, where there is none or it is known to be dead."""
    with _ticket(folder, me) as (ticket, now):
        found = find(folder)
        if found and not is_gone(found.claim, me, now - found.beat, pid_lives, job_lives):
            raise RunLockedError(
                f"{folder.name}: another process is working on this run, on {found.claim.node}"
            )
        number = found.number + 1 if found else 1
        path = folder / f"{NAME}{number}"
        try:
            put(ticket, path)
        except FileExistsError as error:
            if not Found(path, number, me, now).still:  # a server may deny a link that was made
                raise RunLockedError(f"{folder.name}: another process was quicker") from error
    last = find(folder)  # a look while names come and go may have missed one
    missed = last is None or last.number != number
    if missed or (found and not found.still):  # it ended, or was taken over, since it was found
        path.unlink(missing_ok=True)
        raise RunLockedError(f"{folder.name}: another process was quicker")
    if found:
        found.path.unlink(missing_ok=True)
    return Held(path, number, me)


@contextlib.contextmanager
def _ticket(folder: Path, me: Claim) -> Iterator[tuple[Path, float]]:
    """A file with a claim under a name of its own, and the file server's clock as it was made."""
    path = folder / f"{TICKET}{me.token}"
    try:
        path.write_text(json.dumps(asdict(me)), encoding="utf-8")
        yield path, path.stat().st_mtime
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


@cache
def _clock_ahead(root: Path) -> float:
    """Seconds by which the clock of a folder's file server is ahead; 0 where none may write."""
    path = root / f"{TICKET}{uuid.uuid4().hex}"
    try:
        path.touch(exist_ok=False)
        return path.stat().st_mtime - time.time()
    except OSError:
        return 0.0
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def pid_lives(pid: int) -> bool:
    """Whether this machine has such a process; on Windows the lock has told it already."""
    if sys.platform == "win32" or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def job_lives(claim: Claim) -> bool | None:
    """Whether a holder's task runs, as squeue has it; None where it cannot be asked."""
    try:
        if claim.cluster != cluster():
            return None
        return any(task.state != "PENDING" for task in waiting_or_running([claim.job]).values())
    except SlurmError:
        return None


def _pid_namespace() -> str:
    with contextlib.suppress(OSError):
        return f"{Path('/proc').joinpath('self', 'ns', 'pid').readlink()}"
    return ""
