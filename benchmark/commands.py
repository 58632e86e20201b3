"""What each verb of the command line does, `reproduce` and `run` apart. Nothing here imports torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmark import plan as planning
from benchmark.arm import ArmEntry
from benchmark.cli import request
from benchmark.data.slices import LABELS
from benchmark.errors import SpecError
from benchmark.progress import span
from benchmark.record import RESULT, State
from benchmark.reproduce import announce
from benchmark.request import load_slices, prepare

OWN_RUNS = Path("runs")


def plan(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Print every cell's state and estimate, or the run_ids of those not yet done; runs nothing."""
    job = prepare(request(options), arms, keep_splits=False)
    found = planning.states(job.specs, job.folder)
    if options.format == "ids":  # nothing but them: nox shows stderr on stdout too
        for spec, state in zip(job.specs, found, strict=True):
            if state is not State.DONE:
                print(spec.run_id)
        return 0
    estimates = announce(job)
    rows = [
        (
            i + 1,
            spec.split_id,
            spec.cell,
            str(state),
            "" if state is State.DONE else span(e) if e is not None else "unknown",
        )
        for i, (spec, state, e) in enumerate(zip(job.specs, found, estimates, strict=True))
    ]
    print(tabulate(rows, headers=("", "split", "cell", "state", "estimate")))
    return 0


def compare(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Judge a folder of runs; return 1 where a required row is not reproduced."""
    from benchmark import comparable
    from benchmark import compare as judging
    from benchmark.collect import collect, reproduction_folder
    from benchmark.precisions import precisions, precisions_text
    from benchmark.reference import load_reference, load_tolerances
    from benchmark.results import results_table, results_text

    if options.runs is not None and not options.runs.is_dir():
        raise SpecError(f"--runs {options.runs}: there is no such folder")
    root, words = options.runs or OWN_RUNS, ""
    if options.runs is None and not any(OWN_RUNS.glob(f"*/{RESULT}")):
        root, words = (
            reproduction_folder(),
            f"there are no runs in {OWN_RUNS}/, so the records shipped with this package: ",
        )
    collected = collect(root)
    print(f"Judging {words}{root}: {len(collected.runs)} finished runs.\n")
    reference, tolerances = load_reference(), load_tolerances()
    rows = judging.compare(collected, reference, tolerances)
    print(judging.to_text(rows))
    print(comparable.progress(collected, reference, tolerances), end="\n\n")
    print(results_text(results_table(collected)))
    if pairs := precisions(collected.runs, tolerances.precision):
        print(f"\nLower precisions, against the spread between seeds:\n{precisions_text(pairs, tolerances.precision)}")
    if collected.superseded:
        print(f"\nLeft out, for the same run was made by later code: {', '.join(collected.superseded)}")
    return judging.exit_code(rows, strict=options.strict)


def data(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Say what a source of slices holds."""
    asked = request(options)
    slices = load_slices(asked)
    patients = set(slices.patient_id) - {None}
    area = slices.masks.sum(axis=(1, 2)) * slices.spacing_mm[0] * slices.spacing_mm[1]
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
    from benchmark.rescore import rescore as recompute

    if not options.runs.is_dir():
        raise SpecError(f"--runs {options.runs}: there is no such folder")
    for one in recompute(options.runs, load_slices(replace(request(options), out=options.runs))):
        changes = [f"+{name}" for name in one.added] + [f"-{name}" for name in one.removed]
        changes += [f"{name} of {count} slices" for name, count in one.changed.items()]
        changes += ["damaged scores.csv made anew"] if one.repaired else []
        changes += [f"result.json: {', '.join(one.summary)}"] if one.summary else []
        print(f"{one.run_id}: {'; '.join(changes) or 'unchanged'}")
    return 0


def list_arms(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """List every arm, built in or installed by another package."""
    rows = []
    for name, entry in arms.items():
        params = ", ".join(f"{k}={v!r}" for k, v in entry.defaults.items())
        marks = [word for word, on in (("no seeds", entry.deterministic), ("needs a click", entry.needs_click)) if on]
        rows.append((name, params, ", ".join(marks), entry.target))
    print(tabulate(rows, headers=("arm", "parameters", "", "class")))
    return 0
