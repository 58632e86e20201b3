"""Real processes stopped in the midst of a grid: what is told of a cell is what the next call does.

Ctrl-C and SIGTERM, one worker and two, before a cell's first checkpoint and after it.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from bench_forms import TINY, finish, process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform == "win32", reason="there a signal from another process ends it at once"
    ),
]

# `python -m benchmark`, but for the seconds between two checkpoints
PROGRAM = """
import sys
from dataclasses import replace
from benchmark.__main__ import main
from benchmark.cli import run_verbs

def hurried(carry_out):
    def call(*words):
        *others, settings, progress = words
        settings = replace(settings, checkpoint_every_seconds=float(sys.argv[1]))
        return carry_out(*others, settings, progress)
    return call

run_verbs.work, run_verbs.share = hurried(run_verbs.work), hurried(run_verbs.share)
sys.exit(main(sys.argv[2:]))
"""
GRID = f"""{TINY.replace("= 2", "= 400", 1)}
[[arms]]
name = "unet"
kernel_size = 3
alpha = [0.3, 0.7]
"""
COMMAND = "reproduce --data phantoms --grid tiny.toml --out out --threads 1 --workers"
NAME = r"unet\(alpha=0\.[37], kernel_size=3\) seed 452669 on by-image-1"
ANEW = rf"starts {NAME} anew \(cut[^,]*, before its first checkpoint\)"
GOES_ON = rf"goes on with {NAME} after epoch (\d+)(?: \(cut after epoch \d+\))?"


Begin = Callable[[int, float], subprocess.Popen[str]]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start the grid in so many processes, with a checkpoint at most once in so many seconds."""
    children = []
    (tmp_path / "tiny.toml").write_text(GRID)

    def started(workers: int, seconds: float) -> subprocess.Popen[str]:
        words = ["-c", PROGRAM, f"{seconds}", *COMMAND.split(), f"{workers}"]
        children.append(process(words, cwd=tmp_path))
        return children[-1]

    yield started
    for child in children:  # of a test that failed
        child.kill()
        child.communicate()


def stop(child: subprocess.Popen[str], how: signal.Signals) -> str:
    """Stop a call, in the parent alone; return what it tells on stderr, one line."""
    child.send_signal(how)
    code, _, err = finish(child)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    assert re.fullmatch(r"\nstopped; [^\n]*\n", err), err
    return err.strip()


def first_line(child: subprocess.Popen[str], pattern: str) -> str:
    """The first line of stdout in which the pattern is found."""
    assert child.stdout is not None
    return next(line for line in child.stdout if re.search(pattern, line))


def test_before_its_first_checkpoint_a_cell_starts_anew_and_so_it_is_told(
    begin: Begin, tmp_path: Path
) -> None:
    """Each cell that two workers had begun; the next call, of one, begins with epoch 0."""
    child = begin(2, 3600)
    first_line(child, r"epoch \d")
    told = stop(child, signal.SIGTERM)
    assert not list(tmp_path.glob("out/*/checkpoint.pt"))
    assert not list(tmp_path.glob("out/*/failure.json"))
    cells = len(list(tmp_path.glob("out/*/spec.json")))
    assert 1 <= cells <= 2
    anew = ", ".join([ANEW] * cells)
    assert re.fullmatch(f"stopped; 0 of 2 cells are done; the same command {anew}", told), told
    again = begin(1, 3600)
    assert " epoch 0 " in first_line(again, r"epoch \d")
    stop(again, signal.SIGTERM)


def test_after_a_checkpoint_a_cell_goes_on_after_the_epoch_that_is_told(
    begin: Begin, tmp_path: Path
) -> None:
    """The epoch is the last that the checkpoint holds, and the next call says the same."""
    child, end = begin(1, 0), time.monotonic() + 300
    while not list(tmp_path.glob("out/*/checkpoint.pt")):
        assert time.monotonic() < end
        time.sleep(0.05)
    told = stop(child, signal.SIGINT)
    match = re.fullmatch(f"stopped; 0 of 2 cells are done; the same command {GOES_ON}", told)
    assert match, told
    (checkpoint,) = tmp_path.glob("out/*/checkpoint.pt")
    assert int(match[1]) == len(torch.load(checkpoint)["history"]) - 1
    again = begin(1, 0)
    assert f"goes on after epoch {match[1]} " in first_line(again, r"epoch \d")
    stop(again, signal.SIGINT)
