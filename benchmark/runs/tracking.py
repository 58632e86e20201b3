"""A run told to the trackers that were asked for, which can neither stop nor change it."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmark.errors import brief
from benchmark.runs.reader import canonical
from benchmark.runs.run_folder import HISTORY, RESULT, TIMING, RunFolder, read_json
from benchmark.runs.spec import RunSpec
from benchmark.tracker import Track, Tracker, Value

History = Sequence[Mapping[str, float]]


class _Follower:
    """One tracker of one run; after anything that it raises it is told no more."""

    def __init__(self, track: Track, spec: RunSpec) -> None:
        self.name, self.run_id, self.told = track.name, spec.run_id, 0
        self.tracker: Tracker | None = None
        with self._heeded():
            tracker = track.open()
            tracker.start(spec.run_id, config_of(spec))
            self.tracker = tracker

    def epochs(self, history: History) -> None:
        """Tell the epochs that were not told yet."""
        for index in range(self.told, len(history)):
            self.told, numbers = index + 1, dict(history[index])
            with self._heeded():
                if self.tracker:
                    self.tracker.epoch(int(numbers.pop("epoch", index)), numbers)

    def end(self, summary: Mapping[str, Value]) -> None:
        """Tell how the run ended."""
        with self._heeded():
            if self.tracker:
                self.tracker.end(dict(summary))

    @contextlib.contextmanager
    def _heeded(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:  # of a stranger's code, a server or a disk
            self.tracker = None
            print(
                f"warning: {self.run_id}: tracker {self.name} is told no more of it, since it "
                f"raised {brief(error)}; the run goes on, and {HISTORY} has its epochs",
                file=sys.stderr,
                flush=True,
            )


@contextlib.contextmanager
def tracked(
    spec: RunSpec, folder: RunFolder, tracks: Sequence[Track]
) -> Iterator[Callable[[History], None]]:
    """Inside, a run is told to trackers: yields what is called with the history after each epoch.

    A history that begins with epochs of an earlier process is told from its first epoch. The end is
    told as the folder has it: done with its summary, and any epoch of history.csv not told yet.
    """
    followers = [_Follower(track, spec) for track in tracks]
    summary: dict[str, Value] = {"state": "interrupted"}

    def tell(history: History) -> None:
        for follower in followers:
            follower.epochs(history)

    try:
        yield tell
        done = (folder / RESULT).exists()
        summary["state"] = "done" if done else "failed"
        if followers and done:
            tell(_history(folder))
            summary |= _summary(folder)
    finally:
        for follower in followers:
            follower.end(summary)


def config_of(spec: RunSpec) -> dict[str, Value]:
    """What a run is as plain values by name: parameters and settings as `--only` and `--set` name
    them.
    """
    settings = {
        f"{section}.{key}": value
        for section, values in spec.recipe.identity().items()
        for key, value in values.items()
    }
    own: dict[str, Any] = {"arm": spec.arm, **spec.params, "seed": spec.seed}
    own |= {"split": spec.split_id, "height": spec.shape[0], "width": spec.shape[1]}
    own |= {"protocol": spec.recipe.name, "dataset_id": spec.dataset_id, **settings}
    return {name: _plain(value) for name, value in own.items()}


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | int | float | bool | None) else canonical(value)


def _history(folder: RunFolder) -> list[dict[str, float]]:
    """The numbers of each row of history.csv; none where an arm has no epochs."""
    if not (folder / HISTORY).exists():
        return []
    with (folder / HISTORY).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        {name: float(value) for name, value in row.items() if _is_number(value)} for row in rows
    ]


def _is_number(text: str) -> bool:
    """False for what an arm from outside may have put there beside numbers, and for nothing."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _summary(folder: RunFolder) -> dict[str, Value]:
    """fit.*, test.* and timing.*, as the table of `collect` names them."""
    result, timing = read_json(folder / RESULT), read_json(folder / TIMING)
    parts = {"fit": result["fit"], "test": result["test"], "timing": timing}
    return {f"{part}.{k}": v for part, values in parts.items() for k, v in values.items()}
