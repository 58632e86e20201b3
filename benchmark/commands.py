"""What each verb of the command line does, `reproduce` and `run` apart. Nothing here imports torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

from benchmark import plan as planning
from benchmark.arm import ArmEntry
from benchmark.cli import request
from benchmark.data.slices import LABELS
from benchmark.errors import SpecError, SplitError
from benchmark.progress import span
from benchmark.record import RESULT, State
from benchmark.reproduce import announce
from benchmark.request import load_slices, prepare

if TYPE_CHECKING:
    from benchmark.outside import Judged

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
    from benchmark.collect import collect
    from benchmark.judge.compare import exit_code
    from benchmark.judge.reference import load_reference, load_tolerances
    from benchmark.judge.sections import SECTIONS, USUAL, WHY_EMPTY, Judgement
    from benchmark.judge.tables import render

    if options.format == "csv" and len(options.section) != 1:
        raise SpecError(f"--format csv needs one --section, of {', '.join(SECTIONS)}")
    root = runs_of(options)
    own = "" if options.runs or root == OWN_RUNS else f"no runs in {OWN_RUNS}/, so the records shipped here: "
    found = Judgement(collect(root), load_reference(), load_tolerances())
    if options.format == "text":
        print(f"Judging {own}{root}: {len(found.collected.runs)} finished runs.\n")
        print("\n".join(found.answers()), end="\n\n")
    tables = {name: SECTIONS[name](found) for name in options.section or USUAL}
    if any(tables.values()):
        print(render([table for section in tables.values() for table in section], options.format))
    aside = sys.stdout if options.format == "text" else sys.stderr  # other formats go into files and programs
    for name in options.section:
        if not tables[name]:
            print(f"Nothing to show under {name}: {WHY_EMPTY[name]}.", file=aside)
    if options.format == "text" and not options.section:
        print(f"\nMore: --section {', '.join(name for name in SECTIONS if name not in USUAL)}; --format markdown ...")
    if found.collected.superseded:
        left_out = ", ".join(found.collected.superseded)
        print(f"\nLeft out, for the same run was made by later code: {left_out}", file=aside)
    return exit_code(found.rows, strict=options.strict)


def runs_of(options: argparse.Namespace) -> Path:
    """The folder of runs that was asked for, else `OWN_RUNS` where it holds any, else the records shipped here."""
    from benchmark.collect import reproduction_folder, run_folders

    if options.runs is not None and not options.runs.is_dir():
        raise SpecError(f"--runs {options.runs}: there is no such folder")
    if options.runs is not None and not any(run_folders(options.runs)):
        raise SpecError(f"--runs {options.runs}: holds no run; give the folder that reproduce wrote its runs to")
    return options.runs or (OWN_RUNS if any(OWN_RUNS.glob(f"*/{RESULT}")) else reproduction_folder())


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


def audit(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Print how far splits leak: those asked for, else every split of the package that is of these slices."""
    from benchmark.audit import report
    from benchmark.outside import read_split, shipped

    slices = load_slices(request(options))
    splits = [read_split(word, slices) for word in dict.fromkeys(options.split)] or shipped(slices)
    if not splits:
        raise SplitError(
            f"none of the splits shipped here is of these slices (dataset {slices.dataset_id[:12]}); name a split file "
            "of theirs with --split"
        )
    pairs = zip(slices.slice_id.tolist(), slices.patient_id, strict=True)
    print(report(splits, {number: patient for number, patient in pairs if patient is not None}))
    return 0


def score(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Score a folder of masks that another tool made; return 0 whatever the score."""
    from benchmark.collect import collect
    from benchmark.judge.reference import load_tolerances
    from benchmark.judge.visitor import visitor_table
    from benchmark.outside import summary_text
    from benchmark.record import write_bytes
    from benchmark.summary import summarise

    if options.out is not None and options.out.exists():
        raise SpecError(f"--out {options.out}: exists already and is left as it is; choose another file or remove it")
    root = runs_of(options)
    judged = judged_outside(options)
    split, name = judged.split, options.name or options.folder.resolve().name
    print(f"{name}: masks of the {len(split.test)} test slices of {split.split_id}; how they came about is not known.")
    print(tabulate(summary_text(summarise(judged.scores)), tablefmt="plain", disable_numparse=True))
    if judged.doubt:
        print(f"\n{judged.doubt}")
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(options.out, judged.scores.to_csv(index=False).encode())
        print(f"\nOne row per slice: {options.out}")
    beside = visitor_table(name, judged, collect(root), load_tolerances().contrasts.level)
    print(f"\n{beside.render()}" if beside else f"\nNo run in {root} was tested on this split.")
    return 0


def judged_outside(options: argparse.Namespace) -> Judged:
    """Load the slices, read the split and the folder of masks that were asked for, and score them."""
    from benchmark.outside import judge, read_split

    if not options.folder.is_dir():
        raise SpecError(f"{options.folder}: there is no such folder; give the folder that holds the masks")
    slices = load_slices(request(options))
    return judge(options.folder, read_split(options.split, slices), slices)


def list_arms(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """List every arm, built in or installed by another package."""
    rows = []
    for name, entry in arms.items():
        params = ", ".join(f"{k}={v!r}" for k, v in entry.defaults.items())
        marks = [word for word, on in (("no seeds", entry.deterministic), ("needs a click", entry.needs_click)) if on]
        rows.append((name, params, ", ".join(marks), entry.target))
    print(tabulate(rows, headers=("arm", "parameters", "", "class")))
    return 0
