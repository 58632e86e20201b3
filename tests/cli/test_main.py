"""A call as a whole: it starts at once, prints any name, and leaves signals as they were."""

from __future__ import annotations

import io
import signal
import threading
from pathlib import Path

import pytest
from bench_forms import call, finish, process

WITHOUT_TORCH = """
import sys
from benchmark.__main__ import main
for command in ("data --help", "plan --help", "plan --data phantoms", "compare", "arms", "data"):
    try:
        main(command.split())
    except SystemExit:
        pass
heavy = sorted({"torch", "monai", "h5py", "skimage", "matplotlib"} & set(sys.modules))
print("imported:", *heavy, file=sys.stderr)
"""


def test_looking_needs_no_torch(tmp_path: Path) -> None:
    code, _, err = finish(process(["-c", WITHOUT_TORCH], cwd=tmp_path))
    assert (code, err) == (0, "imported:\n")


def test_help_comes_at_once(tmp_path: Path) -> None:
    """In processor seconds of a child, so that a busy machine does not matter."""
    resource = pytest.importorskip("resource", reason="needs the processor time of children")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, output, _ = finish(process(["-m", "benchmark", "data", "--help"], cwd=tmp_path))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (code, output[:5]) == (0, "usage")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


@pytest.mark.usefixtures("elsewhere")
def test_a_name_that_the_terminal_cannot_spell_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where output has another encoding than names, as in a C locale or on Windows."""
    terminal = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(terminal, encoding="ascii"))
    assert call("export phantoms größe") == 0
    assert rb"gr\xf6\xdfe" in terminal.getvalue()


def test_signals_are_as_before_when_a_call_has_ended_and_untouched_in_a_thread() -> None:
    before, codes = signal.getsignal(signal.SIGTERM), [call("arms")]
    assert signal.getsignal(signal.SIGTERM) is before
    thread = threading.Thread(target=lambda: codes.append(call("arms")))
    thread.start()
    thread.join()
    assert codes == [0, 0]
