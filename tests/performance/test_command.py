"""The commands: whose turn it is, in which process, how they end; growth and loading."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from bench_forms import ROOT

from benchmark.cli.devices import WAITING, WAITING_CHOICES
from performance import __main__ as command
from performance import growth, loading, process
from performance.implementations import IMPLEMENTATIONS, job_fields
from performance.job import Job, Measurement, Memory, carry_out
from performance.peak import Peak
from performance.rounds import run_rounds

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.slow


def answering(log: list[Job], *, failing: str = "") -> Callable[[Job], Any]:
    """Stands in for `process.run`; one implementation fails."""

    def run(job: Job) -> Any:
        log.append(job)
        if job.target == "performance.peak":
            return Peak(50.0 + len(log), "square")
        if failing and job.target == IMPLEMENTATIONS[failing].target:
            raise process.ImplementationError("out of luck")
        return Measurement(8, 2.0, 2, 1.0)

    return run


def test_implementations_take_turns_and_the_first_round_splits(job: Job) -> None:
    log: list[Job] = []
    rows = job_fields(["torchio", "ours"], (1, 2))
    scores = run_rounds(replace(job, busy=1), rows, 2, lambda text: None, answering(log))
    turns = [
        (each.target.rpartition(".")[2], each.workers, each.split) for each in log if each.busy
    ]
    first = [("torchio_peer", 1, True), ("torchio_peer", 2, True), ("ours", 0, True)]
    assert turns == first + [(name, workers, False) for name, workers, _ in first]
    lengths = {label: len(rounds) for label, rounds in scores.by_label.items()}
    assert lengths == {"torchio, 1 worker": 2, "torchio, 2 workers": 2, "ours": 2}
    assert [peak.gflop_per_second for peak in scores.peaks] == [51.0, 55.0]  # nothing beside it


def test_one_that_fails_is_asked_once_and_the_rest_go_on(job: Job) -> None:
    log: list[Job] = []
    said: list[str] = []
    rows = job_fields(["bare", "ours"], ())
    scores = run_rounds(job, rows, 3, said.append, answering(log, failing="bare"))
    assert scores.by_label["bare"] == [None, None, None]
    assert all(scores.by_label["ours"])
    assert scores.reasons == {"bare": "out of luck"}
    assert sum(each.target == IMPLEMENTATIONS["bare"].target for each in log) == 1
    assert "round 1 of 3: bare: failed" in said


# an implementation's own process


@pytest.fixture
def implementation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes an implementation; returns its module's name, which child processes find."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(body: str) -> str:
        imports = "import os\nfrom performance.job import Measurement"
        (tmp_path / "implementation.py").write_text(f"{imports}\ndef measure(job):\n {body}\n")
        return "implementation"

    return write


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import nobody_has_it", "nobody_has_it is not installed; `nox -s speed` installs it"),
        ("raise ValueError('17 is odd\\nindeed')", "ValueError: 17 is odd"),
        ("os.kill(os.getpid(), 9)", "its process died; was there memory enough?"),
    ],
)
def test_an_implementation_tells_why_it_failed(
    body: str, says: str, job: Job, implementation: Callable[[str], str]
) -> None:
    with pytest.raises(process.ImplementationError) as caught:
        process.run(replace(job, target=implementation(body)))
    assert str(caught.value) == says


def test_an_interrupt_ends_the_process_too(
    job: Job, implementation: Callable[[str], str], capfd: Capture, tmp_path: Path
) -> None:
    """Which says nothing, and would go on for ten minutes; while it starts, nobody hears one."""
    begun = tmp_path / "begun"

    def interrupt() -> None:
        while not begun.exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt, daemon=True).start()
    body = f"import time; open({str(begun)!r}, 'w'); time.sleep(600)"
    # a suite that runs in the background of a shell was told to hear none
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            process.run(replace(job, target=implementation(body)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err == ""


def test_processes_wait_as_they_are_told_and_their_speeds_add_up(
    job: Job, implementation: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of 10 images in 4 s each are 5 images/s, of 4 in 1 s each 8; the threads are shared.

    The one beside them, which here sleeps, would go on for ten minutes.
    """
    beside = "import sys, time; open(sys.argv[1], 'w'); time.sleep(600)"
    monkeypatch.setattr(process, "BUSY", [sys.executable, "-c", beside, str(tmp_path / "beside")])
    for name in WAITING_CHOICES:
        monkeypatch.setenv(name, "chosen by hand")
    names = ("OMP_NUM_THREADS", *WAITING_CHOICES)
    body = f"return Measurement(10, 4.0, 4, 1.0, split={{n: os.environ.get(n) for n in {names}}})"
    pair = replace(job, target=implementation(body), threads=6, copies=2, waiting=WAITING, busy=1)
    result = process.run(pair)
    assert (tmp_path / "beside").exists()
    assert result == Measurement(20, 4.0, 8, 1.0, Memory(), result.split)
    assert result.split == {**dict.fromkeys(names), "OMP_NUM_THREADS": "3", **WAITING}
    assert all(os.environ[name] == "chosen by hand" for name in WAITING_CHOICES)


# the command


SMALL = [
    *("--data", "phantoms", "--image-size", "64", "--kernel", "3", "--batch-size", "4"),
    *("--images", "4", "--threads", "1", "--rounds", "1", "--device", "cpu"),
]


def test_the_command_prints_and_adds_a_section(tmp_path: Path, capsys: Capture) -> None:
    """The implementation in a process of its own, as ever; the machine's peak is made up."""

    def run(job: Job) -> Any:
        return Peak(50.0, "square") if job.target == "performance.peak" else process.run(job)

    out = tmp_path / "RESULTS.md"
    words = [*SMALL, "--implementations", "ours", "--out", str(out)]
    assert command.main(words, run) == 0
    printed, progress = capsys.readouterr()
    assert "failed" not in progress
    text = out.read_text(encoding="utf-8")
    assert text.startswith("# Speed")
    assert "64x64, kernel 3, batch 4, fp32, cpu\n" in text
    assert "192 phantoms; of 130 and 33 an epoch, 4 training and 1 validation images timed" in text
    assert f"`python -m performance {' '.join(words[:-1])} path/to/results`" in text
    assert re.search(r"\| ours +\| \d+\.\d\d +\| .* 1\.00 \(1\.00 - 1\.00\)", text)
    assert "ours: this repository's training" in printed


def test_only_printed_where_asked(tmp_path: Path, capsys: Capture) -> None:
    log: list[Job] = []
    words = [*SMALL, "--no-write", "--out", str(tmp_path / "RESULTS.md"), "--busy", "1"]
    assert command.main(words, answering(log)) == 0
    assert "| torchio, " in capsys.readouterr().out
    assert {job.busy for job in log if job.target != "performance.peak"} == {1}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("asked", [False, True])
def test_a_turn_counts_the_time_that_its_process_was_given_where_asked(
    asked: bool, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asleep, a process is given none; on the wall 0.2 s pass."""

    def measure(job: Job) -> float:
        start = time.perf_counter()
        time.sleep(0.2)
        return time.perf_counter() - start

    monkeypatch.setitem(sys.modules, "sleeper", SimpleNamespace(measure=measure))  # type: ignore[arg-type]
    seconds = carry_out(replace(job, target="sleeper", processor_time=asked))
    assert (seconds < 0.1) is asked  # type: ignore[operator]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--contestants", "ourz"], "unknown implementation 'ourz'"),
        (["--rounds", "0"], "--rounds 0 must be a whole number above 0"),
        (["--busy", "-1"], "--busy -1 must be a whole number, 0 or above"),
        (["--batch-size", "4000"], "give a smaller --batch-size"),
        (["--image-size", "100"], "multiples of 32"),
        (["--image-size", "99968"], "above 4096"),
        (["--kernel", "4"], "must be an odd whole number"),
        (["--device", "abacus"], "--device abacus: must be auto, cpu"),
        (["--data", "nowhere/at/all"], "not there"),
        (["--precision", "tf32"], "tf32 needs an NVIDIA card"),
        (["--processor-time", "--threads", "2"], "--processor-time needs --device cpu --threads 1"),
    ],
)
def test_bad_input_is_told_in_a_line(words: list[str], says: str, capsys: Capture) -> None:
    assert command.main([*SMALL, *words]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error


def test_words_that_cannot_be_read_are_refused(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        command.main(["--workers", "two"])
    assert "'two' must be whole numbers separated by commas" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "stopped; nothing was written"),
        (OSError("no room"), 2, "error: no room; mend the path, its permissions or the disk"),
    ],
)
def test_what_stops_the_command_leaves_nothing(
    error: BaseException, code: int, says: str, tmp_path: Path, capsys: Capture
) -> None:
    def stopped(job: Job) -> Any:
        raise error

    assert command.main([*SMALL, "--out", str(tmp_path / "RESULTS.md")], stopped) == code
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_job_installs_what_the_peers_need() -> None:
    """Each package of the speed extra is pinned, and the extra's session is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"\W", need)[0] for need in project["optional-dependencies"]["speed"]}
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert names == {"lightning", "torchio"}
    assert names <= {line.partition("==")[0] for line in pinned}
    jobs = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert '"speed"' in jobs.partition("def speed(")[2].partition("@nox.session")[0]


def test_loading_tells_seconds_and_memory_step_by_step(capsys: Capture) -> None:
    rows = loading.steps("phantoms", 64)
    assert [row[0] for row in rows] == ["importing", "loading", "preprocessing all 192 slices"]
    assert min(row[1] for row in rows) >= 0
    peaks = [most for _, _, now, most in rows if now and most]
    rises = [after - before for before, after in itertools.pairwise(peaks)]
    assert min(rises) > -1  # MiB: the kernel counts pages a little late
    assert loading.main(["--data", "nowhere"]) == 2
    assert "nowhere: not there" in capsys.readouterr().err


def test_growth_times_every_verb_cold_and_warm(capsys: Capture) -> None:
    growth.main(["--runs", "2"])
    rows = [row.split() for row in capsys.readouterr().out.splitlines()[-3:]]
    assert [row[0] for row in rows] == ["plan", "collect", "compare"]
    assert min(float(seconds) for row in rows for seconds in row[1:]) > 0


def test_the_runs_that_growth_makes_up_are_read_as_finished(tmp_path: Path) -> None:
    growth.make(tmp_path, 37)
    said = {"plan": "72 cells, 37 done", "collect": "", "compare": "37 finished runs"}
    for verb, text in said.items():
        code, output = growth.carry_out(verb, tmp_path)
        assert code in (0, 1)
        assert text in output
