"""Where the numbers come from: the command behind each run, the machines, what was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from benchmark.arm import ArmEntry
from benchmark.errors import BenchmarkError
from benchmark.judge.tables import Column, Table
from benchmark.planning.command import DATA, command
from benchmark.protocol import OpenSetting, open_settings
from benchmark.runs.reader import short_commits
from benchmark.runs.run_folder import ENVIRONMENT, SPEC, read_json

OWN_GRID = "--arm-file, or a grid file of your own, which names this arm and its parameters"
MACHINE = {  # of environment.json, as the table has them
    "git_commit": "commit",
    "git_dirty": "changed since",
    "gpu": "GPU",
    "processor": "processor",
    "threads": "threads",
    "system": "system",
    "python": "Python",
    "torch": "PyTorch",
    "monai": "MONAI",
    "numpy": "NumPy",
    "cuda": "CUDA",
    "deterministic_algorithms": "deterministic",
}


def commands_table(root: Path, runs: pd.DataFrame, arms: Mapping[str, ArmEntry]) -> Table:
    """One row per run of a folder: its run_id, the command that makes it, and what it took."""
    rows = []
    for run in runs.sort_values("run_id").to_dict("records"):
        made = command(read_json(root / run["run_id"] / SPEC), arms)
        minutes = float(run["timing.fit_seconds"]) / 60
        own = {"run_id": run["run_id"], "command": made}
        own |= {"commit": run["commit"], "device": run["device"], "fit_minutes": minutes}
        rows.append(own)
    columns = (
        Column("run", "run_id"),
        Column("command", lambda row: row["command"] or OWN_GRID),
        Column("commit", "commit"),
        Column("device", "device"),
        Column("training, min", "fit_minutes", "{:.1f}"),
    )
    note = (
        f"{DATA} stands for your copy of the slices. Finished runs are skipped, so a command can "
        "be given again."
    )
    return Table("The command behind each run.", rows, columns, (note,), ("run", "command"))


def machines_table(root: Path, runs: pd.DataFrame) -> Table:
    """One row per kind of machine, versions and commit of runs, and how many were made so."""
    rows = []
    for run_id in runs["run_id"]:
        environment = read_json(root / run_id / ENVIRONMENT)
        machine = {key: environment.get(key) for key in MACHINE}
        machine["git_commit"] = short_commits(machine["git_commit"])
        rows.append(tuple(map(_number_or_text, machine.values())))
    counts = sorted(Counter(rows).items(), key=lambda item: [str(v or "") for v in item[0]])
    machines = [{"runs": n, **dict(zip(MACHINE, row, strict=True))} for row, n in counts]
    columns = (Column("runs", "runs"), *(Column(MACHINE[field], field) for field in MACHINE))
    essential = ("runs", "commit", "GPU", "processor", "Python", "PyTorch")
    return Table("Where the runs were made.", machines, columns, (), essential)


def _number_or_text(value: object) -> int | str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return None if pd.isna(value) else str(value)


def choices_table(protocol: str = "thesis") -> Table:
    """Every setting that the thesis leaves open, its default here and why, as the protocol says."""
    rows = [setting._asdict() for setting in open_settings(protocol)]
    if not rows:
        raise BenchmarkError(f"protocol {protocol!r}: no setting is in its [open.SECTION]")
    columns = [Column(name, name) for name in OpenSetting._fields]
    note = (
        "Each can be changed: --set SECTION.SETTING=VALUE. Numbers like 2.8 are sections of the "
        "thesis."
    )
    return Table("What the thesis leaves open, and what we chose.", rows, columns, (note,))
