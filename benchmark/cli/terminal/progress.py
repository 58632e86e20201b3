"""What the user sees while a grid runs: the grid itself on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmark.cli.terminal.grid_table import COLOURS, fitted
from benchmark.planning.status import CellStatus, GridStatus, changed
from benchmark.planning.time_estimate import left, span
from benchmark.runs.run_folder import CHECKPOINT, RunFolder, RunState
from benchmark.runs.spec import RunSpec

AT_WORK_SHOWN = 4  # cells at work that have lines of their own below the grid


class Lines:
    """A line for each event; its `events` are those of `RunOptions`. Without a status no times."""

    def __init__(
        self, specs: Sequence[RunSpec], folder: Path, status: GridStatus | None = None
    ) -> None:
        self.index = {spec.run_id: i for i, spec in enumerate(specs, start=1)}
        self.folder, self.status = folder, status
        self.begun = self.checkpoint = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.status and isinstance(error, KeyboardInterrupt):
            with contextlib.suppress(OSError):
                error.add_note(closing_summary(self.status))  # told by `benchmark.__main__`

    @property
    def events(self) -> dict[str, Any]:
        """The functions that `RunOptions` calls, by its names of them."""
        names = ("on_begin", "on_note", "on_epoch", "on_state")
        return {name: getattr(self, name) for name in names}

    def on_begin(self, spec: RunSpec) -> None:
        """A cell's work began here."""
        self.begun = time.monotonic()
        self.checkpoint = self._checkpoint_changed(spec)
        self.minor(f"{self._head(spec)}: begins{self._time_left()}")

    def on_note(self, text: str) -> None:
        """Something the user should know."""
        self.say(f"    {text}")

    def on_state(self, spec: RunSpec, state: RunState) -> None:
        """A cell ended, was done before, or is left to the process that runs it."""
        took = time.monotonic() - self.begun if self.begun else 0.0
        self.begun = 0.0
        if state is RunState.RUNNING:
            self.minor(f"{self._head(spec)}: left to the process that is running it")
        elif took:
            self.say(f"{self._head(spec)}: {state} in {span(took)}")
        else:
            self.minor(f"{self._head(spec)}: {state}, from before")

    def on_epoch(self, spec: RunSpec, history: list[dict[str, float]]) -> None:
        """An epoch ended; or a checkpoint was taken up, which is told once, before the next one."""
        if not history:
            return
        row = history[-1]
        note = f"epoch {row['epoch']:.0f}  validation Dice {row['val_dice']:.3f}"
        note += f" (best {max(r['val_dice'] for r in history):.3f})"
        # there still, and unchanged, only where it was read: a dropped one is removed
        taken_up = self.checkpoint and self._checkpoint_changed(spec) == self.checkpoint
        self.checkpoint = 0.0
        if taken_up:
            self.on_note(f"goes on after {note}")
        else:
            self.minor(f"    {note}  {span(row['seconds'])} an epoch")

    def say(self, line: str) -> None:
        """Tell what is of use to whoever reads on a terminal too."""
        print(line, flush=True)

    def minor(self, line: str) -> None:
        """Tell what the grid on a terminal shows anyway."""
        print(line, flush=True)

    def _checkpoint_changed(self, spec: RunSpec) -> float:
        return changed(RunFolder(self.folder, spec.run_id) / CHECKPOINT)

    def _head(self, spec: RunSpec) -> str:
        return f"[{self.index[spec.run_id]}/{len(self.index)}] {spec.cell}"

    def _time_left(self) -> str:
        """What is left of all cells, where that is known of each."""
        cells = self.status.snapshot() if self.status else ()
        seconds, unknown = left(cell.left for cell in cells if cell.state is not RunState.DONE)
        return f"  about {span(seconds)} left" if seconds and not unknown else ""


class Silent(Lines):
    """Says nothing: of a worker whose parent shows the grid."""

    def say(self, line: str) -> None:
        """Nothing."""

    def minor(self, line: str) -> None:
        """Nothing."""


class LiveGrid(Lines):
    """The grid of states, and below it the cells at work, as their folders show them each second.

    status is that of the whole grid; at_once: how many processes share it.
    """

    status: GridStatus

    def __init__(self, status: GridStatus, console: Console, at_once: int = 1) -> None:
        super().__init__(status.specs, status.folder, status)
        self.at_once, self.console = at_once, console
        self.live = Live(get_renderable=self.frame, console=console, refresh_per_second=1)

    def __enter__(self) -> Self:
        self.live.start(refresh=True)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.status.snapshot(afresh=True)
        self.live.stop()
        super().__exit__(kind, error, trace)

    def minor(self, line: str) -> None:
        """Nothing: the grid shows it."""

    def _time_left(self) -> str:
        return ""

    def frame(self) -> RenderableType:
        """What stands on the terminal now, never higher than it."""
        try:
            cells = self.status.snapshot()
        except OSError as error:  # a disk that does not answer now must not end what runs
            return Text(f"The grid cannot be looked at: {error}")
        at_work = [cell for cell in cells if cell.state is RunState.RUNNING][:AT_WORK_SHOWN]
        lines = [line for cell in at_work for line in at_work_lines(cell)]
        height = self.console.height - len(lines) - 2
        grid = fitted(cells, self.status.needs_click, self.at_once, self.console, height)
        return Group(Text(), grid, *lines)


def at_work_lines(cell: CellStatus) -> tuple[RenderableType, RenderableType]:
    """A cell that runs: its name; its epoch, validation Dice, how far it is and how long yet."""
    epochs, rest, count = cell.epochs, cell.left, len(cell.epochs.dice)
    reached = "begins"
    if count:
        reached = f"epoch {epochs.last}  Dice {epochs.dice[-1]:.3f} (best {max(epochs.dice):.3f})"
    bar = ProgressBar(total=max(1.0, count + (rest.epochs or 0)), completed=count, width=12)
    time_left = "" if rest.seconds is None else f", about {span(rest.seconds)} left"
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_row(f"  {reached}", bar, f"{span(cell.spent)}{time_left}")
    return Text(f"{cell.spec.cell} on {cell.spec.split_id}", COLOURS[RunState.RUNNING]), line


def closing_summary(status: GridStatus) -> str:
    """Of a call that was stopped: cells done, and what the same command does with those cut."""
    cells = status.snapshot(afresh=True)
    done = sum(cell.state is RunState.DONE for cell in cells)
    nexts = [_next(cell, status.folder) for cell in status.interrupted()]
    what = ", ".join(nexts) or "runs the rest"
    return f"{done} of {len(cells)} cells are done; the same command {what}"


def _next(cell: CellStatus, folder: Path) -> str:
    """What becomes of a cell that was cut: it goes on from its checkpoint, or starts anew."""
    name = f"{cell.spec.cell} on {cell.spec.split_id}"
    kept = kept_epochs(RunFolder(folder, cell.spec.run_id) / CHECKPOINT)
    if kept is None:
        return f"goes on with {name} from its checkpoint"
    cut = f"cut after epoch {cell.epochs.last}" if cell.epochs.last >= 0 else "cut"
    if not kept:
        return f"starts {name} anew ({cut}, before its first checkpoint)"
    lost = f" ({cut})" if cell.epochs.last >= kept else ""
    return f"goes on with {name} after epoch {kept - 1}{lost}"


def kept_epochs(checkpoint: Path) -> int | None:
    """How many epochs a checkpoint holds; 0 where there is none, None where it does not tell."""
    if not checkpoint.exists():
        return 0
    import torch

    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return len(state["history"])
    except Exception:  # an arm of a user's own writes what it likes, a damaged file raises anything
        return None


def terminal() -> Console | None:
    """The terminal on stdout where a picture can be drawn again and again; else None."""
    if not sys.stdout.isatty():
        return None
    console = Console()
    return None if console.is_dumb_terminal else console
