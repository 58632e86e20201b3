"""What the user sees while a grid runs: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmark.record import State
from benchmark.spec import RunSpec


class GridProgress:
    """Cell i of n, epoch, validation Dice and the time left; give its four methods to `Options`."""

    def __init__(self, specs: Sequence[RunSpec], estimates: Sequence[float | None]) -> None:
        self.index = {spec.run_id: i for i, spec in enumerate(specs)}
        self.left = dict(zip(self.index, estimates, strict=True))
        self.begun = self.spent = 0.0
        self.expected = self.actual = 0.0
        self.console = Console(file=sys.stdout)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} cells  {task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("grid", total=len(specs), note="")

    def __enter__(self) -> GridProgress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def on_begin(self, spec: RunSpec) -> None:
        """A cell's work began here."""
        self.begun = time.monotonic()
        self.bar.update(self.task, note=spec.cell)
        self._say(f"{self._head(spec)}: begins{self._time_left()}")

    def on_note(self, text: str) -> None:
        """Something the user should know."""
        self._say(f"    {text}")

    def on_state(self, spec: RunSpec, state: State) -> None:
        """A cell ended, was done before, or is left to the process that runs it."""
        took = time.monotonic() - self.begun if self.begun else 0.0
        estimate = self.left.pop(spec.run_id, None)
        if self.begun and estimate:
            self.expected, self.actual = self.expected + estimate, self.actual + took
        self.begun = 0.0
        self.bar.advance(self.task)
        if state is State.RUNNING:
            self._say(f"{self._head(spec)}: left to the process that is running it")
        else:
            self._say(f"{self._head(spec)}: {state}{f' in {span(took)}' if took else ', from before'}")

    def on_epoch(self, spec: RunSpec, history: list[dict[str, float]]) -> None:
        """An epoch ended."""
        if not history:
            return
        row = history[-1]
        best = max(r["val_dice"] for r in history)
        note = f"epoch {row['epoch']:.0f}  validation Dice {row['val_dice']:.3f} (best {best:.3f})"
        self.bar.update(self.task, note=f"{spec.cell}  {note}{self._time_left()}")
        if not self.console.is_terminal:
            self._say(f"    {note}  {span(row['seconds'])} an epoch")

    def _head(self, spec: RunSpec) -> str:
        return f"[{self.index[spec.run_id] + 1}/{len(self.index)}] {spec.cell}"

    def _say(self, line: str) -> None:
        """Print one line, however long: a log file has no width to wrap at."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _time_left(self) -> str:
        """The estimates of what is not done, scaled by how the finished cells compared with theirs."""
        known = [e for e in self.left.values() if e is not None]
        if not known or len(known) < len(self.left):
            return ""
        scale = self.actual / self.expected if self.expected else 1.0
        running = time.monotonic() - self.begun if self.begun else 0.0
        return f"  about {span(max(0.0, sum(known) * scale - running))} left"


def span(seconds: float) -> str:
    """Words for a time: 0.4 s, 12 s, 3 min 20 s, 5 h 10 min.

    >>> [span(s) for s in (0.42, 12.3, 200, 18600)]
    ['0.4 s', '12 s', '3 min 20 s', '5 h 10 min']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
