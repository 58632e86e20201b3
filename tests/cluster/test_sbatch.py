"""The script of docs/cluster.md on a real Slurm: whatever becomes of its tasks, it leaves the bits
that one process leaves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench_forms import bits
from slurm_forms import slurm_in, until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
Bits = dict[str, bytes]


def test_two_arrays_of_one_list_on_two_nodes_train_each_cell_once(site: Any, alone: Bits) -> None:
    """At the same time, and no node sees the locks of the other. The second task of each has
    nothing to do.
    """
    (site.folder / "locks-of-nodes").touch()
    site.shut()
    jobs = [site.send("1-2", f"--nodelist={node}") for node in ("n1", "n2")]
    site.comes_to_the_gate(2)
    assert "left to the process that is running it" in site.output()
    site.open()
    assert [site.slurm.end_of(job) for job in jobs] == [["COMPLETED"] * 2] * 2
    assert sorted(site.begun().values()) == [1, 1]
    first, second = ({p.name for p in site.folder.glob(f"locks-{n}/*")} for n in ("n1", "n2"))
    assert first & second  # each node had the lock of a cell that was at work on the other
    assert bits(site.folder / "runs") == alone


def test_before_its_limit_a_task_goes_back_to_the_queue_and_on_to_the_same_bits(
    site: Any, alone: Bits
) -> None:
    """The signal that Slurm sends two minutes before the limit, as `--signal=B:USR1@120` says."""
    site.shut()
    job = site.send("1")
    site.comes_to_the_gate()
    assert site.call("scancel", "--batch", "--signal=USR1", job).returncode == 0
    until(lambda: site.slurm.jobs_of(job)[0]["Restarts"] == "1", "the requeue")
    site.open()
    assert site.slurm.end_of(job) == ["COMPLETED"]
    assert "stopped; 0 of 2 cells are done; the same command goes on with" in site.output()
    assert "goes on after epoch 1 " in site.output()
    assert bits(site.folder / "runs") == alone


def test_what_a_site_does_not_allow_is_refused(site: Any, tmp_path: Path) -> None:
    """An array too large, a partition that is not there; a full queue lets sbatch wait."""
    too_large = site.call("sbatch", "--array=1-9", "array.sh", "ids.txt")
    assert too_large.stderr.endswith("Invalid job array specification\n")
    nowhere = site.call("sbatch", "--array=1-2", "--partition=nowhere", "array.sh", "ids.txt")
    assert nowhere.stderr.endswith("Invalid partition name specified\n")
    (tmp_path / "full").mkdir()
    with slurm_in(tmp_path / "full", jobs=3) as full:
        held = ["sbatch", "--hold", "--array=1-2", "--wrap=true"]
        assert full.call(*held).returncode == 0
        waits = full.call("timeout", "2", *held)
        assert "temporarily unable to accept job, sleeping and retrying" in waits.stderr
