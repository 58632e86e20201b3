"""`reproduce --launcher`: what is given away, what is refused and how, and what is not twice."""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bench_forms import TINY_GRID, bits, call, refused
from launchers.fake_slurm import FakeSlurm

from benchmark.cli import launch
from benchmark.launchers import preflight
from benchmark.launchers.cluster_file import Needs
from benchmark.launchers.task import Leaving
from benchmark.planning import time_estimate
from benchmark.runs import run_folder
from benchmark.runs.claim import Claim, take
from benchmark.runs.run_folder import RunFolder, write_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no Slurm")

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
GRID = "--data phantoms --grid tiny.toml --only arm=otsu,background"
SUBMIT = f"reproduce {GRID} --out out --launcher slurm"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: Patch, few_phantoms: None) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY_GRID)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: Patch) -> FakeSlurm:
    pytest.importorskip("submitit")
    (tmp_path / "slurm").mkdir()
    fake = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{fake.commands}{os.pathsep}{os.environ['PATH']}")
    return fake


def said(capsys: Capture, command: str) -> str:
    capsys.readouterr()
    assert call(command) == 0
    return capsys.readouterr().out


def ids(capsys: Capture) -> list[str]:
    return said(capsys, f"plan {GRID} --out out --format ids").split()


def queue_holds(slurm: FakeSlurm, *tasks: str, state: str = "PENDING") -> None:
    """From now on squeue has these tasks, under the name of the one submission there is."""
    (path,) = Path("out/.slurm").glob("*.json")
    slurm.answers("squeue", "".join(f"{task}|{state}||{path.stem}\n" for task in tasks))


def test_debug_runs_each_task_here_to_the_bits_of_a_local_run(
    tmp_path: Path, capsys: Capture
) -> None:
    """Each task as it is after pickling."""
    assert call(f"reproduce {GRID} --out local --threads 1") == 0
    options = "--launcher debug --cluster cells_per_task=1 --threads 1"
    output = said(capsys, f"reproduce {GRID} --out out {options}")
    assert "2 cells: 0 done, 0 running, 0 queued, 2 to be given away" in output
    assert output.count("Grid tiny: 1 cells") == 2
    assert bits(tmp_path / "out") == bits(tmp_path / "local") != {}
    assert "0 to be given away" in said(capsys, f"reproduce {GRID} --out out {options}")
    assert not (tmp_path / "out" / ".slurm").exists()


@pytest.mark.parametrize("launcher", ["debug", "slurm"])
def test_a_dry_run_shows_scripts_and_cells_and_leaves_nothing(
    launcher: str, tmp_path: Path, capsys: Capture, slurm: FakeSlurm
) -> None:
    run_ids = ids(capsys)
    options = "--cluster cells_per_task=1 partition=main time=30 cpus=3 gpus=2 at_once=7 memory=2G"
    words = f"reproduce {GRID} --out out --launcher {launcher} --dry-run {options}"
    output = said(capsys, f"{words} account=abc setup='module load x' sbatch.constraint=rome")
    assert [line for line in output.splitlines() if line.startswith("task ")] == [
        f"task {number}: {run_id}" for number, run_id in enumerate(run_ids)
    ]
    assert "2 cells in 2 tasks, at most 2 at once:" in output
    for line in (
        "#SBATCH --array=0-1%2", "#SBATCH --partition=main", "#SBATCH --time=30",
        "#SBATCH --cpus-per-task=3", "#SBATCH --gpus-per-node=2", "#SBATCH --mem=2G",
        "#SBATCH --account=abc", "#SBATCH --constraint=rome", "#SBATCH --signal=USR2@90",
        "#SBATCH --requeue", "module load x", "#SBATCH --open-mode=append",
    ):  # fmt: skip
        assert (line in output.splitlines()) is (launcher == "slurm")
    assert (" --cpus-per-task=3 " in output) is (launcher == "slurm")  # of srun
    assert slurm.scripts == []
    assert not list(tmp_path.glob("out/*/spec.json"))
    assert not (tmp_path / "out" / ".slurm").exists()


def test_what_is_submitted_is_recorded_and_not_submitted_again_while_it_is_queued(
    capsys: Capture, slurm: FakeSlurm
) -> None:
    run_ids, words = ids(capsys), f"{SUBMIT} --cluster cells_per_task=1"
    output = said(capsys, words)
    assert "Submitted 2 cells in 2 tasks, at most 2 at once as job 12." in output
    (path,) = Path("out/.slurm").glob("*.json")
    assert json.loads(path.read_text())["tasks"] == {"12_0": run_ids[:1], "12_1": run_ids[1:]}
    assert f"--job-name={path.stem}" in slurm.scripts[0]
    queue_holds(slurm, "12_0", "12_1")
    again = said(capsys, words)
    assert "2 cells: 0 done, 0 running, 2 queued, 0 to be given away." in again
    listed = said(capsys, f"plan {GRID} --out out --format list")
    assert [f"queued in 12_{task}" in listed for task in (0, 1, 2)] == [True, True, False]
    queue_holds(slurm, "12_1")
    rest = said(capsys, f"{words} --dry-run")
    assert "1 queued, 1 to be given away" in rest
    assert "1 of these had a task before, which ended without them:" in rest
    assert f"its logs are in {path.with_suffix('')}/." in rest
    assert len(slurm.scripts) == 1


def test_a_task_has_the_slices_of_whoever_submitted_it(
    capsys: Capture, slurm: FakeSlurm, monkeypatch: Patch
) -> None:
    """Whatever the environment says on its node."""
    monkeypatch.setenv("MENINGIOMA_DATA", "phantoms")
    words = "reproduce --grid tiny.toml --only arm=otsu --out out --launcher slurm"
    assert "as job 12." in said(capsys, words)
    (path,) = Path("out/.slurm").glob("*/12_submitted.pkl")
    task = pickle.loads(path.read_bytes()).function
    monkeypatch.setenv("MENINGIOMA_DATA", "nowhere")
    assert task.work(Leaving()) == 0
    assert "1 done, 0 running, 0 queued, 0 to be" in said(capsys, f"{words} --data phantoms")


def test_a_cell_that_failed_in_its_task_is_not_queued_but_given_away_again(
    capsys: Capture, slurm: FakeSlurm
) -> None:
    run_ids = ids(capsys)
    said(capsys, SUBMIT)
    queue_holds(slurm, "12", state="RUNNING")
    folder = RunFolder(Path("out"), run_ids[0])
    folder.path.mkdir()
    folder.fail(ValueError("x"), "where")
    later = time.time() + 60
    os.utime(folder / "failure.json", (later, later))
    assert "1 queued, 1 to be given away" in said(capsys, f"{SUBMIT} --dry-run")
    assert "1 failed (tried again), 0 pending" in said(capsys, f"plan {GRID} --out out")


def test_numbers_of_jobs_that_are_given_out_anew_are_not_taken_for_ours(
    capsys: Capture, slurm: FakeSlurm
) -> None:
    said(capsys, SUBMIT)
    slurm.answers("squeue", "12|RUNNING|n1|somebody-elses\n")
    assert "0 queued, 2 to be given away" in said(capsys, f"{SUBMIT} --dry-run")
    slurm.answers("squeue.err", "slurm_load_jobs error: Invalid job id specified")
    assert "0 queued, 2 to be given away" in said(capsys, f"{SUBMIT} --dry-run")


def test_a_cell_whose_holder_is_gone_from_the_queue_is_given_away_before_its_heartbeat_is_old(
    capsys: Capture, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of another user's is not: squeue may hide it."""
    run_ids = ids(capsys)
    said(capsys, SUBMIT)
    folder = RunFolder(Path("out"), run_ids[0])
    folder.path.mkdir()
    write_json(folder / "spec.json", {"phantom": True})
    (folder / ".lock").touch()
    take(folder.path, Claim("elsewhere", "n7", 1, "12", "fake", 0, "token"))
    queue_holds(slurm, "12", state="RUNNING")
    listed = said(capsys, f"plan {GRID} --out out --format list")
    assert "running on n7" in listed
    assert "1 running, 1 queued, 0 to be given away" in said(capsys, f"{SUBMIT} --dry-run")
    slurm.answers("squeue", "")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: (folder / ".claim-1").stat().st_uid + 1)
        assert "1 running, 0 queued, 1 to be given away" in said(capsys, f"{SUBMIT} --dry-run")
    assert "0 running, 0 queued, 2 to be given away" in said(capsys, f"{SUBMIT} --dry-run")
    assert "1 partial (begun)" in said(capsys, f"plan {GRID} --out out")


def test_where_squeue_does_not_answer_nothing_is_submitted_and_plan_says_so(
    capsys: Capture, slurm: FakeSlurm
) -> None:
    said(capsys, SUBMIT)
    slurm.answers("squeue.err", "Unable to contact slurm controller\n(connect failure)")
    error = refused(capsys, SUBMIT)
    assert "what is queued is not known: squeue does not answer (Unable to contact slurm" in error
    assert "nothing is submitted" in error
    assert len(slurm.scripts) == 1
    output = said(capsys, f"plan {GRID} --out out")
    assert "Note: which cells are queued is not known: squeue does not answer" in output
    assert "2 pending" in output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("partition=mian", "partition 'mian' is none of this cluster's; known: long, main (sinfo)"),
        ("partition=main time=61", "61 minutes are above the limit of partition 'main', 1:00:00;"),
        ("partition=main,mian", "partition 'mian' is none of this cluster's; known: long, main ("),
        ("partition=main,brief time=61", "limit of partition 'main,brief', 1:00:00 and 30:00;"),
        ("time=90 notice_seconds=5400", "notice_seconds: 5400 are not below the time of a task"),
        ("time=90 notice_seconds=9999", "5400 s; give a shorter notice or a longer time"),
        ("cells_per_task=0", "cells_per_task = '0' must be a whole number from 1 up"),
        ("nowhere.toml", "--cluster nowhere.toml: there is no such file"),
    ],
)
def test_what_the_cluster_lacks_is_told_before_anything_is_submitted(
    capsys: Capture, slurm: FakeSlurm, words: str, told: str
) -> None:
    if "brief" in words:
        slurm.answers("sinfo", "main|1:00:00\nbrief|30:00\nlong*|infinite\n")
    assert told in refused(capsys, f"{SUBMIT} --cluster {words}")
    assert slurm.scripts == []


@pytest.mark.parametrize("words", ["partition=main,brief time=60", "partition=main,long time=61"])
def test_of_several_partitions_one_with_the_time_is_enough(
    capsys: Capture, slurm: FakeSlurm, words: str
) -> None:
    slurm.answers("sinfo", "main|1:00:00\nbrief|30:00\nlong*|infinite\n")
    output = said(capsys, f"{SUBMIT} --dry-run --cluster {words}")
    assert f"#SBATCH --{words.partition(' ')[0]}" in output.splitlines()


def test_without_a_partition_the_time_is_held_to_that_of_the_default(
    capsys: Capture, slurm: FakeSlurm, monkeypatch: Patch
) -> None:
    """sinfo(1): %P marks it by an asterisk. $SBATCH_PARTITION is sbatch's own other default."""
    slurm.answers("sinfo", "main*|1:00:00\nlong|infinite\n")
    error = refused(capsys, f"{SUBMIT} --cluster time=61")
    assert "time: 61 minutes are above the limit of the default partition, 1:00:00;" in error
    assert "or another partition" in error
    for words in ("time=60", "time=61 partition=long"):
        assert "to be given away" in said(capsys, f"{SUBMIT} --dry-run --cluster {words}")
    monkeypatch.setenv("SBATCH_PARTITION", "long")
    assert "to be given away" in said(capsys, f"{SUBMIT} --dry-run --cluster time=61")


@pytest.mark.parametrize(
    "words", ["--device cuda", "--device cuda:1", "--set training.precision=tf32"]
)
def test_what_needs_a_card_is_refused_where_tasks_ask_for_none(
    capsys: Capture, slurm: FakeSlurm, words: str
) -> None:
    told = f"{'precision tf32' if 'tf32' in words else words} needs a card, and tasks ask for none"
    for without in ("gpus=0", "sbatch.gres=false", "sbatch.constraint=rome"):
        assert told in refused(capsys, f"{SUBMIT} {words} --cluster {without}")
    for option in ("gpus=1", "sbatch.gres=gpu:1", "sbatch.gpus_per_task=1"):
        output = said(capsys, f"{SUBMIT} {words} --dry-run --cluster {option}")
        assert "2 cells in 1 task," in output


def test_options_of_sbatch_that_are_false_are_not_given(capsys: Capture, slurm: FakeSlurm) -> None:
    words = "sbatch.exclusive=false sbatch.contiguous=true sbatch.nice=0"
    output = said(capsys, f"{SUBMIT} --dry-run --cluster {words}").splitlines()
    assert not [line for line in output if "exclusive" in line]
    assert {"#SBATCH --contiguous", "#SBATCH --nice=0"} <= {*output}


def test_the_node_that_looks_is_asked_for_with_options_of_one_and_nought(
    monkeypatch: Patch,
) -> None:
    """1 == True in Python, but it is a value."""
    asked: list[tuple[str, ...]] = []

    def ask(*words: str, seconds: float) -> str:
        asked.append(words)
        return ""

    monkeypatch.setattr(preflight, "ask", ask)
    options = (("switches", 1), ("nice", 0), ("exclusive", True), ("contiguous", False))
    preflight.check_seen([], Needs(sbatch=options))
    assert {"--switches=1", "--nice=0"} <= {*asked[0]}
    assert not [word for word in asked[0] if "exclusive" in word or "contiguous" in word]


def test_a_rule_that_speaks_of_no_cell_is_noted(capsys: Capture, slurm: FakeSlurm) -> None:
    rules = "[[cells]]\nonly = {arm = 'otsu'}\ncpus = 2\n[[cells]]\nonly = {arm = 'ostu'}\ncpus = 3"
    Path("mine.toml").write_text(rules)
    output = said(capsys, f"{SUBMIT} --dry-run --cluster mine.toml")
    assert (
        "Note: [[cells]] 2 of --cluster speaks of no cell of this grid: only = {'arm': ['ostu']}"
        in output
    )
    assert "[[cells]] 1" not in output


def test_a_job_does_not_inherit_what_the_task_that_submitted_it_knew_of_itself(
    capsys: Capture, slurm: FakeSlurm, monkeypatch: Patch
) -> None:
    for name in ("ARRAY_JOB_ID", "ARRAY_TASK_ID", "RESTART_COUNT", "CONF"):
        monkeypatch.setenv(f"SLURM_{name}", "7")
    said(capsys, SUBMIT)
    there = (slurm.told / "env").read_text()
    assert [n in there for n in ("SLURM_ARRAY_", "SLURM_RESTART", "SLURM_CONF=7")] == [0, 0, 1]


def test_a_task_tells_time_by_the_disk_and_opens_no_run_but_its_own(
    capsys: Capture, slurm: FakeSlurm, monkeypatch: Patch
) -> None:
    """Of its submission, whatever the login node's clock says."""
    clock = time.time
    monkeypatch.setattr(launch.time, "time", lambda: clock() + 3600)
    said(capsys, SUBMIT)
    monkeypatch.setattr(launch.time, "time", clock)
    (path,) = Path("out/.slurm").glob("*/12_submitted.pkl")
    task = pickle.loads(path.read_bytes()).function
    assert abs(task.work.args[4] - path.parent.stat().st_mtime) < 60
    other = RunFolder(Path("out"), "another")
    other.path.mkdir()
    for name in ("spec.json", "result.json"):
        write_json(other / name, {"phantom": False})
    opened: list[Path] = []
    read = run_folder.read_json

    def noted(path: Path) -> Any:
        opened.append(path.parent)
        return read(path)

    for module in (run_folder, time_estimate):
        monkeypatch.setattr(module, "read_json", noted)
    assert task.work(Leaving()) == 0
    assert other.path not in opened


def test_an_array_that_is_too_large_is_told_with_what_makes_it_fit(
    capsys: Capture, slurm: FakeSlurm
) -> None:
    """MaxArraySize 2 is one task, numbered 0: slurm.conf(5), one above the highest number."""
    slurm.answers("largest", "2")
    error = refused(capsys, f"{SUBMIT} --cluster cells_per_task=1")
    assert "an array of 2 tasks is above this cluster's 1 (MaxArraySize);" in error
    assert "--cluster cells_per_task=2 makes it fit" in error
    assert "Submitted" in said(capsys, f"{SUBMIT} --cluster cells_per_task=2 time=30")


def test_where_a_rule_makes_an_array_too_large_it_is_the_rule_that_is_named(
    capsys: Capture, slurm: FakeSlurm
) -> None:
    """A word of the command line does not overrule it."""
    slurm.answers("largest", "2")
    rule = "[[cells]]\nonly = {arm = ['otsu', 'background']}\ncells_per_task = 1"
    Path("mine.toml").write_text(rule)
    error = refused(capsys, f"{SUBMIT} --cluster mine.toml cells_per_task=2")
    assert "--cluster cells_per_task = 2 in [[cells]] 1 of its file makes it fit" in error


def test_a_path_that_nodes_do_not_see_is_told(capsys: Capture, slurm: FakeSlurm) -> None:
    slurm.answers("srun", f"lacks {Path.cwd()}\nlooked on n1\n")
    error = refused(capsys, SUBMIT)
    assert f"{Path.cwd()}: cannot be seen from compute node n1; put data, runs and the" in error
    assert slurm.scripts == []
    assert {path.name for path in Path("out/.slurm").iterdir()} == {".gitignore"}


def test_where_no_node_is_free_to_look_that_is_a_note(capsys: Capture, slurm: FakeSlurm) -> None:
    slurm.answers("srun.err", "srun: error: Unable to allocate resources")
    output = said(capsys, SUBMIT)
    assert "Note: no compute node could be asked whether it sees" in output
    assert "as job 12." in output


def test_what_sbatch_refuses_is_told_in_its_words(capsys: Capture, slurm: FakeSlurm) -> None:
    slurm.answers("sbatch.err", "sbatch: error: Invalid account or account/partition combination")
    error = refused(capsys, SUBMIT)
    assert "sbatch refuses the array: Invalid account or account/partition combination" in error
    assert not list(Path("out/.slurm").glob("*.json"))


def test_without_slurm_or_submitit_that_is_one_line(capsys: Capture, monkeypatch: Patch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    assert "there is no sbatch here; give the command on a login node" in refused(capsys, SUBMIT)
    monkeypatch.setattr(preflight.importlib.util, "find_spec", lambda name: None)
    error = refused(capsys, SUBMIT)
    assert "--launcher slurm needs submitit, which is not installed: pip install" in error
    assert "[cluster]" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--cluster time=3", "--cluster goes with --launcher slurm or debug"),
        ("--dry-run", "--dry-run goes with --launcher slurm or debug"),
        ("--launcher debug --workers 2", "--workers and --launcher: a task is one process"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(
    capsys: Capture, words: str, told: str
) -> None:
    assert told in refused(capsys, f"reproduce {GRID} --out out {words}")


def test_every_program_that_is_looked_for_has_its_fake(slurm: FakeSlurm) -> None:
    assert {path.name for path in slurm.commands.iterdir()} == {*preflight.PROGRAMS}
