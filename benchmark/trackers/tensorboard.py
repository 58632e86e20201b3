"""TensorBoard: a folder of events for each run, for `tensorboard --logdir WHERE`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.storage.atomic import check_writable


class TensorBoard:
    """Writes events below a folder; needs the package tensorboard. See `benchmark.tracker`.

    A run's later events take the place of those of an earlier start, which stay in their file and
    are not shown. Raises `OutputError` where the folder cannot be written to.
    """

    def __init__(self, where: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.make, self.folder, self.last = SummaryWriter, Path(where), 0
        check_writable(self.folder / "events")

    def start(self, run_id: str, config: Mapping[str, object]) -> None:
        self.writer: Any = self.make(str(self.folder / run_id), purge_step=0)
        self.writer.add_text("config", _table(config), 0)
        self.writer.flush()

    def epoch(self, number: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, number)
        self.writer.flush()
        self.last = number

    def end(self, summary: Mapping[str, object]) -> None:
        """Write the test's numbers as scalars at the last epoch, and all as a table.

        Of a run that was interrupted nothing: TensorBoard would show it beside how it ended later.
        """
        for name, value in summary.items():
            if name.startswith("test.") and isinstance(value, int | float):
                self.writer.add_scalar(name.replace(".", "/"), value, self.last)
        if summary["state"] != "interrupted":
            self.writer.add_text("summary", _table(summary), self.last)
        self.writer.close()


def _table(values: Mapping[str, object]) -> str:
    """In Markdown, which TensorBoard shows."""
    rows = (f"| {name} | {value} |" for name, value in values.items())
    return "\n".join(["| name | value |", "|---|---|", *rows])
