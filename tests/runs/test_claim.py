"""The claim beside the lock: one holder at a time, as if no lock reached from node to node."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from bench_forms import Faulty, spec_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from baselines import ARMS
from benchmark.arm import ArmEntry, Cases, FitReport, RunContext
from benchmark.data.slices import SliceSet
from benchmark.errors import RunLockedError, SlurmError
from benchmark.protocol import Recipe
from benchmark.runs import claim, run_folder
from benchmark.runs.claim import DEAD_SECONDS, Claim, Held, find, holder, is_gone, take
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.runs.runner import RunOptions, run_one
from benchmark.runs.slurm_queue import QueuedTask
from benchmark.splits.split import make
from benchmark.training import loop

Patch = pytest.MonkeyPatch
ME = Claim(host="a", node="a", pid=1, token="me")
OTHER = Claim(host="b", node="b", pid=2, token="other")


def on(node: str) -> Claim:
    return replace(OTHER, host=node, node=node, token=f"of {node}")


def silent(held: Held) -> None:
    """Its last sign of life was so long ago that it counts as dead."""
    before = held.path.stat().st_mtime - DEAD_SECONDS - 60
    os.utime(held.path, (before, before))


@pytest.mark.parametrize(
    ("what", "age", "pid", "job", "locked", "gone"),
    [
        ({}, 0, True, True, True, False),
        ({}, DEAD_SECONDS, True, True, True, False),
        ({}, DEAD_SECONDS + 1, True, True, True, True),  # no sign of life
        ({}, -DEAD_SECONDS, True, True, True, False),
        ({}, -DEAD_SECONDS - 1, True, True, True, True),  # none since a clock was put right
        ({"host": "a"}, 0, True, None, True, True),  # of this machine, whose lock was free
        ({"host": "a", "namespace": "x"}, 0, True, None, True, True),  # of a container's last start
        ({"host": "a"}, 0, True, None, False, False),
        ({"host": "a"}, 0, False, None, False, True),  # its process is gone from this machine
        ({"host": "a", "pid": 1}, 0, True, None, False, True),  # its number is this process's
        ({"host": "a", "namespace": "x"}, 0, False, None, False, False),  # a container's numbers
        ({}, 0, False, None, True, False),  # a number of another machine's says nothing
        ({"job": "9_1"}, 0, True, False, True, True),  # its task is gone from the queue
        ({"job": "9_1"}, 0, True, None, True, False),  # the queue cannot be asked
        ({"job": ""}, 0, True, False, True, False),  # it has none
        ({"job": "9_0"}, 0, True, True, True, True),  # this very task, begun anew since
        ({"job": "9_0", "start": 2}, 0, True, False, True, False),  # this very task, as it is now
        ({"job": "9_0", "cluster": "d"}, 0, True, True, True, False),  # a task of another cluster's
    ],
)
def test_a_holder_is_gone_where_that_is_known(
    what: dict[str, Any], age: float, pid: bool, job: bool | None, locked: bool, gone: bool
) -> None:
    me = replace(ME, job="9_0", cluster="c", start=2)
    holder = replace(OTHER, **{"cluster": "c", **what})
    assert is_gone(holder, me, age, lambda _: pid, lambda _: job, locked) is gone


class Nodes(RuleBasedStateMachine):
    """Nodes that take a run, fall silent, wake up and let go, in any order."""

    folder: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        for path in self.folder.iterdir():
            path.unlink()
        self.owner: Held | None = None
        self.is_silent = False
        self.were: list[Held] = []

    @rule(node=st.sampled_from("abc"))
    def takes(self, node: str) -> None:
        if self.owner and not self.is_silent:
            with pytest.raises(RunLockedError):
                take(self.folder, on(node))
            return
        self.were += [self.owner] if self.owner else []
        me = replace(on(node), host=f"{len(self.were)}", token=f"{len(self.were)}")
        self.owner, self.is_silent = take(self.folder, me), False

    @precondition(lambda self: self.owner)
    @rule()
    def falls_silent(self) -> None:
        assert self.owner
        silent(self.owner)
        self.is_silent = True

    @precondition(lambda self: self.owner)
    @rule()
    def writes(self) -> None:
        """A holder that comes back before another took the run still holds it."""
        assert self.owner
        self.owner.check()
        self.is_silent = False

    @precondition(lambda self: self.owner)
    @rule()
    def lets_go(self) -> None:
        assert self.owner
        self.owner.release()
        self.owner = None
        assert find(self.folder) is None

    @precondition(lambda self: self.were)
    @rule(which=st.integers(0, 99))
    def comes_back(self, which: int) -> None:
        """Whoever lost the run notices, and takes nothing from who has it."""
        was = self.were[which % len(self.were)]
        with pytest.raises(RunLockedError, match="was taken over by another process"):
            was.check()
        was.release()
        if self.owner and not self.is_silent:
            self.owner.check()


def test_in_any_order_of_events_one_node_holds_the_run(tmp_path: Path) -> None:
    Nodes.folder = tmp_path
    short = settings(max_examples=20, stateful_step_count=20, derandomize=True, deadline=None)
    run_state_machine_as_test(Nodes, settings=short)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("again", range(10))
def test_of_many_that_find_the_holder_dead_one_takes_over(tmp_path: Path, again: int) -> None:
    """Names come and go while each looks; a look that missed one would make two holders."""
    silent(take(tmp_path, ME))
    taken, gate = list[Held](), threading.Barrier(8)

    def tries(number: int) -> None:
        me = on(f"n{number}")
        gate.wait()
        with contextlib.suppress(RunLockedError):
            taken.append(take(tmp_path, me))

    racers = [threading.Thread(target=tries, args=(number,)) for number in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    (winner,) = taken
    winner.check()
    assert [path.name for path in tmp_path.iterdir()] == [winner.path.name]


@pytest.fixture
def meanwhile(monkeypatch: Patch) -> list[Any]:
    """What others do between a look at the claim and the attempt to take it over."""
    events, put = list[Any](), claim.put

    def late(source: Path, target: Path) -> None:
        while events:
            events.pop()()
        put(source, target)

    monkeypatch.setattr(claim, "put", late)
    return events


def test_who_looked_at_a_dead_holder_before_another_took_over_leaves_it(
    tmp_path: Path, meanwhile: list[Any]
) -> None:
    silent(take(tmp_path, ME))
    winners = list[Held]()
    meanwhile.append(lambda: winners.append(take(tmp_path, on("b"))))
    with pytest.raises(RunLockedError, match="was quicker"):
        take(tmp_path, on("c"))
    winners[0].check()


def test_who_looked_at_a_dead_holder_before_another_took_over_and_ended_withdraws(
    tmp_path: Path, meanwhile: list[Any]
) -> None:
    silent(take(tmp_path, ME))
    third = list[Held]()

    def others() -> None:
        take(tmp_path, on("b")).release()
        third.append(take(tmp_path, on("d")))

    meanwhile.append(others)
    with pytest.raises(RunLockedError, match="was quicker"):
        take(tmp_path, on("c"))
    third[0].check()


def test_who_died_between_two_steps_of_a_takeover_leaves_no_second_holder(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """The claim that it took over is still there, of a holder that is paused."""
    silent(paused := take(tmp_path, ME))
    with monkeypatch.context() as patch:
        patch.setattr(claim, "_sweep", lambda *_: None)  # what is never come to
        silent(take(tmp_path, on("b")))
    held = take(tmp_path, on("c"))
    assert [path.name for path in tmp_path.iterdir()] == [".claim-3"]
    held.check()
    with pytest.raises(RunLockedError):
        paused.check()


@pytest.mark.parametrize("higher", [2, 3])
def test_any_higher_number_says_that_the_run_was_lost(tmp_path: Path, higher: int) -> None:
    held = take(tmp_path, ME)
    (tmp_path / f".claim-{higher}").touch()
    with pytest.raises(RunLockedError):
        held.check()


def test_a_claim_that_goes_while_it_is_looked_at_is_looked_for_again(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    silent(take(tmp_path, ME))
    take(tmp_path, on("b"))
    looks = iter([{1}, {2}])  # names as they were before, and as they are
    monkeypatch.setattr(claim, "_numbers", lambda folder: next(looks))
    found = find(tmp_path)
    assert found
    assert found.claim == on("b")


def test_a_disk_that_does_not_answer_is_no_sign_that_nobody_works(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    take(tmp_path, on("b"))

    def broken(path: Path) -> Claim:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Claim, "read", broken)
    with pytest.raises(OSError, match="Input/output"):
        take(tmp_path, ME)
    assert [path.name for path in tmp_path.iterdir()] == [".claim-1"]


def test_tickets_of_processes_that_were_killed_are_removed_once_they_are_old(
    tmp_path: Path,
) -> None:
    old, young = tmp_path / ".ticket-old", tmp_path / ".ticket-young"
    old.touch()
    young.touch()
    before = young.stat().st_mtime - DEAD_SECONDS - 60
    os.utime(old, (before, before))
    take(tmp_path, ME)
    assert {path.name for path in tmp_path.iterdir()} == {".claim-1", ".ticket-young"}


def test_a_run_whose_heartbeat_cannot_begin_is_let_go(tmp_path: Path, monkeypatch: Patch) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with pytest.raises(RuntimeError), claim.claimed(tmp_path, locked=True):
        pass
    assert not list(tmp_path.iterdir())


def test_two_machines_of_one_name_are_two_and_a_container_is_its_machine() -> None:
    """What Linux draws when it is switched on tells copies apart, and is seen in containers."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        pytest.skip("no Linux")
    assert Claim.mine().host == boot.read_text().strip()
    assert Claim.mine().namespace.startswith("pid:[")


def test_ages_are_told_by_the_clock_of_the_disk(tmp_path: Path, monkeypatch: Patch) -> None:
    """A node whose own clock is an hour ahead takes a living holder for what it is."""
    (folder := tmp_path / "run").mkdir()
    held, now = take(folder, on("b")), time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600)
    claim._clock_ahead.cache_clear()
    assert (found := holder(folder))
    assert found.claim == held.claim
    with pytest.raises(RunLockedError, match="working on this run, on b"):
        take(folder, ME)
    silent(held)
    assert holder(folder) is None
    take(folder, ME).check()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_of_a_damaged_claim_the_heartbeat_alone_counts(tmp_path: Path) -> None:
    held = take(tmp_path, on("b"))
    for damaged in ("", "[1]", '{"more": 1}', "{"):
        held.path.write_text(damaged)
        with pytest.raises(RunLockedError):
            take(tmp_path, ME)
    silent(held)
    take(tmp_path, ME).check()


def test_a_task_of_slurms_is_dead_once_it_is_gone_or_waits_to_begin_anew(
    monkeypatch: Patch,
) -> None:
    queue: dict[str, QueuedTask] = {}
    monkeypatch.setattr(claim, "waiting_or_running", lambda jobs: queue)
    monkeypatch.setattr(claim, "cluster", lambda: "c")
    task = replace(OTHER, job="9_1", cluster="c")
    assert claim.job_lives(task) is False
    queue["9_1"] = QueuedTask("PENDING", "", "name")
    assert claim.job_lives(task) is False
    queue["9_1"] = QueuedTask("COMPLETING", "n1", "name")
    assert claim.job_lives(task) is True
    queue.clear()
    assert claim.job_lives(task, ours=False) is None  # squeue may hide the jobs of others
    assert claim.job_lives(replace(task, cluster="d")) is None  # another cluster's numbers

    def silent_squeue(jobs: object) -> dict[str, QueuedTask]:
        raise SlurmError("squeue does not answer")

    monkeypatch.setattr(claim, "waiting_or_running", silent_squeue)
    assert claim.job_lives(task) is None


@pytest.mark.skipif(sys.platform == "win32", reason="files of Windows name no such user")
def test_a_run_of_another_users_is_left_to_a_task_that_squeue_does_not_show(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(claim, "waiting_or_running", lambda jobs: {})
    monkeypatch.setattr(claim, "cluster", lambda: "c")
    held = take(tmp_path, replace(OTHER, job="9_1", cluster="c"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: held.path.stat().st_uid + 1)
        with pytest.raises(RunLockedError, match="working on this run, on b"):
            take(tmp_path, ME)
    take(tmp_path, ME).check()


def test_a_task_names_its_job_its_node_and_how_often_it_was_begun(monkeypatch: Patch) -> None:
    for name, value in {"ARRAY_JOB_ID": "9", "ARRAY_TASK_ID": "3", "JOB_ID": "12"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "c")
    mine = Claim.mine()
    assert (mine.job, mine.cluster, mine.start) == ("9_3", "c", 2)
    assert (mine.node, mine.pid) == ("n7", os.getpid())
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID")
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    assert Claim.mine().job == "12"
    assert Claim.mine() != Claim.mine()


def test_the_heartbeat_goes_on_while_a_holder_works(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(claim, "HEARTBEAT_SECONDS", 0.01)
    with claim.claimed(tmp_path, locked=True) as held:
        silent(held)
        end = time.monotonic() + 30
        while time.time() - held.path.stat().st_mtime > DEAD_SECONDS:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert not list(tmp_path.iterdir())


@dataclass
class Paused(Faulty):
    """While it learns the process is paused, and another node takes the run over."""

    then: ClassVar[str] = ""
    taken: ClassVar[list[Held]] = []

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        if self.then == "nothing":
            return FitReport()
        assert context.checkpoint
        found = find(context.checkpoint.parent)
        assert found
        silent(Held(found.path, found.number, found.claim))
        self.taken.append(take(context.checkpoint.parent, on("b")))
        if self.then == "an epoch ends":
            context.on_epoch([{"epoch": 0, "seconds": 1.0, "val_dice": 0.5}])
        if self.then == "it fails":
            raise RuntimeError("out of luck")
        return FitReport()


@dataclass
class Table:
    """Runs of one arm in a folder, as on a disk whose locks reach no other node."""

    data: PreparedData
    spec: Any
    out: Path

    def run(self, **options: Any) -> RunState:
        return run_one(self.spec, self.data, RunOptions(self.out, **options))

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.out, self.spec.run_id)


@pytest.fixture
def table(slices: SliceSet, recipe: Recipe, tmp_path: Path, monkeypatch: Patch) -> Iterator[Table]:
    entry, split = ArmEntry.of(Paused), make(slices, recipe.split, 1)
    monkeypatch.setattr(RunFolder, "_flock", lambda *_: contextlib.nullcontext(enter_result=True))
    data = PreparedData(slices, {split.split_id: split}, {"paused": entry, "unet": ARMS["unet"]})
    Paused.taken.clear()
    yield Table(data, spec_of("paused", entry, slices, split, recipe), tmp_path)
    Paused.then = ""


@pytest.mark.parametrize("then", ["an epoch ends", "it fails", "it ends"])
def test_who_lost_a_run_while_paused_writes_nothing_more_of_it(table: Table, then: str) -> None:
    Paused.then = then
    assert table.run() is RunState.RUNNING
    names = {path.name for path in table.folder.path.iterdir()}
    assert names == {"spec.json", "environment.json", ".claim-2"}
    Paused.taken[0].check()  # who has it now was not disturbed


def test_who_lost_a_run_while_a_network_learned_leaves_the_checkpoint_of_who_has_it(
    table: Table, recipe: Recipe, monkeypatch: Patch
) -> None:
    (split,) = table.data.splits.values()
    table.spec = spec_of("unet", ARMS["unet"], table.data.slices, split, recipe, kernel_size=3)
    checkpoint, validate = table.folder / "checkpoint.pt", loop.validate

    def paused(*words: Any) -> tuple[float, float]:
        found = find(table.folder.path)
        assert found
        silent(Held(found.path, found.number, found.claim))
        take(table.folder.path, on("b"))
        checkpoint.write_bytes(b"the winner's")
        return validate(*words)

    monkeypatch.setattr(loop, "validate", paused)
    assert table.run(checkpoint_every_seconds=0.0) is RunState.RUNNING
    assert checkpoint.read_bytes() == b"the winner's"


@pytest.mark.parametrize("last", ["timing.json", "result.json"])
def test_who_loses_a_run_while_it_writes_its_outcome_leaves_what_is_next(
    table: Table, last: str, monkeypatch: Patch
) -> None:
    """No result after a loss, and the checkpoint stays for who has the run now."""
    Paused.then = "nothing"
    folder, write = table.folder, run_folder.write_json

    def paused(path: Path, content: Any) -> None:
        write(path, content)
        if path.name == last:
            (folder / "checkpoint.pt").write_bytes(b"the winner's")
            (folder / ".claim-2").touch()

    monkeypatch.setattr(run_folder, "write_json", paused)
    assert table.run() is RunState.RUNNING
    assert (folder / "checkpoint.pt").exists()
    assert (folder / "result.json").exists() == (last == "result.json")


def test_who_lost_a_run_before_it_begins_writes_no_spec(table: Table) -> None:
    def lost(spec: Any) -> None:
        (table.folder / ".claim-2").touch()

    assert table.run(on_begin=lost) is RunState.RUNNING
    assert not (table.folder / "spec.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks otherwise")
def test_on_a_disk_without_locks_the_claim_alone_holds_a_run(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """No other kind of lock, which would outlive a killed process, takes the place of it."""

    def unknown(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unknown)
    folder, other = RunFolder(tmp_path, "run"), RunFolder(tmp_path, "run")
    with folder.lock():
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)  # as another process of this machine
            assert other.locked()
            with pytest.raises(RunLockedError, match="working on this run"), other.lock():
                pass
        folder.check()
    assert not other.locked()
    take(folder.path, replace(Claim.mine(), pid=2**22 + 1))  # of a process that was killed
    assert not other.locked()
    with other.lock():
        pass


def test_without_locks_a_run_that_another_node_holds_is_left_to_it(table: Table) -> None:
    table.folder.path.mkdir()
    (table.folder / ".lock").touch()
    held = take(table.folder.path, on("b"))
    assert table.folder.state is RunState.RUNNING
    assert table.folder.node == "b"
    assert table.run() is RunState.RUNNING
    assert not table.folder.path.joinpath("spec.json").exists()
    held.release()
    assert table.folder.state is RunState.PENDING
    assert table.folder.node == ""
