"""The script of docs/cluster.md on a real Slurm: whatever becomes of its tasks, it leaves the bits
that one process leaves.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from bench_forms import bits
from slurm_forms import slurm_in, until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
Bits = dict[str, bytes]


def of(alone: Bits, run_id: str) -> Bits:
    """The bits of one cell."""
    return {name: content for name, content in alone.items() if name.startswith(run_id)}


def test_an_array_on_two_nodes_runs_the_grid(site: Any, alone: Bits) -> None:
    """Three tasks for two cells: the third has nothing to do."""
    assert len(site.list()) == 2
    job = site.send("1-3")
    assert site.slurm.end_of(job) == ["COMPLETED"] * 3
    assert sorted(site.begun().values()) == [1, 1]
    assert bits(site.folder / "runs") == alone
    assert site.list() == []


def test_before_its_time_limit_a_task_goes_back_to_the_queue_and_on_from_its_checkpoint(
    site: Any, alone: Bits
) -> None:
    """Slurm itself sends the signal: the end is set 90 s from now, and it looks twice a minute."""
    ids = site.list()
    site.shut()
    job = site.send("1")
    site.comes_to_the_gate()
    end = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 90))
    assert site.slurm.call("scontrol", "update", f"JobId={job}", f"EndTime={end}").returncode == 0
    until(lambda: site.slurm.jobs_of(job)[0]["Restarts"] == "1", "the requeue")
    site.slurm.call("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    site.open()
    assert site.slurm.end_of(job) == ["COMPLETED"]
    assert "stopped; 0 of 1 cells are done; the same command goes on with" in site.output()
    assert "goes on after epoch 1 " in site.output()
    assert bits(site.folder / "runs") == of(alone, ids[0])


def test_what_scancel_ended_stays_so_until_it_is_sent_again(site: Any, alone: Bits) -> None:
    ids = site.list()
    site.shut()
    job = site.send("1")
    site.comes_to_the_gate()
    assert site.slurm.call("scancel", job).returncode == 0
    assert site.slurm.end_of(job) == ["CANCELLED"]
    site.open()
    until(lambda: "the same command goes on with" in site.output(), "the farewell")
    assert site.list() == ids
    assert site.slurm.end_of(site.send("1")) == ["COMPLETED"]
    assert "goes on after epoch 1 " in site.output()
    assert bits(site.folder / "runs") == of(alone, ids[0])


def test_a_node_that_dies_costs_the_epochs_since_the_checkpoint(site: Any, alone: Bits) -> None:
    """Slurm calls a silent node down after SlurmdTimeout; here an administrator is quicker."""
    ids = site.list()
    site.shut()
    job = site.send("1")
    node = site.comes_to_the_gate()
    site.slurm.kill(node)
    site.slurm.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=dead")
    site.open()
    assert site.slurm.end_of(job) == ["COMPLETED"]
    (task,) = site.slurm.jobs_of(job)
    assert (task["Restarts"], task["BatchHost"]) == ("1", "n2" if node == "n1" else "n1")
    assert "goes on after epoch 1 " in site.output()
    assert bits(site.folder / "runs") == of(alone, ids[0])


def test_two_arrays_of_one_list_train_no_cell_twice(site: Any, alone: Bits) -> None:
    """Each on a node of its own, at the same time, where locks reach from node to node."""
    site.list()
    site.shut()
    jobs = [site.send("1-2", f"--nodelist={node}") for node in ("n1", "n2")]
    site.comes_to_the_gate(2)
    until(lambda: site.output().count("left to the process that is running it") == 2, "the others")
    site.open()
    assert [site.slurm.end_of(job) for job in jobs] == [["COMPLETED"] * 2] * 2
    assert sorted(site.begun().values()) == [1, 1]
    assert bits(site.folder / "runs") == alone


def test_what_a_site_does_not_allow_is_refused(site: Any, tmp_path: Path) -> None:
    """An array too large, a partition that is not there; a full queue lets sbatch wait."""
    site.list()
    words = ["sbatch", "--array=1-9", "array.sh", "ids.txt"]
    refused = site.slurm.call(*words, cwd=site.folder)
    assert refused.stderr.endswith("Invalid job array specification\n")
    words = ["sbatch", "--array=1-2", "--partition=nowhere", "array.sh", "ids.txt"]
    refused = site.slurm.call(*words, cwd=site.folder)
    assert refused.stderr.endswith("Invalid partition name specified\n")
    (tmp_path / "full").mkdir()
    with slurm_in(tmp_path / "full", jobs=3) as full:
        held = ["sbatch", "--hold", "--array=1-2", "--wrap=true"]
        assert full.call(*held).returncode == 0
        waits = full.call("timeout", "2", *held)
        assert "temporarily unable to accept job, sleeping and retrying" in waits.stderr
