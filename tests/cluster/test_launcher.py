"""`reproduce --launcher slurm` on a real Slurm: whatever becomes of its tasks, the run folders hold
the bits of one process, and `plan` says where they are.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from bench_forms import bits, call, refused
from slurm_forms import slurm_in, until

from benchmark.launchers import preflight

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
Bits = dict[str, bytes]
Capture = pytest.CaptureFixture[str]
GRID = "--data phantoms --grid tiny.toml --out runs"
ONE = f"{GRID} --only alpha=0.3"
LAUNCH = "--launcher slurm --cluster memory=1G time=60 cells_per_task=1"


@pytest.fixture(autouse=True)
def _on_the_login_node(site: Any, monkeypatch: pytest.MonkeyPatch, few_phantoms: None) -> None:
    """This process is where the command is given."""
    monkeypatch.chdir(site.folder)
    for name, value in site.variables.items():
        monkeypatch.setenv(name, value)


def launched(capsys: Capture, words: str) -> list[str]:
    """Give the command; return the numbers of the jobs that it submitted."""
    capsys.readouterr()
    assert call(f"reproduce {words}") == 0
    return re.findall(r"as job (\d+)\.", capsys.readouterr().out)


def planned(capsys: Capture) -> str:
    """What `plan` shows of each cell."""
    capsys.readouterr()
    assert call(f"plan {GRID} --format list") == 0
    return capsys.readouterr().out


def first(alone: Bits) -> Bits:
    """The bits of the grid's first cell."""
    cell = next(iter(alone)).split("/")[0]
    return {name: content for name, content in alone.items() if name.startswith(cell)}


def logs(site: Any) -> str:
    """What all tasks printed."""
    return "".join(p.read_text() for p in sorted(site.folder.glob("runs/.slurm/*/*.out")))


def test_a_grid_is_an_array_that_leaves_the_bits_of_one_process(
    site: Any, alone: Bits, capsys: Capture
) -> None:
    """While it runs, `plan` says on which node, and a second command submits nothing."""
    site.shut()
    (job,) = launched(capsys, f"{GRID} {LAUNCH}")
    node = site.comes_to_the_gate(2)
    assert planned(capsys).count(f"running on {node}") >= 1
    assert launched(capsys, f"{GRID} {LAUNCH}") == []
    site.open()
    assert site.slurm.end_of(job) == ["COMPLETED"] * 2
    assert bits(site.folder / "runs") == alone
    assert launched(capsys, f"{GRID} {LAUNCH}") == []


def test_a_time_limit_in_mid_training_costs_nothing(
    site: Any, alone: Bits, capsys: Capture
) -> None:
    """Slurm looks twice a minute, and sends the signal so long before the notice that was asked."""
    site.shut()
    (job,) = launched(capsys, f"{ONE} {LAUNCH} notice_seconds=16")
    site.comes_to_the_gate()
    end = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 45))
    assert site.call("scontrol", "update", f"JobId={job}", f"EndTime={end}").returncode == 0
    until(lambda: site.slurm.jobs_of(job)[0]["Restarts"] == "1", "the requeue")
    site.call("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    assert "queued" in planned(capsys)
    site.open()
    assert site.slurm.end_of(job) == ["COMPLETED"]
    assert "out of time: asks to be begun anew" in logs(site)
    assert "goes on after epoch 1 " in logs(site)
    assert bits(site.folder / "runs") == first(alone)


def test_what_scancel_ended_is_submitted_again_and_goes_on(
    site: Any, alone: Bits, capsys: Capture
) -> None:
    site.shut()
    (job,) = launched(capsys, f"{ONE} {LAUNCH}")
    site.comes_to_the_gate()
    assert site.call("scancel", job).returncode == 0
    assert site.slurm.end_of(job) == ["CANCELLED"]
    until(lambda: site.call("squeue", "--noheader").stdout == "", "the end of its processes")
    site.open()
    assert "partial" in planned(capsys)
    (again,) = launched(capsys, f"{ONE} {LAUNCH}")
    assert site.slurm.end_of(again) == ["COMPLETED"]
    assert "goes on after epoch 1 " in logs(site)
    assert bits(site.folder / "runs") == first(alone)


def test_a_preempted_task_goes_back_to_the_queue_and_on_from_its_checkpoint(
    site: Any, alone: Bits, capsys: Capture
) -> None:
    """By a job of a partition that goes before all others, which wants the whole node."""
    site.shut()
    (job,) = launched(capsys, f"{ONE} {LAUNCH}")
    node = site.comes_to_the_gate()
    urgent = f"--partition=urgent --exclusive --time=1 --nodelist={node} --wrap=true".split()
    assert site.call("sbatch", *urgent).returncode == 0
    until(lambda: site.slurm.jobs_of(job)[0]["Restarts"] == "1", "the requeue")
    site.open()
    assert site.slurm.end_of(job) == ["COMPLETED"]
    assert "goes on after epoch 1 " in logs(site)
    assert bits(site.folder / "runs") == first(alone)


def test_a_node_that_dies_costs_the_epochs_since_the_checkpoint(
    site: Any, alone: Bits, capsys: Capture
) -> None:
    """Slurm calls a silent node down after SlurmdTimeout; here an administrator is quicker."""
    site.shut()
    (job,) = launched(capsys, f"{ONE} {LAUNCH}")
    node = site.comes_to_the_gate()
    site.slurm.kill(node)
    site.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=dead")
    site.open()
    assert site.slurm.end_of(job) == ["COMPLETED"]
    (task,) = site.slurm.jobs_of(job)
    assert (task["Restarts"], task["BatchHost"]) == ("1", "n2" if node == "n1" else "n1")
    assert "goes on after epoch 1 " in logs(site)
    assert bits(site.folder / "runs") == first(alone)


def test_what_a_site_does_not_allow_is_one_line_and_nothing_is_submitted(
    site: Any, capsys: Capture
) -> None:
    assert "'nowhere' is none of" in refused(capsys, f"reproduce {ONE} {LAUNCH} partition=nowhere")
    assert "above the limit of" in refused(capsys, f"reproduce {ONE} {LAUNCH} partition=short")
    two = refused(capsys, f"reproduce {ONE} {LAUNCH} partition=short,urgent")
    assert "above the limit of partition 'short,urgent'" in two
    longer = refused(capsys, f"reproduce {ONE} {LAUNCH} time=1441")
    assert "above the limit of the default partition, 1-00:00:00;" in longer
    large = f"reproduce --data phantoms --grid thesis --out runs {LAUNCH}"
    assert "an array of 108 tasks is above this cluster's 8" in refused(capsys, large)
    assert site.call("squeue", "--noheader").stdout == ""
    assert not list(site.folder.glob("runs/.slurm/*.json"))


def test_a_full_queue_is_one_line_and_nothing_is_submitted(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """sbatch itself tries for two minutes and then gives up; here it gives up after two seconds.

    So would srun, which looks whether nodes see the paths, and is left out.
    """
    monkeypatch.setattr(preflight, "check_seen", lambda paths, needs: "")
    (tmp_path / "full").mkdir()
    (tmp_path / "sbatch").write_text(f'#!/bin/sh\nexec timeout 2 {which("sbatch")} "$@"\n')
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{site.variables['PATH']}")
    with slurm_in(tmp_path / "full", jobs=3) as cluster:
        monkeypatch.setenv("SLURM_CONF", cluster.variables["SLURM_CONF"])
        assert cluster.call("sbatch", "--hold", "--array=1-2", "--wrap=true").returncode == 0
        told = refused(capsys, f"reproduce {ONE} {LAUNCH}")
    assert told.startswith("error: sbatch refuses the array: Slurm temporarily unable to accept")
    assert not list(site.folder.glob("runs/.slurm/*.json"))
