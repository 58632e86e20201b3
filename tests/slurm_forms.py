"""A Slurm of two nodes on this machine, of its own: started, asked, a node killed, ended.

Each daemon runs in a process namespace of its own, whose end is the end of all that it started:
so a killed node takes its jobs with it, and nothing is left when pytest itself is killed. Needs
root on Linux, Debian's packages, and no systemd.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

NODES = ("n1", "n2")
ARRAY_SIZE = 9  # MaxArraySize: the first index that is too large
JOBS = 500  # MaxJobCount: with those that ended, which stay for MinJobAge seconds
PATIENCE_SECONDS = 120.0  # for what takes a second where nothing else is at work
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "unshare", "setpriv", "bash")
ALONE = "setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount-proc"

# Beside what must be said: no pause before a job starts, room for few jobs, all that ended kept
CONFIGURATION = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2,bf_interval=2
ReturnToService=2
SlurmdTimeout=300
MinJobAge=600
KillWait=5
MaxArraySize={array_size}
MaxJobCount={jobs}
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


def lacking() -> str:
    """Why no Slurm can be started here; nothing where one can."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=search_path())]:
        return f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge"
    if os.geteuid() != 0:
        return "slurmctld and slurmd are started by root alone"
    alone = subprocess.run([*ALONE.split(), "true"], capture_output=True, text=True)
    return f"no process namespace: {alone.stderr.strip()}" if alone.returncode else ""


def search_path() -> str:
    """PATH with the folders of daemons, which a user's may lack."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def until(done: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition; `TimeoutError` says which one never came."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the system lends to callers."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            listener = held.enter_context(socket.socket())
            port = random.SystemRandom().randrange(20000, 30000)
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                found.append(port)
    return found


class Slurm:
    """A running cluster; `variables` make Slurm's own commands speak to it."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder = folder
        self.jobs = jobs
        self.variables = {"SLURM_CONF": f"{folder / 'slurm.conf'}", "PATH": search_path()}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything and wait until both nodes are idle."""
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        words = {"folder": self.folder, "ports": free_ports(3)}
        words |= {"host": socket.gethostname().partition(".")[0]}
        words |= {"array_size": ARRAY_SIZE, "jobs": self.jobs}
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**words))
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        places = [f"--{what}-file={self.folder}/munge.{what}" for what in ("key", "pid", "seed")]
        places.append(f"--socket={self.folder}/munge.socket")
        self._daemon("munged", f"munged --foreground --force {' '.join(places)}")
        until((self.folder / "munge.socket").exists, "munged's socket")
        self._daemon("slurmctld", "slurmctld -D")
        for node in NODES:
            self.start_node(node)
        self.ready()

    def start_node(self, node: str) -> None:
        """Start a node's slurmd; it is of use when `ready` returns."""
        self._daemon(node, f"slurmd -D -N {node}")

    def mend(self) -> None:
        """Cancel every job, start the nodes that were killed, and wait until all are idle."""
        self.call("scancel", "--user=root")
        for node in NODES:
            if node not in self._daemons:
                self.start_node(node)
        if self.states() != dict.fromkeys(NODES, "idle"):
            self.call("scontrol", "update", f"NodeName={','.join(NODES)}", "State=RESUME")
        self.ready()

    def ready(self) -> None:
        """Wait until every node is idle."""
        until(lambda: self.states() == dict.fromkeys(NODES, "idle"), "two idle nodes")

    def states(self) -> dict[str, str]:
        """Each node's state as sinfo tells it; none while the controller does not answer."""
        lines = self.call("sinfo", "--noheader", "--Node", "--format=%N %t").stdout.split()
        return dict(zip(lines[::2], lines[1::2], strict=True))

    def kill(self, name: str) -> None:
        """End a daemon and all that it started, at once, as a power cut does."""
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def stop(self) -> None:
        """End everything that `start` started."""
        for name in reversed(list(self._daemons)):
            self.kill(name)

    def call(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Give one of Slurm's commands."""
        variables = {**os.environ, **self.variables}
        return subprocess.run(
            words, cwd=cwd, env=variables, capture_output=True, text=True, timeout=300
        )

    def _daemon(self, name: str, command: str) -> None:
        """Bash is the first process of the namespace: it buries the orphans of jobs."""
        log = (self.folder / f"{name}.out").open("ab")
        with log:
            self._daemons[name] = subprocess.Popen(
                [*ALONE.split(), "bash", "-c", f"{command} & wait $!"],
                env={**os.environ, **self.variables}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip


@contextlib.contextmanager
def slurm_in(folder: Path, jobs: int = JOBS) -> Iterator[Slurm]:
    """A cluster with its files in a folder; whatever happens inside, it is ended."""
    cluster = Slurm(folder, jobs)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
