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
from functools import cache, partial
from pathlib import Path

from benchmark.errors import RunLockedError, SlurmError
from benchmark.runs.slurm_queue import cluster, waiting_or_running
from benchmark.storage.atomic import put, writing

NAME, TICKET = ".claim-", ".ticket-"
HEARTBEAT_SECONDS = 30.0
DEAD_SECONDS = 300.0  # without a heartbeat; far more than the clocks of two nodes differ
GONE = (errno.ENOENT, errno.ESTALE)
JOIN_SECONDS = 5.0  # for a heartbeat that a disk holds up


@dataclass(frozen=True)
class Claim:
    """Who works on a run.

    host: the machine since it was switched on; namespace: the space of its process numbers; node:
    what Slurm calls it, else its name; job: Slurm's number of the task, such as 12_3, or "", on a
    cluster of this name; start: how often that was begun anew; token: no other claim's.
    """

    host: str = ""
    node: str = ""
    pid: int = 0
    job: str = ""
    cluster: str = ""
    start: int = 0
    token: str = ""
    namespace: str = ""

    @classmethod
    def mine(cls) -> Claim:
        """One of this process."""
        get = os.environ.get
        job = get("SLURM_ARRAY_JOB_ID", "") or get("SLURM_JOB_ID", "")
        index = get("SLURM_ARRAY_TASK_ID", "")
        return cls(
            host=_host(),
            namespace=_pid_namespace(),
            node=get("SLURMD_NODENAME", "") or platform.node(),
            pid=os.getpid(),
            job=f"{job}_{index}" if index else job,
            cluster=get("SLURM_CLUSTER_NAME", ""),
            start=int(get("SLURM_RESTART_COUNT", "") or 0),
            token=uuid.uuid4().hex,
        )

    @classmethod
    def read(cls, path: Path) -> Claim:
        """Read a claim's file; of a damaged or hidden one only its heartbeat is known."""
        with contextlib.suppress(ValueError, TypeError, PermissionError):
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        return cls()


def is_gone(
    holder: Claim,
    me: Claim,
    age: float,
    pid_lives: Callable[[int], bool],
    job_lives: Callable[[Claim], bool | None],
    locked: bool,
) -> bool:
    """Whether a holder is known to be dead.

    age: seconds since its heartbeat, which is no more in the future than in the past. locked:
    whether the lock was had, which on its own machine the holder would have; without, its process
    number tells there, and elsewhere its job (None: not known). A task of Slurm's that was begun
    anew is dead where it was before.
    """
    if abs(age) > DEAD_SECONDS:
        return True
    if holder.host == me.host and locked:
        return True
    if (holder.host, holder.namespace) == (me.host, me.namespace):
        return holder.pid == me.pid or not pid_lives(holder.pid)
    if holder.job and (holder.job, holder.cluster) == (me.job, me.cluster):
        return holder.start < me.start
    return bool(holder.job) and job_lives(holder) is False


@dataclass(frozen=True)
class Found:
    """A claim in its file, and when its heartbeat was, by the file server's clock.

    ours: of a process of this user.
    """

    path: Path
    number: int
    claim: Claim
    beat: float
    ours: bool = True

    @property
    def still(self) -> bool:
        """Whether it is there unchanged."""
        with contextlib.suppress(OSError):
            return Claim.read(self.path) == self.claim
        return False


def find(folder: Path) -> Found | None:
    """The claim of the highest number in a run's folder, which may not be there.

    Where it goes between the look at names and the look at it, names are looked at again. Raises
    `OSError` where the disk does not answer: that is no sign that nobody works on the run.
    """
    gone = set[int]()
    while True:
        try:
            number = max(_numbers(folder) - gone, default=0)
        except FileNotFoundError:
            return None
        if not number:
            return None
        path = folder / f"{NAME}{number}"
        try:
            claim, stat = Claim.read(path), path.stat()
        except OSError as error:
            if error.errno not in GONE:
                raise
            gone.add(number)
        else:
            ours = sys.platform == "win32" or stat.st_uid == os.getuid()
            return Found(path, number, claim, stat.st_mtime, ours)


def _numbers(folder: Path) -> set[int]:
    names = (path.name for path in folder.iterdir())
    numbers = (name.removeprefix(NAME) for name in names if name.startswith(NAME))
    return {int(text) for text in numbers if text.isdecimal()}


def holder(folder: Path, locked: bool = False) -> Found | None:
    """Whoever works on a run as far as its folder tells, without asking Slurm.

    locked: whether the lock of this machine was free.
    """
    found = find(folder)
    if found is None:
        return None
    age = time.time() + _clock_ahead(folder.parent) - found.beat
    gone = is_gone(found.claim, Claim.mine(), age, pid_lives, lambda claim: None, locked)
    return None if gone else found


class Held:
    """A claim of this process. `check` is to be called before anything is written."""

    def __init__(self, path: Path, number: int, claim: Claim) -> None:
        self.path, self.number, self.claim = path, number, claim
        self.released = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def check(self) -> None:
        """Beat; `RunLockedError` where another process has taken the run over."""
        try:
            ours = Claim.read(self.path) == self.claim
            if ours:
                os.utime(self.path)  # the server's clock, and its word on whether the file is there
                ours = max(_numbers(self.path.parent), default=0) <= self.number
        except OSError as error:
            if error.errno not in GONE:
                raise
            ours = False
        if not ours:
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
def claimed(folder: Path, locked: bool) -> Iterator[Held]:
    """Hold a run's folder, which is there; `RunLockedError` where another process works on it.

    locked: whether its lock is held, or the disk has none.
    """
    with writing(folder):
        held = take(folder, Claim.mine(), locked)
    try:
        held.thread.start()
        yield held
    finally:
        held.release()


def take(folder: Path, me: Claim, locked: bool = True) -> Held:
    """Make me the holder, where there is none or it is known to be dead."""
    with _ticket(folder, me) as (ticket, now):
        found = find(folder)
        if found:
            age, ask = now - found.beat, partial(job_lives, ours=found.ours)
            if not is_gone(found.claim, me, age, pid_lives, ask, locked):
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
    _sweep(folder, number, now)
    return Held(path, number, me)


def _sweep(folder: Path, number: int, now: float) -> None:
    """Remove all lower claims, and what processes left that were killed while they took one."""
    for lower in _numbers(folder):
        if lower < number:
            (folder / f"{NAME}{lower}").unlink(missing_ok=True)
    for ticket in folder.glob(f"{TICKET}*"):
        with contextlib.suppress(OSError):
            if now - ticket.stat().st_mtime > DEAD_SECONDS:
                ticket.unlink()


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


def job_lives(claim: Claim, ours: bool = True) -> bool | None:
    """Whether a holder's task runs, as squeue has it; None where it cannot be asked.

    What squeue does not show is gone only where it is ours: it may hide the jobs of other users.
    """
    try:
        if claim.cluster != cluster():
            return None
        tasks = waiting_or_running([claim.job]).values()
    except SlurmError:
        return None
    return any(task.state != "PENDING" for task in tasks) if tasks or ours else None


def _host() -> str:
    """The machine since it was switched on: copies of one may share a name, containers not."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return platform.node()


def _pid_namespace() -> str:
    with contextlib.suppress(OSError):
        return f"{Path('/proc').joinpath('self', 'ns', 'pid').readlink()}"
    return ""
