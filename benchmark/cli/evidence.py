"""`reproduce --evidence` and `plan --evidence`: the steps of the plan, in their order.

A run counts as done where its folder holds a finished one, be it of an earlier schema that the
judge still counts.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.cli.options import request
from benchmark.cli.terminal.grid_table import time_left
from benchmark.errors import BenchmarkError, SpecError
from benchmark.judge.tables import Column, Table
from benchmark.planning.evidence import PLAN, Step, load_plan
from benchmark.planning.request import PlannedRuns, Request, load_given, prepare
from benchmark.planning.status import CellStatus, GridStatus
from benchmark.runs.collect import reproduction_folder, run_folders
from benchmark.runs.reader import read_spec
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.storage.atomic import staging_folder, writing

SAID_BY_THE_PLAN = ("grid", "protocol", "only", "seeds", "splits", "image_size", "overrides",
                    "arm_file")  # fmt: skip


CarryOut = Callable[[Request, PlannedRuns, Mapping[str, ArmEntry], argparse.Namespace], int]


@dataclass(frozen=True)
class PlannedStep:
    """A step of the plan on somebody's slices, with every run that it names."""

    number: int
    step: Step
    asked: Request
    planned: PlannedRuns

    def rest(self, done: Container[str]) -> PlannedRuns:
        """Its runs whose digests are not among those done."""
        specs = [spec for spec in self.planned.specs if spec.digest not in done]
        return replace(self.planned, specs=specs)


def evidence(options: argparse.Namespace, arms: Mapping[str, ArmEntry], carry_out: CarryOut) -> int:
    """Carry out what is open of the plan, step by step; return 0, or 1 where a cell failed.

    carry_out: runs what is planned and returns 0 or 1. Runs shipped here are copied to the folder
    first where that was asked for.
    """
    steps, root = _steps(options, arms), request(options).folder
    if options.from_shipped:
        _take_over(steps, root)
    _tell(steps, root, finished(root))
    codes = []
    for each in steps:
        if (rest := each.rest(finished(root))).specs:
            print(f"\nStep {each.number} of {len(steps)}: {each.step.purpose}")
            print(f"Fixed by {each.step.fixed}: {' '.join(each.step.words)}")
            codes.append(carry_out(each.asked, rest, arms, options))
    print(f"\n{len(codes)} steps were open.")
    return max(codes, default=0)


def asked_for(options: argparse.Namespace) -> bool:
    """Whether the plan is meant; `SpecError` for an option that means nothing without it."""
    if options.from_shipped and not options.evidence:
        raise SpecError("--from-shipped goes with --evidence alone")
    return bool(options.evidence)


def listing(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Print the steps, what is done of each and the time that the rest would take; run nothing."""
    steps, root = _steps(options, arms, keep_splits=False), request(options).folder
    done = {**finished(root), **(_ours(steps) if options.from_shipped else {})}
    _tell(steps, root, done)
    rows, still_open = [], dict[str, CellStatus]()
    for each in steps:
        rest, runs = each.rest(done), len(each.planned.specs)
        cells = GridStatus(rest, arms).snapshot() if rest.specs else ()
        still_open |= {cell.spec.run_id: cell for cell in cells}
        own = {"number": each.number, "fixed": f"{each.step.fixed}", "runs": runs}
        own |= {"done": runs - len(rest.specs), "left": time_left(cells).partition(" (")[0]}
        rows.append(own | {"words": " ".join(each.step.words), "purpose": each.step.purpose})
    columns = (
        Column("step", "number"),
        Column("fixed by", "fixed"),
        Column("runs", "runs"),
        Column("done", "done"),
        Column("time left", "left"),
        Column("options of reproduce", "words"),
    )
    note = f"Time left in all: {time_left(still_open.values())}."
    print(Table("A run that two steps name is run once.", rows, columns, (note,)).render())
    return 0


def _steps(
    options: argparse.Namespace, arms: Mapping[str, ArmEntry], *, keep_splits: bool = True
) -> list[PlannedStep]:
    """Every step made concrete, before any is begun; `SpecError` names one that cannot be."""
    if vars(options).get("format", "grid") != "grid":
        raise SpecError(f"--format {options.format} and --evidence: a plan has one form")
    for name in SAID_BY_THE_PLAN:
        if vars(options).get(name):
            option = {"overrides": "set"}.get(name, name).replace("_", "-")
            raise SpecError(f"--{option} and --evidence: the plan says what is run; leave one out")
    asked, plan = request(options), load_plan()  # a plan that is wrong is told before slices are
    slices = load_given(asked)
    steps = []
    for number, step in enumerate(plan.steps, start=1):
        own = step.of(asked)
        try:
            planned = prepare(own, arms, keep_splits=keep_splits, slices=slices)
        except BenchmarkError as error:
            raise SpecError(f"{PLAN}: step {number} ({step.purpose}): {error}") from error
        steps.append(PlannedStep(number, step, own, planned))
    return steps


def _tell(steps: Sequence[PlannedStep], root: Path, done: Container[str]) -> None:
    """Print which plan this is and how much of it is done."""
    runs = {spec.digest for each in steps for spec in each.planned.specs}
    count = sum(digest in done for digest in runs)
    print(f"{PLAN}, hash {load_plan().hash}: {len(steps)} steps, {len(runs)} runs, {count} done, "
          f"in {root}/.")  # fmt: skip


def finished(root: Path) -> dict[str, RunFolder]:
    """The folders of finished runs under root by the digest of their spec."""
    done = (folder for folder in run_folders(root) if folder.state is RunState.DONE)
    return {read_spec(folder)[0].digest: folder for folder in done}


def _ours(steps: Sequence[PlannedStep]) -> dict[str, RunFolder]:
    """The records shipped here that the plan names; `SpecError` where none is of these slices."""
    named = {spec.digest for each in steps for spec in each.planned.specs}
    ours = {k: folder for k, folder in finished(reproduction_folder()).items() if k in named}
    if not ours:
        raise SpecError(
            "--from-shipped: none of the records shipped here is of these slices in this form; "
            "leave it out, and every step is run on them"
        )
    return ours


def _take_over(steps: Sequence[PlannedStep], root: Path) -> None:
    """Copy the records shipped here to a folder of runs, each whole or not at all."""
    there = finished(root)
    names = [folder.run_id for digest, folder in _ours(steps).items() if digest not in there]
    names = [name for name in names if not (root / name).exists()]
    with staging_folder(root) as room, writing(root):
        for name in names:
            shutil.copytree(reproduction_folder() / name, room / name)
            (room / name).rename(root / name)
    print(f"{len(names)} of the runs shipped here were copied to {root}/.")
