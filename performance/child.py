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


class ImplementationError(Exception):
    """A contestant could not finish; the message says why."""


def run(job: Job, **more: str) -> dict[str, Any]:
    """Carry out a job in a fresh process; return its result's fields. Raises `ImplementationError`.

    more: environment variables beside this process's own.
    """
    words = [sys.executable, "-m", "performance.child"]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(job.threads),
        **more,
    }
    done = subprocess.run(
        words, input=pickle.dumps(job), capture_output=True, env=variables, check=False
    )
    return understood(done.returncode, done.stdout, done.stderr)


def understood(code: int, out: bytes, err: bytes) -> dict[str, Any]:
    """Return the result that an ended process wrote last on its output; `ImplementationError` says why
    there is none.
    """
    if code < 0:
        raise ImplementationError(
            f"ended by signal {signal.Signals(-code).name}; was there memory enough?"
        )
    try:
        result: dict[str, Any] = json.loads(out.decode(errors="replace").splitlines()[-1])
    except (IndexError, ValueError):
        lines = err.decode(errors="replace").strip().splitlines()
        raise ImplementationError(
            lines[-1] if lines else f"ended with {code} and said nothing"
        ) from None
    if "error" in result:
        raise ImplementationError(result["error"])
    return result


def measurement(fields: Mapping[str, Any]) -> Measurement:
    """Put a measurement together again."""
    return Measurement(**{**fields, "memory": Memory(**fields["memory"])})


def answer(job: Job) -> dict[str, Any]:
    """Carry out a job; return its result's fields, or the reason why there is none."""
    try:
        return asdict(carry_out(job))  # type: ignore[call-overload,no-any-return]
    except ModuleNotFoundError as error:
        return {"error": f"{error.name} is not installed; `nox -s speed` installs it"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def main() -> int:
    """Read a job and print its answer; nothing and 130 where it is interrupted."""
    try:
        print(json.dumps(answer(pickle.load(sys.stdin.buffer))))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
