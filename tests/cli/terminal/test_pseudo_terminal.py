"""A real process on a pseudo-terminal: a grid shown, stopped, gone on with; and none elsewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_forms import ROOT, TINY, start

from benchmark.__main__ import main

Capture = pytest.CaptureFixture[str]

# A process with everything imported, which forks a child for each line of arguments, with few
# phantoms and a checkpoint after every epoch, not once a minute; epochs of a tenth of a second
DRIVER = """
import os, sys, time
from functools import partial

import baselines.unet
from benchmark.runs import runner
from benchmark.__main__ import main
from benchmark.data import phantoms
from benchmark.runs.run_folder import RunFolder

write_history = RunFolder.write_history
RunFolder.write_history = lambda *words: (time.sleep(0.1), write_history(*words))
phantoms.make = partial(phantoms.make, patients=8, slices_per_patient=3)
runner.RunOptions = partial(runner.RunOptions, checkpoint_every_seconds=0)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        print("child", os.getpid(), flush=True)
        code = main(line.split())
        sys.stdout.flush()
        os._exit(code)
    print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
LONG = TINY.replace("= 2\n", '= 30\n"training.patience" = 30\n')
GRID = f"""{LONG}
[[arms]]
name = "otsu"

[[arms]]
name = "unet"
alpha = 0.5
"""


class Screen:
    """The driver on a pseudo-terminal of 100 x 30, and what its latest child has written there."""

    def __init__(self, cwd: Path) -> None:
        self.ours, theirs = os.openpty()
        size = {"COLUMNS": "100", "LINES": "30", "TERM": "xterm-256color", "PYTHONPATH": f"{ROOT}"}
        command = [sys.executable, "-c", DRIVER]
        self.child = start(command, cwd, size, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.raw = ""

    @property
    def text(self) -> str:
        """Without escape codes."""
        return re.sub(r"\x1b\[[0-9;?]*\w", "", self.raw).replace("\r", "")

    def run(self, command: str) -> None:
        assert self.child.stdin is not None
        self.raw = ""
        self.child.stdin.write(f"{command}\n")
        self.child.stdin.flush()

    def wait_for(self, pattern: str, seconds: float = 120) -> str:
        """Read until the text has the pattern; return its group."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < end, self.text
            self.raw += os.read(self.ours, 65536).decode(errors="replace")
        return found[1]

    def close(self) -> None:
        self.child.communicate()
        os.close(self.ours)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Screen]:
    (tmp_path / "tiny.toml").write_text(GRID)
    screen = Screen(tmp_path)
    yield screen
    screen.close()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a system with pseudo-terminals")
def test_on_a_terminal_a_grid_that_is_stopped_goes_on_and_ends(driver: Screen) -> None:
    """Ctrl-C in the midst of a training; the same command shows what is done, and goes on."""
    command = "reproduce --data phantoms --grid tiny.toml --out out --threads 1"
    driver.run(command)
    pid = driver.wait_for(r"child (\d+)")
    driver.wait_for(r"(epoch \d+)  Dice")
    os.kill(int(pid), signal.SIGINT)
    assert driver.wait_for(r"exit (\d+)") == "130"
    assert "\x1b[" in driver.raw
    assert re.search(r"unet 5x5 +running", driver.text)
    last = " ".join(driver.text[driver.text.rindex("stopped; 1 of 2 cells are done; ") :].split())
    (kept,) = re.findall(r"command goes on with unet\(.* after epoch (\d+) .*exit 130", last)
    driver.run(command)
    assert driver.wait_for(r"exit (\d+)") == "0"
    assert "Grid tiny: 2 cells, 1 done" in driver.text
    assert f"goes on after epoch {kept} " in driver.text
    cells = "Cells: 2 done, 0 running, 0 partial (begun), 0 failed (tried again), 0 pending"
    assert cells in driver.text


def test_elsewhere_no_escape_code_is_written(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, few_phantoms: None
) -> None:
    """By `plan` and `reproduce`, even where a terminal is claimed by TERM."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    (tmp_path / "tiny.toml").write_text(GRID.replace("30", "1"))
    options = "--data phantoms --grid tiny.toml --out out"
    for command in (f"plan {options}", f"reproduce {options} --threads 1", f"plan {options}"):
        assert main(command.split()) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert re.search(r"unet 5x5 +pending", output)
    assert "    epoch 0  validation Dice " in output
    assert re.search(r"unet 5x5 +done", output)
