"""What happens to the cells of a small grid while it runs."""

from __future__ import annotations

from benchmark.cli.terminal.progress import Lines
from benchmark.planning.request import PlannedRuns
from benchmark.runs.run_folder import RunFolder, RunState

ROW = {"epoch": 0, "train_loss": 0.9, "val_loss": 0.8, "val_dice": 0.25, "seconds": 2.0}
HISTORY = "epoch,train_loss,val_loss,val_dice,seconds\n0,0.9,0.8,0.25,2.0\n1,0.9,0.8,0.125,4.0\n"


def begun(planned: PlannedRuns, place: int) -> RunFolder:
    """A cell with two epochs behind it."""
    folder = RunFolder(planned.folder, planned.specs[place].run_id)
    folder.path.mkdir(parents=True)
    for name, text in {"spec.json": "{}", "environment.json": "{}", "history.csv": HISTORY}.items():
        (folder / name).write_text(text)
    return folder


def name(place: int, kernel: int) -> str:
    return f"[{place}/3] unet(alpha=0.5, kernel_size={kernel}) seed 1"


def everything(output: Lines, planned: PlannedRuns) -> None:
    """All that can be told, once."""
    output.on_state(planned.specs[0], RunState.DONE)
    output.on_begin(planned.specs[1])
    output.on_note("a note")
    output.on_epoch(planned.specs[1], [ROW])
    output.on_state(planned.specs[1], RunState.DONE)
