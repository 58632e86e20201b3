"""A grid cut into cells by run_id: listed, run one by one or at the same time; and its page."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bench_forms import ROOT, TINY_GRID, bits, called, fenced, finish, process, start

from benchmark.__main__ import main
from benchmark.cli import run_verbs
from benchmark.cli.devices import WorkerDevice
from benchmark.cli.parser import parser
from benchmark.launchers.cluster_file import Needs, load_cluster
from benchmark.runs.run_folder import RunFolder, RunState

Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]
PAGE = ROOT / "docs" / "cluster.md"
WORDS = ["--data", "phantoms", "--grid", "tiny.toml", "--out", "out"]
Allotted = list[list[WorkerDevice]]
CLASSICAL = [*WORDS, "--only", "arm=otsu,background"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny grid, run by one process with one thread."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tiny.toml").write_text(TINY_GRID)
    options = ["--grid", f"{folder / 'tiny.toml'}", "--out", f"{folder / 'out'}", "--threads", "1"]
    assert main(["reproduce", "--data", "phantoms", *options]) == 0
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY_GRID)


def listed(capsys: Capture, *words: str) -> list[str]:
    """The lines of `plan --format ids`."""
    capsys.readouterr()
    assert main(["plan", *words, "--format", "ids"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out.splitlines()


def refused(capsys: Capture, *ids: str) -> str:
    capsys.readouterr()
    assert main(["run", *WORDS, "--id", *ids]) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    return output


def begins(output: str) -> Counter[str]:
    return Counter(re.findall(r"\] (.*): begins", output))


def test_the_list_is_what_is_open_in_the_order_of_the_grid(
    capsys: Capture, few_phantoms: None
) -> None:
    ids = listed(capsys, *WORDS)
    assert [run_id.split("_")[0] for run_id in ids] == ["background", "otsu", "unet", "unet"]
    assert len(set(ids)) == 4
    assert main(["run", *WORDS, "--id", ids[1], "--threads", "1"]) == 0
    assert listed(capsys, *WORDS) == [ids[0], *ids[2:]]
    assert main(["reproduce", *CLASSICAL, "--threads", "1"]) == 0
    assert listed(capsys, *CLASSICAL) == []
    capsys.readouterr()
    assert main(["plan", *CLASSICAL, "--format", "ids"]) == 0
    assert capsys.readouterr().out == ""


def test_only_the_cells_named_are_run(capsys: Capture, tmp_path: Path, few_phantoms: None) -> None:
    ids = listed(capsys, *WORDS)
    assert main(["run", *WORDS, "--id", ids[1], "--id", ids[0], ids[1], "--threads", "1"]) == 0
    output = capsys.readouterr().out
    assert begins(output) == {"otsu(rim=0.2)": 1, "background()": 1}
    assert {path.parent.name for path in tmp_path.glob("out/*/result.json")} == {ids[0], ids[1]}
    assert len(list(tmp_path.glob("out/*/spec.json"))) == 2
    assert main(["run", *WORDS, "--id", ids[1], "--threads", "1"]) == 0
    assert not begins(capsys.readouterr().out)


def test_an_unknown_id_is_named_with_its_nearest(
    capsys: Capture, tmp_path: Path, few_phantoms: None
) -> None:
    ids = listed(capsys, *WORDS)
    other_options = f"{ids[2].rpartition('_')[0]}_01234567"  # the same name, another hash
    output = refused(capsys, other_options)
    lacking = "01234567: grid tiny has no such cell with these options"
    assert f"{lacking}; the nearest is {ids[2]};" in output
    assert "`plan --format ids` with the same options lists those that are open" in output
    # far in spelling, but it begins so
    assert f"; the nearest is {ids[0]}; " in refused(capsys, ids[0][:5])
    assert "no such cell with these options; `plan" in refused(capsys, "?")
    assert "--id is empty: the list has no such line" in refused(capsys, ids[0], "")
    assert not list(tmp_path.glob("out/*/spec.json"))


def test_a_cell_that_another_process_runs_is_left_to_it(
    capsys: Capture, tmp_path: Path, few_phantoms: None
) -> None:
    ids = listed(capsys, *WORDS)
    with RunFolder(tmp_path / "out", ids[1]).lock():
        assert main(["run", *WORDS, "--id", ids[1], "--threads", "1"]) == 0
        output = capsys.readouterr().out
        assert "left to the process that is running it" in output
        assert "1 cells are being run by another process." in output
        assert listed(capsys, *WORDS) == ids  # running is not done
    assert main(["run", *WORDS, "--id", ids[1], "--threads", "1"]) == 0


@pytest.fixture
def allotted(monkeypatch: Patch, few_phantoms: None) -> Allotted:
    """The workers of each call of a machine with 8 cores, which then do nothing."""
    monkeypatch.setattr(run_verbs, "usable_cores", lambda: 8)
    calls: Allotted = []

    def share(asked: object, planned: object, arms: object, workers: Any, *_: object) -> Any:
        calls.append(workers)
        return {}

    def work(planned: object, arms: object, worker: WorkerDevice, *_: object) -> Any:
        calls.append([worker])
        return {}

    monkeypatch.setattr(run_verbs, "share", share)
    monkeypatch.setattr(run_verbs, "work", work)
    return calls


@pytest.mark.parametrize(
    ("states", "workers"), [("PDPP", 3), ("DDDC", 1), ("DDDD", 1)], ids=lambda value: f"{value}"
)
def test_workers_no_more_than_open_cells_and_their_threads_as_ever(
    allotted: Allotted, monkeypatch: Patch, states: str, workers: int
) -> None:
    """8 cores // 4 cells of the grid: a checkpoint is gone on from only with the same threads."""
    names = {"D": RunState.DONE, "P": RunState.PENDING, "C": RunState.PARTIAL}
    monkeypatch.setattr(run_verbs, "states", lambda specs, root: [names[s] for s in states])
    assert main(["reproduce", *WORDS, "--device", "cpu", "--workers", "9"]) == 0
    assert allotted == [[("cpu", 2)] * workers]


def test_more_threads_than_cores_are_told(allotted: Allotted, capsys: Capture) -> None:
    assert main(["reproduce", *CLASSICAL, "--threads", "9"]) == 0
    assert "Note: 9 threads share the 8 cores that this process may use" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"), [("", [("cpu", 1)] * 2), ("--threads 2", [("cpu", 2)])]
)
def test_a_second_worker_joins_unasked_only_where_there_are_cores_for_it(
    allotted: Allotted, options: str, expected: list[tuple[str, int]], monkeypatch: Patch
) -> None:
    """Two cores, and cells of minutes: two workers of one thread, but one of two as was asked."""
    monkeypatch.setattr(run_verbs, "usable_cores", lambda: 2)
    monkeypatch.setattr(run_verbs.GridStatus, "seconds_in_all", lambda self: 600.0)
    assert main(["reproduce", *WORDS, "--device", "cpu", *options.split()]) == 0
    assert allotted == [expected]


@pytest.mark.parametrize(("device", "cards"), [("auto", "010"), ("cuda", "010"), ("cuda:1", "111")])
def test_workers_spread_over_the_cards(
    allotted: Allotted, capsys: Capture, monkeypatch: Patch, device: str, cards: str
) -> None:
    """Two cards that are not there, so far as the start of the workers."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert main(["reproduce", *WORDS, "--device", device, "--workers", "3"]) == 0
    assert allotted == [[(f"cuda:{card}", 2) for card in cards]]
    names = ", ".join(f"cuda:{card}" for card in sorted(set(cards)))
    assert f"3 workers on {names}; threads of each: 2." in capsys.readouterr().out


@pytest.mark.skipif(
    not Path("/proc", "self", "task").exists(), reason="needs Linux, to find the workers"
)
def test_a_worker_that_dies_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_GRID.replace("= 2\n", "= 200\n", 1))
    options = ["--only", "arm=unet", "--workers", "2", "--threads", "1"]
    child = process(["-m", "benchmark", "reproduce", *WORDS, *options], cwd=tmp_path)
    assert child.stdout is not None
    assert any("epoch 0" in line for line in child.stdout)
    for worker in workers_of(child.pid):
        os.kill(worker, signal.SIGKILL)
    code, _, err = finish(child)
    assert code == 2
    assert err.startswith("error: 2 of 2 workers ended early, with exit codes [-9, -9]")


def workers_of(pid: int) -> list[int]:
    """The children of a process that were started to run Python code of multiprocessing's."""
    children = Path("/proc", f"{pid}", "task", f"{pid}", "children").read_text().split()
    return [int(p) for p in children if b"spawn_main" in Path("/proc", p, "cmdline").read_bytes()]


def commands() -> list[list[str]]:
    """What follows `python -m benchmark` in the page's commands, up to a pipe or redirection."""
    text = "\n".join(fenced(PAGE, "", "bash"))
    return [shlex.split(c) for c in re.findall(r"python -m benchmark ([^|>)\n]*)", text)]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_commands_of_the_page_can_be_read(words: list[str]) -> None:
    assert parser().parse_args(words).verb == words[0]


def test_the_page_shows_the_verbs_that_it_is_about() -> None:
    assert {"plan", "run", "reproduce", "compare"} <= {words[0] for words in commands()}


def test_the_cluster_file_of_the_page_says_what_the_page_says(tmp_path: Path) -> None:
    """Four hours and 30 minutes a task are the defaults; a 9x9 cell gets twelve hours."""
    (tmp_path / "cluster.toml").write_text("".join(fenced(PAGE, "toml")))
    cluster = load_cluster([str(tmp_path / "cluster.toml")], {"kernel_size"})
    most, default, (rule,) = cluster.most, Needs(), cluster.rules
    assert (most.minutes, most.minutes_per_task) == (default.minutes, default.minutes_per_task)
    assert (most.partition, most.memory, most.sbatch) == (
        "gpu",
        "16G",
        (("constraint", "icelake"),),
    )
    assert (rule.only, rule.changes["minutes"]) == ({"kernel_size": [9]}, 12 * 60)


@pytest.mark.skipif(not Path("/bin", "bash").exists(), reason="needs bash")
def test_the_script_of_the_page_runs_the_grid_to_the_bits_of_one_process(
    alone: Path, tmp_path: Path
) -> None:
    """As an array of three tasks at once, two cells each at most, told apart as SLURM does."""
    script = next(block for block in fenced(PAGE, "bash") if "SLURM_ARRAY_TASK_ID" in block)
    data = ("--data path/to/slices", "--data phantoms --grid tiny.toml --threads 1")
    for shown, here in (data, ("CELLS=4", "CELLS=2")):
        assert shown in script
        script = script.replace(shown, here)
    (tmp_path / "array.sh").write_text(script)
    listing = ["plan", *WORDS[:4], "--out", "runs", "--format", "ids"]
    _, ids, _ = called(listing, tmp_path)
    (tmp_path / "ids.txt").write_text(ids)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    places, words = {"PYTHONPATH": f"{ROOT}", "PATH": path}, ["bash", "array.sh", "ids.txt"]
    tasks = [places | {"SLURM_ARRAY_TASK_ID": f"{task}"} for task in (1, 2, 3)]
    team = [start(words, tmp_path, variables) for variables in tasks]
    ends = [finish(task) for task in team]
    assert [(code, err) for code, _, err in ends] == [(0, "")] * 3
    assert [sum(begins(output).values()) for _, output, _ in ends] == [2, 2, 0]
    assert bits(tmp_path / "runs") == bits(alone / "out")


RACE = """
import os, sys
from pathlib import Path
from bench_forms import small_recipe, small_slices
from benchmark.splits.files import load_or_make

slices, rule = small_slices(), small_recipe().split
gate, opener = os.pipe()
children = []
for _ in range(8):
    children.append(os.fork())
    if children[-1] == 0:
        os.close(opener)
        os.read(gate, 1)  # until the parent opens
        try:
            load_or_make(slices, rule, 1, Path("splits"))
        except BaseException as error:
            print(repr(error), flush=True)
        os._exit(0)
os.close(opener)
for child in children:
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")
def test_tasks_that_start_at_once_write_one_split(tmp_path: Path) -> None:
    code, output, err = finish(process(["-c", RACE], tmp_path, [ROOT / "tests"]))
    assert (code, output, err) == (0, "", "")
    assert [path.suffix for path in tmp_path.glob("splits/*/*")] == [".json"]
