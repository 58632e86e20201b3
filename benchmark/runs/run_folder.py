"""The run folder on disk: atomic writes, a state derived from its files, a lock that dies with its
process.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image

from benchmark.errors import RecordError, RunLockedError
from benchmark.runs.spec import SCHEMA, RunSpec
from benchmark.storage.atomic import write_bytes as write_bytes
from benchmark.storage.atomic import writing

SPEC, ENVIRONMENT, HISTORY, SCORES = "spec.json", "environment.json", "history.csv", "scores.csv"
PREDICTIONS, TIMING, RESULT, FAILURE = (
    "predictions.zip",
    "timing.json",
    "result.json",
    "failure.json",
)
CHECKPOINT, MODEL, LOCK = "checkpoint.pt", "model.pt", ".lock"
LOCK_PATIENCE_SECONDS = 1.0  # `locked` holds the lock for an instant; a run lasts longer


# what zipfile and Pillow raise at damaged bytes; RuntimeError: a flag that claims encryption or
# another method
DAMAGE = (OSError, ValueError, SyntaxError, RuntimeError, EOFError, LookupError, ArithmeticError, MemoryError,
          zipfile.BadZipFile, zlib.error, struct.error, Image.DecompressionBombError)  # fmt: skip


class RunState(StrEnum):
    """What a run folder's files say of it."""

    DONE = "done"
    FAILED = "failed"
    PARTIAL = "partial"
    PENDING = "pending"
    RUNNING = "running"


class RunFolder:
    """One run's folder under a root, named by its run_id."""

    def __init__(self, root: Path, run_id: str) -> None:
        self.run_id = run_id
        self.path = root / run_id

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def state(self) -> RunState:
        """done: result.json is there; failed: failure.json; partial: begun; running: locked now."""
        if (self / RESULT).exists():
            return RunState.DONE
        if self.locked():
            return RunState.RUNNING
        if (self / FAILURE).exists():
            return RunState.FAILED
        return RunState.PARTIAL if (self / SPEC).exists() else RunState.PENDING

    @property
    def threads(self) -> int | None:
        """How many processor threads the run was begun with; None where that is not known."""
        with contextlib.suppress(RecordError):
            found = read_json(self / ENVIRONMENT).get("threads")
            return found if type(found) is int and found > 0 else None
        return None

    def failed_since(self, moment: float) -> bool:
        """True where the run failed at or after a moment, in seconds since 1970."""
        failure = self / FAILURE
        return failure.exists() and failure.stat().st_mtime >= moment

    def locked(self) -> bool:
        """True while a living process works on this run."""
        if not (self / LOCK).exists():
            return False
        try:
            with FileLock(self / LOCK, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a folder that may only be read: nobody works in it
            return False

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run; the operating system lets go of it if the process dies.

        Raises `RunLockedError` where another process has it.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self / LOCK, timeout=LOCK_PATIENCE_SECONDS):
                yield
        except Timeout as error:
            raise RunLockedError(
                f"{self.run_id}: another process is working on this run"
            ) from error

    def begin(
        self,
        spec: RunSpec,
        environment: Mapping[str, object],
        resume_keys: Sequence[str],
        phantom: bool = False,
    ) -> tuple[bool, str]:
        """Write the spec first, then the environment; return whether a checkpoint may be gone on
        from, and why not.

        A checkpoint of which one of resume_keys has changed is dropped, since its
        continuation would not be the unbroken run. Where the code has changed, the record
        names every commit that worked on the run. Raises `RecordError` where the folder
        holds another spec.
        """
        if (self / SPEC).exists() and read_json(self / SPEC).get("spec") != _finite(
            spec.canonical()
        ):
            raise RecordError(
                f"{self / SPEC} holds another run than its folder says; move the folder away"
            )
        for stray in self.path.glob("*.tmp"):  # hidden ones too: of a process that was killed
            stray.unlink()
        resumable, why = (self / CHECKPOINT).exists() and (self / ENVIRONMENT).exists(), ""
        if resumable:
            before = read_json(self / ENVIRONMENT)
            changed = [key for key in resume_keys if before.get(key) != environment.get(key)]
            why = ", ".join(
                f"{key} was {before.get(key)} and is {environment.get(key)}" for key in changed
            )
            resumable = not changed
        if resumable:
            write_json(self / ENVIRONMENT, joined(before, environment))
        else:
            for name in (CHECKPOINT, HISTORY):
                (self / name).unlink(missing_ok=True)
            heading = {
                "run_id": self.run_id,
                "split_id": spec.split_id,
                "protocol": spec.recipe.name,
            }
            write_json(self / SPEC, {**heading, "phantom": phantom, "spec": spec.canonical()})
            write_json(self / ENVIRONMENT, environment)
        for name in (FAILURE, MODEL):
            (self / name).unlink(missing_ok=True)
        return resumable, why

    def write_history(self, history: Sequence[Mapping[str, float]]) -> None:
        """Rewrite history.csv, one row per finished epoch."""
        if history:
            write_bytes(
                self / HISTORY,
                pd.DataFrame(history).to_csv(index=False, lineterminator="\n").encode(),
            )

    def finish(
        self,
        scores: pd.DataFrame,
        predictions: Mapping[int, NDArray[np.bool_]],
        timing: Mapping[str, object],
        result: Mapping[str, object],
        model: bytes | None = None,
    ) -> None:
        """Write scores, predictions, timing and the model where one is kept, then result.json with
        hashes, last.
        """
        write_bytes(self / SCORES, scores.to_csv(index=False, lineterminator="\n").encode())
        write_bytes(self / PREDICTIONS, pack_masks(predictions))
        write_json(self / TIMING, timing)
        if model is not None:
            write_bytes(self / MODEL, model)
        hashed = (SCORES, PREDICTIONS) if model is None else (SCORES, PREDICTIONS, MODEL)
        hashes = {name: file_sha256(self / name) for name in hashed}
        write_json(
            self / RESULT, {"schema": SCHEMA, "run_id": self.run_id, **result, "sha256": hashes}
        )

    def fail(self, error: BaseException, trace: str) -> None:
        """Record why the run failed; what it had reached stays for the next try."""
        write_json(
            self / FAILURE,
            {"error": type(error).__name__, "message": str(error), "traceback": trace},
        )


def joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The environment of a run that two commits worked on: their names in order, dirty if either
    was.
    """
    commits = str(before.get("git_commit")).split("+")
    if str(now.get("git_commit")) not in commits:
        commits.append(str(now.get("git_commit")))
    dirty = before.get("git_dirty") or now.get("git_dirty")
    return {
        **before,
        "git_commit": "+".join(commits) if commits != ["None"] else None,
        "git_dirty": dirty,
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically; a number that is not finite becomes null."""
    write_bytes(path, (json.dumps(_finite(content), indent=1, allow_nan=False) + "\n").encode())


def _finite(value: Any) -> Any:
    """Plain JSON types all the way down, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; `RecordError` names the file if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{path}: cannot be read ({error}); remove the run's folder to have it run again"
        ) from error
    if not isinstance(content, dict):
        what = type(content).__name__
        raise RecordError(
            f"{path}: holds a {what}, not an object; remove the run's folder to have it run again"
        )
    return content


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pack_masks(masks: Mapping[int, NDArray[np.bool_]]) -> bytes:
    """A zip of 1-bit PNGs named by slice number; the same masks give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for number in sorted(masks):
            png = io.BytesIO()
            Image.fromarray(masks[number]).save(png, "PNG", optimize=True)
            archive.writestr(
                zipfile.ZipInfo(f"{number}.png", (1980, 1, 1, 0, 0, 0)), png.getvalue()
            )
    return packed.getvalue()


def unpack_masks(path: Path) -> dict[int, NDArray[np.bool_]]:
    """Read slice number -> (H, W) bool from predictions.zip; `RecordError` if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                int(name.removesuffix(".png")): np.asarray(
                    Image.open(io.BytesIO(archive.read(name))), dtype=bool
                )
                for name in archive.namelist()
            }
    except DAMAGE as error:
        raise RecordError(
            f"{path}: cannot be read ({error}); remove the run's folder to have it run again"
        ) from error
