"""Runs of pytest that begin where the heavy packages have been imported, each in a fork.

Started in the folder whose tests are to be run. Each line of standard input is the arguments of one
run, as JSON, and is answered by a line: [exit code, what was printed]. No package of that folder is
imported before a run asks for it, so that a run tests what lies there at its time.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile

HEAVY = ("hypothesis.extra.numpy", "monai.losses", "monai.networks.nets", "pandas", "pytest")
HEAVY += ("scipy.stats", "scipy.ndimage", "skimage.measure", "torch")
FORKS = sys.platform == "linux"  # macOS's libraries do not survive a fork, Windows has none


def forked(arguments: list[str]) -> tuple[int, str]:
    """pytest's exit code, less than 0 for a signal, and its output."""
    import pytest

    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        child = os.fork()
        if child == 0:
            nothing = os.open(os.devnull, os.O_RDONLY)
            for here, there in ((nothing, 0), (printed.fileno(), 1), (printed.fileno(), 2)):
                os.dup2(here, there)
            # pytest warns that it comes too late to rewrite hypothesis's assertions
            sys.exit(pytest.main([*arguments, "-W", "ignore::pytest.PytestAssertRewriteWarning"]))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        printed.seek(0)
        return code, printed.read()


def started(arguments: list[str]) -> tuple[int, str]:
    """The same of a new interpreter."""
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    if FORKS:
        for module in HEAVY:
            importlib.import_module(module)
        gc.freeze()  # half of a short run would else go into collecting what was imported here
    for line in sys.stdin:
        print(json.dumps((forked if FORKS else started)(json.loads(line))), flush=True)
