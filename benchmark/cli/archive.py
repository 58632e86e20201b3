"""The verb `archive`: finished runs packed into a file that travels, and unpacked. No torch."""

from __future__ import annotations

import argparse
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.cli.judge_verbs import OWN_RUNS, PHANTOM_RUNS, runs_of
from benchmark.cli.options import keyed
from benchmark.errors import SpecError, nearest
from benchmark.judge.reference import DATASETS
from benchmark.judge.tables import wrapped
from benchmark.planning.grid import narrow
from benchmark.runs.archive import Archive, pack, unpack
from benchmark.runs.collect import reproduction_folder, run_folders
from benchmark.runs.reader import read_spec
from benchmark.runs.run_folder import MODEL, RunFolder, RunState
from benchmark.storage.atomic import check_writable

OF_PACKING = ("id", "only", "runs", "with_models")


def archive(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Pack finished runs into a new file, or unpack such a file; return 0."""
    other = OF_PACKING if options.unpack else ("out",)
    for name in (name for name in other if getattr(options, name)):
        spelt, goes = name.replace("_", "-"), "without" if options.unpack else "with"
        raise SpecError(f"--{spelt} goes {goes} --unpack alone")
    print("\n".join(_unpack(options) if options.unpack else _pack(options)))
    return 0


def _pack(options: argparse.Namespace) -> list[str]:
    if os.path.lexists(options.file):
        raise SpecError(
            f"{options.file}: exists already and is left as it is; choose another name "
            "(or --unpack it)"
        )
    check_writable(options.file)
    root = runs_of(options)
    folders = _chosen(root, options)
    if options.with_models and not any((folder / MODEL).exists() for folder in folders):
        raise SpecError(
            f"--with-models: none of these runs of {root} kept its model; leave it out, or train "
            "with --keep-models"
        )
    packed = pack(folders, options.file, models=options.with_models)
    ours = root.resolve() == reproduction_folder().resolve()
    name, whose = shlex.quote(str(options.file)), "the runs shipped here" if ours else f"{root}/"
    out = shlex.quote(str(PHANTOM_RUNS if packed.runs[0].phantom else OWN_RUNS))
    return [
        f"{len(packed.runs)} runs of {whose}, each checked: {_counts(packed, options)}.",
        f"sha256 of {options.file}: {packed.sha256}",
        f"To go on from it: python -m benchmark archive {name} --unpack --out {out}",
        *wrapped(_to_cite(packed)),
    ]


def _counts(packed: Archive, options: argparse.Namespace) -> str:
    """How many runs of which arm, files and MB, and how many models."""
    arms = Counter(run.spec.arm for run in packed.runs)
    models = sum((run.folder / MODEL).exists() for run in packed.runs)
    told = ", ".join(f"{count} {arm}" for arm, count in sorted(arms.items()))
    kept = f", {models} of the runs with their model" if options.with_models else ""
    return f"{told}; {packed.files} files, {packed.size / 1e6:.1f} MB{kept}"


def _to_cite(packed: Archive) -> str:
    """What goes with such a file where it is published."""
    if packed.runs[0].phantom:
        return "These are runs on drawn phantoms: masks of nobody."
    ours = any(run.spec.dataset_id in DATASETS.values() for run in packed.runs)
    whose = (
        "doi:10.6084/m9.figshare.1512427, CC BY 4.0"
        if ours
        else "yours: see that its licence allows masks made of it to be passed on, and that the "
        "patients in index.csv are numbers: scores.csv has them as they are"
    )
    return (
        "It holds numbers, settings and outlined masks, no slices. Where you publish it, state "
        "this sha256, cite what CITATION.cff names, and name the dataset of the slices "
        f"({whose})."
    )


def _chosen(root: Path, options: argparse.Namespace) -> list[RunFolder]:
    """The finished runs that are meant; `SpecError` for one that is not there or not finished."""
    folders = {folder.run_id: folder for folder in run_folders(root)}
    for run_id in options.id:
        if run_id not in folders:
            near = nearest(run_id, folders)
            raise SpecError(f"--id {run_id}: {root} has no such run{near}")
        if (state := folders[run_id].state) is not RunState.DONE:
            raise SpecError(
                f"--id {run_id}: is {state}, and only finished runs are packed; give the command "
                "that began it again, or leave it out"
            )
    wanted = dict.fromkeys(options.id) or folders
    done = [folders[name] for name in wanted if folders[name].state is RunState.DONE]
    if not done:
        raise SpecError(f"--runs {root}: holds no finished run; let reproduce finish one first")
    return _narrowed(done, options.only) if options.only else done


def _narrowed(done: Sequence[RunFolder], words: list[str]) -> list[RunFolder]:
    """Those with the arm or parameters asked for, as reproduce's --only means it."""
    specs = [read_spec(folder)[0] for folder in done]
    wanted = {spec.digest for spec in narrow(specs, keyed("--only", words), in_grid=False)}
    kept = [f for f, spec in zip(done, specs, strict=True) if spec.digest in wanted]
    if not kept:
        raise SpecError(f"--only {' '.join(words)}: no finished run has all of it; ask for less")
    return kept


def _unpack(options: argparse.Namespace) -> list[str]:
    out = options.out or OWN_RUNS
    if not options.file.is_file():
        raise SpecError(f"{options.file}: there is no such file; give the archive to unpack")
    if out.exists() and not out.is_dir():
        raise SpecError(f"--out {out}: is a file; name the folder that the runs go to")
    read = unpack(options.file, out)
    there, named = len(read.there), shlex.quote(str(out))
    new, were = len(read.runs) - there, "was" if there == 1 else "were"
    same = f" {there} {were} there already, the same." if there else ""
    return [
        f"sha256 of {options.file}: {read.sha256}",
        f"{len(read.runs)} runs, each file and record checked: {new} unpacked into {out}/.{same}",
        f"reproduce --out {named} goes on from them; compare --runs {named} judges them.",
    ]
