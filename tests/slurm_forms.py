"""A Slurm of two nodes on this machine, of its own: started, asked, a node killed, ended.

Each daemon runs in a process namespace of its own, whose end is the end of all that it started:
so a killed node takes its jobs with it, and nothing is left when pytest itself is killed. Needs
root on Linux, Debian's packages, and no systemd. `python tests/slurm_forms.py` opens a shell in
which Slurm's commands speak to such a cluster, until it is left.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

NODES = ("n1", "n2")
ARRAY_SIZE = 9  # MaxArraySize: the first index that is too large
JOBS = 500  # MaxJobCount: with those that ended, which stay for MinJobAge seconds
PATIENCE_SECONDS = 300.0  # for what takes a second where nothing else is at work
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
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
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=1-0 State=UP
PartitionName=short Nodes=n1,n2 MaxTime=10 State=UP
PartitionName=urgent Nodes=n1,n2 MaxTime=10 PriorityTier=10 State=UP
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
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

    def __init__(self, folder: Path, jobs: int, array_size: int) -> None:
        self.folder = folder
        self.limits = {"jobs": jobs, "array_size": array_size}
        self.variables = {"SLURM_CONF": f"{folder / 'slurm.conf'}", "PATH": search_path()}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything and wait until both nodes are idle."""
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        words = {"folder": self.folder, "ports": free_ports(3)}
        words |= {"host": socket.gethostname().partition(".")[0]}
        words |= self.limits
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
        first = Path("/proc", f"{daemon.pid}", "task", f"{daemon.pid}", "children")
        with contextlib.suppress(OSError):  # it has ended already
            for child in first.read_text().split():
                os.kill(int(child), signal.SIGKILL)
                daemon.wait()  # of a namespace's first process the end is told after all others'
        daemon.kill()
        daemon.wait()

    def stop(self) -> None:
        """End everything that `start` started."""
        for name in reversed(list(self._daemons)):
            self.kill(name)

    def call(
        self, *words: str, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Give one of Slurm's commands."""
        return subprocess.run(
            words, cwd=cwd, env=env or self.environment(), capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The variables of a command, and of the jobs that it submits: without coverage's."""
        usual = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        return usual | self.variables

    def jobs_of(self, job: str) -> list[dict[str, str]]:
        """What the controller knows of each task of a job: JobId, JobState, Reason, BatchHost..."""
        lines = self.call("scontrol", "show", "job", "--oneliner", job).stdout.splitlines()
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if "JobId=" in line]

    def end_of(self, job: str) -> list[str]:
        """Wait until every task has ended; return their states.

        A task that was sent back to the queue would wait there for two minutes; here for two
        seconds, since a node refuses a job in the second in which its last start was revoked.
        """

        hastened = set()

        def ended() -> bool:
            tasks = self.jobs_of(job)
            for task in tasks:
                if task["Reason"] == "BeginTime" and task["JobId"] not in hastened:
                    hastened.add(task["JobId"])
                    self.call("scontrol", "update", f"JobId={task['JobId']}", "StartTime=now+2")
                assert not task["Reason"].startswith("Partition"), f"never to be run: {task}"
            return bool(tasks) and all(task["JobState"] in ENDED for task in tasks)

        until(ended, f"the end of job {job}")
        return [task["JobState"] for task in self.jobs_of(job)]

    def _daemon(self, name: str, command: str) -> None:
        """Bash is the first process of the namespace: it buries the orphans of jobs."""
        log = (self.folder / f"{name}.out").open("ab")
        with log:
            self._daemons[name] = subprocess.Popen(
                [*ALONE.split(), "bash", "-c", f"{command} & wait $!"],
                env=self.environment(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip


@contextlib.contextmanager
def slurm_in(folder: Path, jobs: int = JOBS, array_size: int = ARRAY_SIZE) -> Iterator[Slurm]:
    """A cluster with its files in a folder; whatever happens inside, it is ended."""
    cluster = Slurm(folder, jobs, array_size)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def shell() -> int:
    """A shell with a cluster around it; the exit code is the shell's."""
    if why := lacking():
        sys.exit(f"error: {why}")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm_in(Path(folder)) as cluster:
        return subprocess.run(["bash", *sys.argv[1:]], env=cluster.environment()).returncode


if __name__ == "__main__":
    sys.exit(shell())
