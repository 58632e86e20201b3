"""The cluster other tests stand on: it ends just what it started, or says why it cannot be."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import slurm_forms
from bench_forms import ROOT, process
from slurm_forms import Slurm, slurm_in

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def processes(word: Path) -> list[str]:
    """The command lines and environments of living processes in which a path is found."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            text = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if f"{word}".encode() in text:
            found.append(text.decode(errors="replace"))
    return found


def test_whatever_happens_nothing_is_left(tmp_path: Path, slurm: Slurm) -> None:
    """Also a job that ignores SIGTERM; the cluster beside it is left alone."""

    def fail() -> None:
        with slurm_in(tmp_path) as cluster:
            deaf = "trap '' TERM; touch started; sleep 1000"
            assert cluster.call("sbatch", f"--chdir={tmp_path}", f"--wrap={deaf}").returncode == 0
            slurm_forms.until((tmp_path / "started").exists, "the job")
            assert len(processes(tmp_path)) > 6
            raise RuntimeError("a test failed")

    with pytest.raises(RuntimeError, match="a test failed"):
        fail()
    assert processes(tmp_path) == []
    assert slurm.states() == {"n1": "idle", "n2": "idle"}


def test_nothing_is_left_of_a_process_that_is_killed(tmp_path: Path, slurm: Slurm) -> None:
    """SIGKILL, after which no line of ours runs."""
    program = (
        "import time, sys; from pathlib import Path; from slurm_forms import slurm_in\n"
        f"with slurm_in(Path({f'{tmp_path}'!r})):\n    print('up', flush=True); time.sleep(1000)"
    )
    child = process(["-c", program], tmp_path, [ROOT / "tests"])
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    slurm_forms.until(lambda: processes(tmp_path) == [], "the end of all daemons")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_forms, "PROGRAMS", ("bash", "slurmctld-of-nowhere"))
    assert slurm_forms.lacking().startswith("no slurmctld-of-nowhere: apt-get install slurmctld")
    monkeypatch.setattr(slurm_forms, "PROGRAMS", ("bash",))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert slurm_forms.lacking() == "slurmctld and slurmd are started by root alone"
