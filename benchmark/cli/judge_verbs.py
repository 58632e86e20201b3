"""The verbs that judge: `compare`, `report` and `score`. Nothing here imports torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from tabulate import tabulate

from benchmark.arm import ArmEntry
from benchmark.cli.options import request
from benchmark.data.slices import SliceSet
from benchmark.errors import SpecError
from benchmark.judge.comparisons.external_tool import external_tool_table
from benchmark.judge.judgement import SECTIONS, USUAL, WHY_EMPTY, Judgement
from benchmark.judge.reference import load_reference, load_tolerances
from benchmark.judge.tables import render
from benchmark.judge.verdicts import exit_code
from benchmark.planning.request import PHANTOMS, load_slices
from benchmark.runs.collect import collect, reproduction_folder, run_folders
from benchmark.runs.run_folder import RESULT
from benchmark.scoring.summary import summarise
from benchmark.storage.atomic import staging_folder, write_bytes

if TYPE_CHECKING:
    from benchmark.scoring.external_masks import ExternalScores

OWN_RUNS, PHANTOM_RUNS = (
    Path("runs"),
    Path("runs-quick"),
)  # where reproduce puts them; the second without data


def compare(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Judge a folder of runs; return 1 where a required row is not reproduced."""
    if options.format == "csv" and len(options.section) != 1:
        raise SpecError(f"--format csv needs one --section, of {', '.join(SECTIONS)}")
    root = runs_of(options)
    found = Judgement(collect(root), load_reference(), load_tolerances())
    whole = options.format == "text" and not options.section
    aside = (
        sys.stdout if whole else sys.stderr
    )  # one section, and other formats, go into files and programs
    if whole or not (options.runs or root == OWN_RUNS):
        print(heading(root, len(found.collected.runs), options), end="\n\n", file=aside)
    if whole:
        print("\n".join(found.answers()), end="\n\n")
    tables = {name: SECTIONS[name](found) for name in options.section or USUAL}
    if any(tables.values()):
        print(render([table for section in tables.values() for table in section], options.format))
    for name in options.section:
        if not tables[name]:
            print(f"Nothing to show under {name}: {WHY_EMPTY[name]}.", file=aside)
    if whole:
        others = ", ".join(name for name in SECTIONS if name not in USUAL)
        print(
            f"\nMore: --section {others}; all columns of a table: --section NAME --format markdown, latex or csv."
        )
    if found.collected.superseded:
        left_out = ", ".join(found.collected.superseded)
        print(
            f"\nLeft out, since the same run was made again by later code: {left_out}", file=aside
        )
    return exit_code(found.rows, strict=options.strict)


def heading(root: Path, runs: int, options: argparse.Namespace) -> str:
    """Whose runs are judged; where nobody asked and these are the ones shipped here, also where the
    user's own lie.
    """
    if options.runs or root == OWN_RUNS:
        return f"Judging {root}: {runs} finished runs."
    told = f"Judging the {runs} runs shipped here, since {OWN_RUNS}/ holds no finished run."
    if finished(PHANTOM_RUNS):
        told += f"\nYour own runs, on drawn phantoms, lie in {PHANTOM_RUNS}/. To judge them: "
        told += f"--runs {PHANTOM_RUNS}\n(with nox: nox -s {options.verb} -- --runs {PHANTOM_RUNS})"
    return told


def finished(root: Path) -> bool:
    """True where a folder of runs holds a finished one."""
    return any(root.glob(f"*/{RESULT}"))


def report(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Write the page and the figures of a folder of runs; return 0 whatever they say."""
    from benchmark.report.build import write
    from benchmark.report.chapters import Source

    root = runs_of(options)
    found = Judgement(collect(root), load_reference(), load_tolerances())
    slices = own_copy(options, found.collected.runs)
    written = write(Source(root, found, arms, slices), options.out)
    print(heading(root, len(found.collected.runs), options))
    print(f"{written.figures} figures, each as PNG, SVG, PDF and CSV.")
    if slices is None:
        print(
            "No pictures of slices: they are drawn from your own copy of the data, given with --data."
        )
    elif not slices.phantom:
        print(
            "The report shows slices: keep its attribution line where you pass it on, as their licence asks."
        )
    print(f"Open {written.page} ({written.page.stat().st_size / 1e6:.1f} MB).")
    return 0


def own_copy(options: argparse.Namespace, runs: pd.DataFrame) -> SliceSet | None:
    """Return the slices to draw pictures of: the user's own where some run is of them, phantoms for
    runs on phantoms.

    None where no data are given or found. Raises `SpecError` where --data names slices that no run
    is of.
    """
    asked = request(options)
    if asked.data is None and len(runs) and runs["phantom"].all():
        asked = replace(asked, data=PHANTOMS)
    if asked.source == PHANTOMS and asked.data is None:
        return None
    slices = load_slices(asked)
    if (runs["dataset_id"] == slices.dataset_id).any():
        return slices
    if asked.data in (None, PHANTOMS) and options.data is None:
        return None  # what the environment names is of no concern here
    raise SpecError(
        f"--data {asked.data}: none of the {len(runs)} runs is of these slices (dataset {slices.dataset_id[:12]}); "
        "give the slices they ran on, or leave --data out"
    )


def runs_of(options: argparse.Namespace) -> Path:
    """The folder of runs that was asked for, else `OWN_RUNS` where it holds any, else the records
    shipped here.
    """
    if options.runs is not None and not options.runs.is_dir():
        raise SpecError(f"--runs {options.runs}: there is no such folder")
    if options.runs is not None and not any(run_folders(options.runs)):
        raise SpecError(
            f"--runs {options.runs}: holds no run; give the folder that reproduce wrote its runs to"
        )
    return options.runs or (OWN_RUNS if finished(OWN_RUNS) else reproduction_folder())


def score(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Score a folder of masks that another tool made; return 0 whatever the score."""
    from benchmark.scoring.external_masks import summary_text

    if options.out is not None and options.out.exists():
        raise SpecError(
            f"--out {options.out}: exists already and is left as it is; choose another file or remove it"
        )
    root = runs_of(options)
    judged = judged_outside(options)
    split, name = judged.split, options.name or options.folder.resolve().name
    print(
        f"{name}: masks of the {len(split.test)} test slices of {split.split_id}, taken as they are."
    )
    print(tabulate(summary_text(summarise(judged.scores)), tablefmt="plain", disable_numparse=True))
    if judged.warning:
        print(f"\n{judged.warning}")
    if options.out is not None:
        with staging_folder(options.out.parent, asked=options.out) as room:
            write_bytes(
                room / options.out.name,
                judged.scores.to_csv(index=False, lineterminator="\n").encode(),
            )
            (room / options.out.name).replace(options.out)
        print(f"\nOne row per slice: {options.out}")
    beside = external_tool_table(name, judged, collect(root), load_tolerances().contrasts.level)
    print(f"\n{beside.render()}" if beside else f"\nNo run in {root} was tested on this split.")
    return 0


def judged_outside(options: argparse.Namespace) -> ExternalScores:
    """Load the slices, read the split and the folder of masks that were asked for, and score
    them.
    """
    from benchmark.scoring.external_masks import judge
    from benchmark.splits.files import read_split

    if not options.folder.is_dir():
        raise SpecError(
            f"{options.folder}: there is no such folder; give the folder that holds the masks"
        )
    slices = load_slices(request(options))
    return judge(options.folder, read_split(options.split, slices), slices)
