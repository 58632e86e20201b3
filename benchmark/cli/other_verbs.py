"""The verbs that neither run a grid nor judge one. Nothing here imports torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from tabulate import tabulate

from benchmark.arm import ArmEntry
from benchmark.cli.devices import allocate, usable_cores
from benchmark.cli.options import request
from benchmark.cli.run_verbs import announce, cards_seen
from benchmark.cli.terminal.grid_table import show
from benchmark.cli.terminal.grid_view import view
from benchmark.data.slices import LABELS
from benchmark.errors import SpecError, SplitError
from benchmark.planning import time_estimate as planning
from benchmark.planning.request import load_slices, prepare
from benchmark.planning.status import CellStatus, GridStatus
from benchmark.planning.time_estimate import span
from benchmark.runs.run_folder import RunState


def plan(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Print the grid as a table of states, or a line a cell, or the run_ids of those not yet done;
    runs nothing.
    """
    only_ids = options.format == "ids"  # nothing but them: nox shows stderr on stdout too
    job = prepare(request(options), arms, keep_splits=False, say=None if only_ids else print)
    if only_ids:
        found = planning.states(job.specs, job.folder)
        open_ones = (
            spec.run_id
            for spec, state in zip(job.specs, found, strict=True)
            if state is not RunState.DONE
        )
        print("".join(f"{run_id}\n" for run_id in open_ones), end="")
        return 0
    survey = GridStatus(job, arms)
    announce(job, survey, with_time=options.format == "list")
    if options.format == "grid":
        print()
        show(view(survey.look(), survey.needs_click))
        return 0
    rows = [
        (
            i,
            cell.spec.split_id,
            cell.spec.cell,
            f"{cell.state}",
            "" if cell.state is RunState.DONE else _left(cell),
        )
        for i, cell in enumerate(survey.look(), start=1)
    ]
    print(tabulate(rows, headers=("", "split", "cell", "state", "time left")))
    return 0


def _left(cell: CellStatus) -> str:
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


def export(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Write the slices as NIfTI pairs."""
    from benchmark.data import nifti

    slices = load_slices(request(options))
    nifti.export(slices, options.folder)
    print(f"{len(slices)} pairs written to {options.folder}/; fingerprint {slices.fingerprint}")
    return 0


def rescore(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Recompute scores from stored predictions."""
    from benchmark.runs.rescore import rescore as recompute

    if not options.runs.is_dir():
        raise SpecError(f"--runs {options.runs}: there is no such folder")
    for one in recompute(options.runs, load_slices(replace(request(options), out=options.runs))):
        changes = [f"+{name}" for name in one.added] + [f"-{name}" for name in one.removed]
        changes += [f"{name} of {count} slices" for name, count in one.changed.items()]
        changes += ["damaged scores.csv made anew"] if one.repaired else []
        changes += [f"result.json: {', '.join(one.summary)}"] if one.summary else []
        print(f"{one.run_id}: {'; '.join(changes) or 'unchanged'}")
    return 0


def audit(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Print how far splits leak: those asked for, else every split of the package that is of these
    slices.
    """
    from benchmark.splits.files import read_split, shipped_for
    from benchmark.splits.leakage import report

    slices = load_slices(request(options))
    splits = [read_split(word, slices) for word in dict.fromkeys(options.split)] or shipped_for(slices)
    if not splits:
        raise SplitError(
            f"none of the splits shipped here is of these slices (dataset {slices.dataset_id[:12]}); name a split file "
            "of theirs with --split"
        )
    print(report(splits, slices.patient_of))
    return 0


def predict(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Outline and measure the user's slices with the model of a run; return 0 whatever is found."""
    from benchmark.inference.input_files import find, passed_over
    from benchmark.inference.trained_model import load

    paths = find(options.images)
    if told := passed_over(options.images):
        print(told)
    cards = cards_seen(options.device)
    import torch

    from benchmark.inference.predict import predict as outlined
    from benchmark.inference.predict import report
    from benchmark.training.seeding import make_deterministic

    ((device, threads),) = allocate(1, 1, usable_cores(), cards, options.device)
    torch.set_num_threads(threads)
    make_deterministic(device)
    model = load(options.runs, options.run, arms, device)
    table = outlined(model, paths, options.out, tuple(options.spacing) if options.spacing else None)
    print(report(table, model))
    print(f"\nMasks, overlays and measures.csv: {options.out}/")
    return 0


def list_arms(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """List every arm, built in or installed by another package."""
    rows = []
    for name, entry in arms.items():
        params = ", ".join(f"{k}={v!r}" for k, v in entry.defaults.items())
        marks = [
            word
            for word, on in (
                ("no seeds", entry.deterministic),
                ("needs a click", entry.needs_click),
            )
            if on
        ]
        rows.append((name, params, ", ".join(marks), entry.target))
    print(tabulate(rows, headers=("arm", "parameters", "", "class")))
    return 0
