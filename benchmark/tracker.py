"""What may follow a training elsewhere, such as TensorBoard: the contract, and which are asked for.

A tracker is told and never asked: nothing of it enters a run, and `history.csv` stays the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from benchmark.errors import BenchmarkError, SpecError, brief, known

ENTRY_POINTS = "meningioma_bench.trackers"
BUILT_IN = {
    "mlflow": "benchmark.trackers.mlflow:MLflow",
    "tensorboard": "benchmark.trackers.tensorboard:TensorBoard",
}
Value = str | int | float | bool | None


class Tracker(Protocol):
    """Follows one run: `start`, an `epoch` for each epoch, `end`.

    It is made by calling its class with the text after NAME= in `--track NAME=WHERE`, in the
    process that trains; and once before any work, to find out what is wrong with it or with WHERE.
    A run that goes on from a checkpoint is told anew, from its first epoch, to a new tracker: so
    it replaces what an earlier one left of this run_id. What it raises ends its own work on the run
    with a warning, and never the run's.
    """

    def start(self, run_id: str, config: Mapping[str, Value]) -> None:
        """Take up a run. config: arm, its parameters, seed, split, size, and SECTION.KEY of the
        protocol.
        """
        ...

    def epoch(self, number: int, numbers: Mapping[str, float]) -> None:
        """Take the row of `history.csv` of an epoch, numbered from 0; of an arm of ours train_loss,
        val_loss, val_dice (0 to 1) and seconds.
        """
        ...

    def end(self, summary: Mapping[str, Value]) -> None:
        """Let go of the run. summary: state, which is done, failed or interrupted; of a run that is
        done also fit.*, test.* and timing.*, of `result.json` and `timing.json`.
        """
        ...


@dataclass(frozen=True)
class Track:
    """A tracker asked for: its name, "module:Class", and the text that it is made with."""

    name: str
    target: str
    where: str

    def open(self) -> Tracker:
        """Import the class and make a tracker; raises whatever the two raise."""
        tracker: Tracker = EntryPoint(self.name, self.target, ENTRY_POINTS).load()(self.where)
        return tracker


def asked_for(words: Sequence[str]) -> tuple[Track, ...]:
    """Return what `--track NAME=WHERE ...` asks for, each of which could be made here.

    Built in, or offered by installed packages under the entry point group `ENTRY_POINTS`. Raises
    `SpecError` for another form, an unknown name, a package that is not installed, and a tracker
    that cannot be made.
    """
    if not words:
        return ()
    table = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)} | BUILT_IN
    tracks = []
    for word in dict.fromkeys(words):
        name, _, where = word.partition("=")
        if not name or not where:
            raise SpecError(f"--track {word!r} must have the form NAME=WHERE")
        if name not in table:
            raise SpecError(f"--track: {known('tracker', name, table)}")
        tracks.append(Track(name, table[name], where))
        _check(tracks[-1])
    return tuple(tracks)


def _check(track: Track) -> None:
    try:
        track.open()
    except BenchmarkError:
        raise
    except ModuleNotFoundError as error:
        raise SpecError(
            f"--track {track.name}: needs the package {error.name}, which is not installed; "
            f"python -m pip install {error.name}, or leave --track out"
        ) from error
    except (Exception, SystemExit) as error:  # of a stranger's code, or of a server
        raise SpecError(
            f"--track {track.name}={track.where}: cannot be used ({brief(error)}); mend it, or "
            "leave --track out"
        ) from error
