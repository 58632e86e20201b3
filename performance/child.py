"""A contestant's own process: a job comes in on stdin, one line of JSON goes out.

So one contestant's memory, allocator and settings never reach the next.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from performance.job import Job, Measurement, Memory, carry_out

ROOT = Path(__file__).resolve().parent.parent


class ContestantError(Exception):
    """A contestant could not finish; the message says why."""


def run(job: Job, **more: str) -> dict[str, Any]:
    """Carry out a job in a fresh process; return its result's fields. Raises `ContestantError`.

    more: environment variables beside this process's own.
    """
    words = [sys.executable, "-m", "performance.child"]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(job.threads), **more}
    done = subprocess.run(words, input=pickle.dumps(job), capture_output=True, env=variables, check=False)
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode < 0:
        raise ContestantError(f"ended by signal {signal.Signals(-done.returncode).name}; was there memory enough?")
    try:
        answer: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ContestantError(said[-1] if said else f"ended with {done.returncode} and said nothing") from None
    if "error" in answer:
        raise ContestantError(answer["error"])
    return answer


def measurement(fields: Mapping[str, Any]) -> Measurement:
    """Put a measurement together again."""
    return Measurement(**{**fields, "memory": Memory(**fields["memory"])})


def main() -> int:
    """Read a job, carry it out, write its result or the reason why there is none."""
    try:
        answer = asdict(carry_out(pickle.load(sys.stdin.buffer)))  # type: ignore[call-overload]
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        answer = {"error": f"{error.name} is not installed; `nox -s speed` installs it"}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
