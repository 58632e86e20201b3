"""The verbs that neither run a grid nor judge one. Nothing here imports torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from tabulate import tabulate

from benchmark.arm import ArmEntry
from benchmark.cli.devices import allocate, cards_seen, usable_cores
from benchmark.cli.evidence import asked_for, listing
from benchmark.cli.options import request
from benchmark.cli.run_verbs import announce
from benchmark.cli.terminal.grid_table import PLACE, show
from benchmark.data.slices import LABELS
from benchmark.errors import SlurmError, SpecError, SplitError
from benchmark.launchers.submissions import Queue, queue_of
from benchmark.planning.request import PlannedRuns, load_given, load_slices, prepare
from benchmark.planning.status import CellStatus, GridStatus
from benchmark.planning.time_estimate import span, states
from benchmark.runs.run_folder import RunFolder, RunState


def plan(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Print a grid as a table of states, or a line a cell, or run_ids not yet done; run nothing."""
    if asked_for(options):
        return listing(options, arms)
    only_ids = options.format == "ids"  # nothing but them: nox shows stderr on stdout too
    planned = prepare(request(options), arms, keep_splits=False, say=None if only_ids else print)
    if only_ids:
        all_states = states(planned.specs, planned.folder)
        for spec, state in zip(planned.specs, all_states, strict=True):
            if state is not RunState.DONE:
                print(spec.run_id)
        return 0
    queue = _queue(planned)
    status = GridStatus(planned, arms, waiting=queue.waiting, ended=queue.ended)
    announce(planned, status, with_time=options.format == "list")
    cells = status.snapshot()
    if options.format == "grid":
        print()
        show(cells, status.needs_click)
        return 0
    rows = [
        (i, cell.spec.split_id, cell.spec.cell, _state(cell), _time_left(cell))
        for i, cell in enumerate(cells, start=1)
    ]
    print(tabulate(rows, headers=("", "split", "cell", "state", "time left")))
    return 0


def _queue(planned: PlannedRuns) -> Queue:
    """What Slurm says of open cells; nothing, and a note, where it cannot be asked."""
    folders = (RunFolder(planned.folder, spec.run_id) for spec in planned.specs)
    try:
        is_open = (folder.run_id for folder in folders if folder.state is not RunState.DONE)
        return queue_of(planned.folder, is_open)
    except SlurmError as error:
        print(f"Note: which cells are queued is not known: {error}; they are shown as pending.")
        return Queue()


def _state(cell: CellStatus) -> str:
    """A cell's state, and where it is; of one at work or queued the last epoch too."""
    place = f" {PLACE[cell.state]} {cell.place}" if cell.place else ""
    told = cell.epochs.dice and cell.state in PLACE
    return f"{cell.state}{place}" + (f", epoch {cell.epochs.last}" if told else "")


def _time_left(cell: CellStatus) -> str:
    if cell.state is RunState.DONE:
        return ""
    return "unknown" if cell.left.seconds is None else span(cell.left.seconds)


def data(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Say what a source of slices holds."""
    asked = request(options)
    slices = load_slices(asked)
    patients = set(slices.patient_id) - {None}
    area = slices.masks.sum(axis=(1, 2)) * slices.pixel_mm2
    labels, counts = np.unique(slices.label, return_counts=True)
    unknown = sum(p is None for p in slices.patient_id)
    rows = [
        ("source", asked.source + (" (drawn phantoms)" if slices.phantom else "")),
        ("slices", f"{len(slices)}, numbers {slices.slice_id[0]} to {slices.slice_id[-1]}"),
        ("labels", ", ".join(f"{LABELS[int(k)]} {n}" for k, n in zip(labels, counts, strict=True))),
        ("patients", f"{len(patients)}" + (f", unknown for {unknown} slices" if unknown else "")),
        ("size", f"{slices.shape[0]} x {slices.shape[1]} pixels, {slices.images.dtype}"),
        ("pixel", f"{slices.spacing_mm[0]:g} x {slices.spacing_mm[1]:g} mm"),
        ("grey levels", f"{slices.images.min()} to {slices.images.max()}"),
        ("tumour area", f"{area.min():.0f} to {area.max():.0f} mm2, median {np.median(area):.0f}"),
        ("dataset id", slices.dataset_id),
        ("fingerprint", slices.fingerprint),
    ]
    print(tabulate(rows, tablefmt="plain"))
    return 0


def rescore(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Recompute scores from stored predictions."""
    from benchmark.runs.rescore import rescore as recompute

    if not options.runs.is_dir():
        raise SpecError(f"--runs {options.runs}: there is no such folder")
    slices = load_given(replace(request(options), out=options.runs))
    for run in recompute(options.runs, slices):
        changes = [f"+{name}" for name in run.added] + [f"-{name}" for name in run.removed]
        changes += [f"{name} of {count} slices" for name, count in run.changed.items()]
        changes += ["damaged scores.csv made anew"] if run.repaired else []
        changes += [f"result.json: {', '.join(run.summary)}"] if run.summary else []
        print(f"{run.run_id}: {'; '.join(changes) or 'unchanged'}")
    return 0


def audit(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Print how far splits leak: those asked for, else every shipped split of these slices."""
    from benchmark.splits.files import read_split, shipped_for
    from benchmark.splits.leakage import report

    slices = load_given(request(options))
    splits = [read_split(word, slices) for word in dict.fromkeys(options.split)] or shipped_for(
        slices
    )
    if not splits:
        raise SplitError(
            "none of the splits shipped here is of these slices "
            f"(dataset {slices.dataset_id[:12]}); name a split file of theirs with --split"
        )
    print(report(splits, slices.patient_of))
    return 0


def list_arms(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """List every arm, built in or installed by another package; or check one."""
    if options.check is not None:
        from benchmark.cli.arm_check import check_arm

        (worker,) = allocate(1, 1, usable_cores(), cards_seen(options.device), options.device)
        side = options.image_size
        print(f"Checking {options.check} on drawn phantoms of {side} x {side} ...", flush=True)
        print(check_arm(options.check, arms, side, worker))
        return 0
    rows = []
    for name, entry in arms.items():
        params = ", ".join(f"{k}={v!r}" for k, v in entry.defaults.items())
        marks = ["no seeds"] * entry.deterministic + ["needs a click"] * entry.needs_click
        marks += ["broken"] * bool(entry.broken)
        made_of = f" (source {entry.source.sha256[:6]})" if entry.source else ""  # as tables say it
        rows.append((name, params, ", ".join(marks), f"{entry.target}{made_of}"))
    print(tabulate(rows, headers=("arm", "parameters", "", "class")))
    return 0
