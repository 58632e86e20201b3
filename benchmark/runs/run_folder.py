"""The run folder on disk: its files, the state they tell, and a lock that dies with its process."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image

from benchmark.arm_source import ArmSource
from benchmark.errors import RecordError, RunLockedError
from benchmark.runs.claim import Held, claimed, holder
from benchmark.runs.spec import SCHEMA, RunSpec
from benchmark.storage.atomic import write_bytes, writing

SPEC, ENVIRONMENT, HISTORY, SCORES = "spec.json", "environment.json", "history.csv", "scores.csv"
PREDICTIONS, TIMING, RESULT = "predictions.zip", "timing.json", "result.json"
FAILURE, CHECKPOINT, MODEL, LOCK = "failure.json", "checkpoint.pt", "model.pt", ".lock"
LOCK_PATIENCE_SECONDS = 1.0  # `locked` holds the lock for an instant; a run lasts longer
CURE = "remove the run's folder to have it run again"
# what zipfile and Pillow raise at damaged bytes; RuntimeError: a flag that claims encryption
DAMAGE = (OSError, ValueError, SyntaxError, RuntimeError, EOFError, LookupError, ArithmeticError,
          MemoryError, zipfile.BadZipFile, zlib.error, struct.error,
          Image.DecompressionBombError)  # fmt: skip


class RunState(StrEnum):
    """What a run folder's files say of it."""

    DONE = "done"
    FAILED = "failed"
    PARTIAL = "partial"
    PENDING = "pending"
    RUNNING = "running"
    QUEUED = "queued"  # told by the batch system, never by a folder


class RunFolder:
    """One run's folder under a root, named by its run_id."""

    def __init__(self, root: Path, run_id: str) -> None:
        self.run_id = run_id
        self.path = root / run_id
        self.held: Held | None = None

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
            threads = read_json(self / ENVIRONMENT).get("threads")
            return threads if type(threads) is int and threads > 0 else None
        return None

    def failed_since(self, moment: float) -> bool:
        """True where the run failed at or after a moment, in seconds since 1970."""
        failure = self / FAILURE
        return failure.exists() and failure.stat().st_mtime >= moment

    @property
    def node(self) -> str:
        """The name of the machine that works on this run; "" where none is known to."""
        at_work = holder(self.path)
        return at_work.claim.node if at_work else ""

    def locked(self) -> bool:
        """True while a living process works on this run, here or on another machine."""
        if not (self / LOCK).exists():
            return False
        try:
            with self._flock(0) as locked:
                pass
        except Timeout:
            return True
        except OSError:  # a folder that may only be read: nobody works in it
            return False
        return holder(self.path, locked) is not None

    @contextlib.contextmanager
    def _flock(self, patience: float) -> Iterator[bool]:
        """Hold the lock of this machine; False where the disk has none, and claims alone tell."""
        lock = FileLock(self / LOCK, timeout=patience, fallback_to_soft=False)
        try:
            lock.acquire()
        except OSError as error:  # `Timeout` is one, without a number
            if error.errno != errno.ENOSYS:
                raise
        try:
            yield lock.is_locked
        finally:
            lock.release()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run; the operating system lets go of it if the process dies.

        A claim beside the lock holds it for other machines as well (`benchmark.runs.claim`). Raises
        `RunLockedError` where another process has it.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            with (
                self._flock(LOCK_PATIENCE_SECONDS) as locked,
                claimed(self.path, locked) as held,
            ):
                self.held = held
                yield
        except Timeout as error:
            raise RunLockedError(
                f"{self.run_id}: another process is working on this run"
            ) from error
        finally:
            self.held = None

    def check(self) -> None:
        """Raise `RunLockedError` where another process has taken over the run that was held."""
        if self.held:
            self.held.check()

    def begin(
        self,
        spec: RunSpec,
        environment: Mapping[str, object],
        resume_keys: Sequence[str],
        phantom: bool = False,
        source: ArmSource | None = None,
    ) -> tuple[bool, str]:
        """Write the spec first, then the environment; source: of an arm from outside.

        Return whether a checkpoint may be gone on from, and why not. One of which a resume key has
        changed is dropped, since its continuation would not be the unbroken run. Where the code has
        changed, the record names every commit that worked on the run. Raises `RecordError` where
        the folder holds another spec.
        """
        self.check()
        canonical = _finite(spec.canonical())
        if (self / SPEC).exists() and read_json(self / SPEC).get("spec") != canonical:
            raise RecordError(
                f"{self / SPEC} holds another run than its folder says; move the folder away"
            )
        for stray in self.path.glob("*.tmp"):  # hidden ones too: of a process that was killed
            stray.unlink()
        for name in (FAILURE, MODEL):
            (self / name).unlink(missing_ok=True)
        why = ""
        if (self / CHECKPOINT).exists() and (self / ENVIRONMENT).exists():
            before = read_json(self / ENVIRONMENT)
            why = ", ".join(
                f"{key} was {before.get(key)} and is {environment.get(key)}"
                for key in resume_keys
                if before.get(key) != environment.get(key)
            )
            if not why:
                write_json(self / ENVIRONMENT, joined(before, environment))
                return True, ""
        for name in (CHECKPOINT, HISTORY):
            (self / name).unlink(missing_ok=True)
        heading: dict[str, object] = {"run_id": self.run_id}
        heading |= {"split_id": spec.split_id, "protocol": spec.recipe.name}
        heading |= {"arm_source": asdict(source)} if source else {}
        write_json(self / SPEC, {**heading, "phantom": phantom, "spec": canonical})
        write_json(self / ENVIRONMENT, environment)
        return False, why

    def write_history(self, history: Sequence[Mapping[str, float]]) -> None:
        """Rewrite history.csv, one row per finished epoch."""
        self.check()
        if history:
            write_bytes(self / HISTORY, csv_bytes(pd.DataFrame(history)))

    def finish(
        self,
        scores: pd.DataFrame,
        predictions: Mapping[int, NDArray[np.bool_]],
        timing: Mapping[str, object],
        result: Mapping[str, object],
        model: bytes | None = None,
    ) -> None:
        """Write scores, predictions, timing, the model where one is kept, and result.json last.

        As do the others that write while the run is held, it raises `RunLockedError`, and writes
        nothing more, where another process has taken it over.
        """
        self.check()
        write_bytes(self / SCORES, csv_bytes(scores))
        write_bytes(self / PREDICTIONS, pack_masks(predictions))
        write_json(self / TIMING, timing)
        if model is not None:
            write_bytes(self / MODEL, model)
        hashed = (SCORES, PREDICTIONS) if model is None else (SCORES, PREDICTIONS, MODEL)
        sha256 = {name: file_sha256(self / name) for name in hashed}
        heading = {"schema": SCHEMA, "run_id": self.run_id}
        self.check()
        write_json(self / RESULT, {**heading, **result, "sha256": sha256})

    def fail(self, error: BaseException, trace: str) -> None:
        """Record why the run failed; what it had reached stays for the next try."""
        self.check()
        what = {"error": type(error).__name__, "message": str(error), "traceback": trace}
        write_json(self / FAILURE, what)


def joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The environment of a run that two commits worked on: both names, dirty if either was."""
    commits = str(before.get("git_commit")).split("+")
    if str(now.get("git_commit")) not in commits:
        commits.append(str(now.get("git_commit")))
    commit = "+".join(commits) if commits != ["None"] else None
    dirty = before.get("git_dirty") or now.get("git_dirty")
    return {**before, "git_commit": commit, "git_dirty": dirty}


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


def read_json(path: Path, cure: str = CURE) -> dict[str, Any]:
    """Read a JSON object; `RecordError` names the file if it is damaged, and the cure."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); {cure}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path}: holds a {type(content).__name__}, not an object; {cure}")
    return content


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as the bytes of a file, floats in full."""
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text.encode()


def file_sha256(path: Path) -> str:
    """64 hex digits of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pack_masks(masks: Mapping[Any, NDArray[np.bool_]]) -> bytes:
    """A zip of 1-bit PNGs named by slice number, or other key; equal masks give equal bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for number in sorted(masks):
            png = io.BytesIO()
            Image.fromarray(masks[number]).save(png, "PNG", optimize=True)
            member = zipfile.ZipInfo(f"{number}.png", (1980, 1, 1, 0, 0, 0))
            archive.writestr(member, png.getvalue())
    return packed.getvalue()


def unpack_masks(path: Path) -> dict[int, NDArray[np.bool_]]:
    """Read slice number -> (H, W) bool from predictions.zip; `RecordError` if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise ValueError("it unpacks to more than it holds")
            pngs = {
                int(name.removesuffix(".png")): archive.read(name) for name in archive.namelist()
            }
        return {
            number: np.asarray(Image.open(io.BytesIO(png)), dtype=bool)
            for number, png in pngs.items()
        }
    except DAMAGE as error:
        raise RecordError(f"{path}: cannot be read ({error}); {CURE}") from error
