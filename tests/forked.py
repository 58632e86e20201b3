"""Programs started where torch and the other heavy packages are imported already, seconds sooner.

A process imports them once; each program is a fork of it, in which `python -m MODULE WORDS` goes on
as in a new interpreter: a folder, variables and an import path of its own. The module and what it
imports of ours are read then, not before. Run as a script, this is the process that forks.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

HEAVY = ("hypothesis.extra.numpy", "monai.losses", "monai.networks.nets", "pandas", "pytest")
HEAVY += ("scipy.ndimage", "scipy.stats", "skimage.measure", "torch")
HEAVY += ("torch._dynamo", "torch._inductor.config")  # a training's first step imports them
Ended = tuple[int, str, str]


def ended(module: str, words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Ended:
    """Exit code (less than 0 for a signal), stdout and stderr of `python -m MODULE WORDS`.

    A new interpreter but on Linux: macOS's libraries do not survive a fork, Windows has none.
    """
    if sys.platform != "linux":
        command = [sys.executable, "-m", module, *words]
        how: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True}
        done = subprocess.run(command, cwd=folder, env=variables, encoding="utf-8", **how)
        return done.returncode, done.stdout, done.stderr
    process = preloaded()
    assert process.stdin is not None
    assert process.stdout is not None
    asked = {"module": module, "words": list(words), "folder": str(folder)}
    print(json.dumps(asked | {"variables": dict(variables)}), file=process.stdin, flush=True)
    code, out, err = json.loads(process.stdout.readline())
    return code, out, err


@cache
def preloaded() -> subprocess.Popen[str]:
    """The process that forks, not measured by coverage; it ends with this one."""
    left_out = ("COV", "PYTEST", "PYTHONPATH")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    command = [sys.executable, "-P", __file__]
    process = subprocess.Popen(command, env=variables, **pipes)  # type: ignore[call-overload]
    atexit.register(process.communicate)
    return process


def become(asked: Mapping[str, Any], out: IO[bytes], err: IO[bytes]) -> None:
    """Go on as the program that is asked for."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (out.fileno(), 1), (err.fileno(), 2)):
        os.dup2(here, there)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    named = os.environ.get("PYTHONPATH", "")
    sys.path[:0] = [asked["folder"], *filter(None, named.split(os.pathsep))]
    sys.argv[1:] = asked["words"]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


def serve() -> None:
    """Answer each line of stdin, what is asked for as JSON, by a line: how it ended."""
    for module in HEAVY:
        importlib.import_module(module)
    gc.freeze()  # half of a short program would else go into collecting what was imported here
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                become(json.loads(line), out, err)
                return
            code, printed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), []
            for stream in (out, err):
                stream.seek(0)
                printed.append(stream.read().decode("utf-8"))
        print(json.dumps((code, *printed)), flush=True)


if __name__ == "__main__":
    serve()
