"""The verbs that judge: `compare`, `report` and `score`. Nothing here imports torch."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pandas as pd
from tabulate import tabulate

from benchmark.arm import ArmEntry
from benchmark.cli.options import request
from benchmark.data.slices import SliceSet
from benchmark.errors import SpecError
from benchmark.judge.answers import answers
from benchmark.judge.cells import Panel
from benchmark.judge.comparisons.external_tool import external_tool_table
from benchmark.judge.comparisons.own_arms import no_reference
from benchmark.judge.judgement import SECTIONS, WHY_EMPTY, Judgement
from benchmark.judge.reference import DATASETS, load_reference, load_tolerances
from benchmark.judge.shipped import load_second_reading, shipped
from benchmark.judge.tables import render, wrapped
from benchmark.judge.verdicts import exit_code
from benchmark.planning.command import DATA, command_under_same_terms
from benchmark.planning.request import PHANTOMS, load_given, load_slices
from benchmark.runs.collect import (
    collect,
    reproduction_folder,
    run_folders,
)
from benchmark.runs.run_folder import RESULT, SPEC, read_json
from benchmark.scoring.summary import summarise
from benchmark.storage.atomic import check_writable, move_into, staging_folder, write_bytes

if TYPE_CHECKING:
    from benchmark.scoring.external_masks import ExternalScores

# where reproduce puts runs; the second without data
OWN_RUNS, PHANTOM_RUNS = Path("runs"), Path("runs-quick")


def compare(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Judge a folder of runs; return 1 where a required row is not reproduced."""
    if options.format == "csv" and len(options.section) != 1:
        raise SpecError(f"--format csv needs one --section, of {', '.join(SECTIONS)}")
    root = runs_of(options)
    judgement = judgement_of(root)
    collected = judgement.collected
    whole = options.format == "text" and not options.section
    # one section, and other formats, go into files and programs
    aside = sys.stdout if whole else sys.stderr
    if whole or not (options.runs or root == OWN_RUNS):
        print(heading(root, len(collected.runs), options), end="\n\n", file=aside)
    if whole:
        print("\n".join(answers(judgement)), end="\n\n")
    hints = [
        _how_to_run_the_reference(judgement, panel, root, arms)
        for panel in judgement.without_reference
    ]
    _print_sections(judgement, options.section, options.format, aside, hints)
    if whole:
        others = ", ".join(name for name in SECTIONS if name not in judgement.usual)
        more = (
            f"More: --section {others}; all columns of a table: --section NAME --format markdown, "
        )
        print("", *wrapped(f"{more}latex or csv."), sep="\n")
    if collected.superseded:
        left_out = ", ".join(collected.superseded)
        print(
            f"\nLeft out, since the same run was made again by later code: {left_out}", file=aside
        )
    return exit_code(judgement.rows, strict=options.strict)


def judgement_of(root: Path) -> Judgement:
    """Judge a folder of runs: the records shipped here with those that were replaced, a user's own
    beside the shipped where those may lend.
    """
    records = reproduction_folder()
    if root.resolve() == records.resolve():
        return shipped(root)
    collected, terms = collect(root), (load_reference(), load_tolerances())
    known = collected.runs["dataset_id"].isin(DATASETS.values()).any()
    ours, second = collect(records, None if known else ()), load_second_reading() if known else None
    return Judgement(collected, *terms, ours, second=second)


def _print_sections(
    judgement: Judgement,
    asked: Sequence[str],
    form: str,
    aside: TextIO,
    hints: Sequence[str],
) -> None:
    """Print the tables of these sections, or of the usual ones; on aside which are empty.

    hints stand below the arms, and on aside where what is printed goes into files and programs.
    """
    sections = {name: SECTIONS[name](judgement) for name in asked or judgement.usual}
    hints = hints if "arms" in sections else ()
    shown: list[str] = []
    for name, tables in sections.items():
        shown += [render(tables, form)] if tables else []
        shown += hints if name == "arms" and form == "text" else ()
    if shown:
        print("\n\n".join(shown))
    if form != "text" and hints:
        print("\n\n".join(hints), file=aside)
    for name in asked:
        if not sections[name] and not (name == "arms" and hints):
            print(f"Nothing to show under {name}: {WHY_EMPTY[name]}.", file=aside)


def _how_to_run_the_reference(
    judgement: Judgement, panel: Panel, root: Path, arms: Mapping[str, ArmEntry]
) -> str:
    """Say that arms lack their reference, and the command that makes it where it is missing."""
    key = judgement.tolerances.contrasts.reference
    specs = [read_json(root / run_id / SPEC) for run_id in panel.runs["run_id"]]
    params = {"kernel_size": key.kernel_size, "alpha": key.alpha}
    phantom = specs[0]["phantom"]
    out = None if root == (PHANTOM_RUNS if phantom else OWN_RUNS) else root
    made = command_under_same_terms(specs, key.arm, params, arms, out)
    own = f", with your slices in place of {DATA} and the options on them, if any, that you gave"
    this = f"This makes it{'' if phantom else own}"
    told = wrapped(f"{panel.title}: {no_reference(key)}. {this}:")
    by_nox = str(made).replace("python -m benchmark reproduce", "nox -s reproduce --", 1)
    return "\n".join([*told, by_nox])


def heading(root: Path, runs: int, options: argparse.Namespace) -> str:
    """Whose runs are judged; of the records shipped here, also where the user's own runs lie."""
    if options.runs or root == OWN_RUNS:
        return f"Judging {root}: {runs} finished runs."
    text = f"Judging the {runs} runs shipped here, since {OWN_RUNS}/ holds no finished run."
    if finished(PHANTOM_RUNS):
        text += f"\nYour own runs, on drawn phantoms, lie in {PHANTOM_RUNS}/. To judge them: "
        text += f"--runs {PHANTOM_RUNS}\n(with nox: nox -s {options.verb} -- --runs {PHANTOM_RUNS})"
    return text


def finished(root: Path) -> bool:
    """True where a folder of runs holds a finished one."""
    return any(root.glob(f"*/{RESULT}"))


def report(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Write the page and the figures of a folder of runs; return 0 whatever they say."""
    from benchmark.report.build import write
    from benchmark.report.chapters import Source

    root = runs_of(options)
    judgement = judgement_of(root)
    runs = judgement.collected.runs
    slices = own_copy(options, runs)
    written = write(Source(root, judgement, arms, slices), options.out)
    print(heading(root, len(runs), options))
    print(f"{written.figures} figures, each as PNG, SVG, PDF and CSV.")
    if slices is None:
        print(
            "No pictures of slices: "
            "they are drawn from your own copy of the data, given with --data."
        )
    elif not slices.phantom and slices.dataset_id not in DATASETS.values():
        print("The report shows slices of yours: see that they may be passed on before it is.")
    elif not slices.phantom:
        print(
            "The report shows slices: "
            "keep its attribution line where you pass it on, as their licence asks."
        )
    print(f"Open {written.page} ({written.page.stat().st_size / 1e6:.1f} MB).")
    return 0


def own_copy(options: argparse.Namespace, runs: pd.DataFrame) -> SliceSet | None:
    """Return the slices to show: the user's own where some run is of them; phantoms for their runs.

    None where no data are given or found. Raises `SpecError` where no run is of the --data.
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
        f"--data {asked.data}: none of the {len(runs)} runs is of these slices "
        f"(dataset {slices.dataset_id[:12]}); give the slices they ran on, or leave --data out"
    )


def runs_of(options: argparse.Namespace) -> Path:
    """The folder that was asked for, else `OWN_RUNS` where it holds any, else shipped records."""
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

    if options.out is not None:
        check_new_file(options.out)
    root = runs_of(options)
    judged = judged_outside(options)
    split, name = judged.split, options.name or options.folder.resolve().name
    print(f"{name}: masks of {judged.share} test slices of {split.split_id}, taken as they are.")
    if judged.left_out_text:
        print("", *wrapped(judged.left_out_text), "", sep="\n")
    print(tabulate(summary_text(summarise(judged.scores)), tablefmt="plain", disable_numparse=True))
    if judged.warning:
        print(f"\n{judged.warning}")
    if options.out is not None:
        with staging_folder(options.out.parent, asked=options.out) as room:
            write_bytes(
                room / options.out.name,
                judged.table.to_csv(index=False, lineterminator="\n").encode(),
            )
            move_into(room, options.out.parent, [options.out.name])
        print(f"\nOne row per slice: {options.out}")
    beside = external_tool_table(name, judged, collect(root), load_tolerances())
    print(f"\n{beside.render()}" if beside else f"\nNo run in {root} was tested on this split.")
    return 0


def check_new_file(out: Path) -> None:
    """Raise, before any work, where --out is there already or could not be written."""
    if out.is_dir():
        raise SpecError(f"--out {out}: is a folder; name a file, such as {out / 'scores.csv'}")
    if os.path.lexists(out):
        raise SpecError(
            f"--out {out}: exists already and is left as it is; choose another file or remove it"
        )
    check_writable(out)


def judged_outside(options: argparse.Namespace) -> ExternalScores:
    """Load the slices, read the split and the folder of masks asked for, and score them."""
    from benchmark.data.brisc import looks_like
    from benchmark.scoring.external_masks import judge
    from benchmark.splits.files import read_splits
    from benchmark.splits.split import pooled

    if not (options.folder.is_dir() or looks_like(options.folder)):
        what = "no folder and no readable zip of masks; copy it again, or give"
        what = what if options.folder.exists() else "there is no such folder; give"
        raise SpecError(f"{options.folder}: {what} the folder that holds the masks")
    slices = load_given(request(options))
    splits = read_splits(options.split, slices)
    return judge(
        options.folder,
        pooled(splits),
        slices,
        parts=splits if len(splits) > 1 else (),
        as_they_are=options.as_they_are,
        only_common=options.only_common,
    )
