"""The verbs of the command line, `python -m benchmark VERB ...`, and the options of each. Imports
no torch.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmark.cli.options import labels, numbers, positive
from benchmark.judge.tables import FORMATS

EXAMPLES = """\
examples:
  python -m benchmark reproduce                      no data needed: every arm on drawn phantoms, in minutes
  python -m benchmark data path/to/slices            what is in a folder, zip or download
  python -m benchmark plan --data path/to/slices     the thesis's 108 trainings: state and time, nothing run
  python -m benchmark reproduce --data path/to/slices --only kernel_size=5 alpha=0.5 --seeds 452669
  python -m benchmark compare                        your runs against the thesis's printed numbers
  python -m benchmark report                         the same as a page with figures: report/index.html
  python -m benchmark audit --data path/to/slices    test slices whose patient was also trained on, split by split
  python -m benchmark score path/to/masks --split by-image-1 --data path/to/slices    judge another tool
  python -m benchmark predict a.png --run RUN_ID     outline tumours on other slices with a model that was kept
"""
SOURCE_HELP = "a folder or zip of slices, or the word figshare (downloads the archive) or phantoms (draws some)"
SECTION_NAMES = (
    "verdicts",
    "patients",
    "claims",
    "arms",
    "measures",
    "runs",
)  # of benchmark.judge.judgement
SPLIT_HELP = "by-image-1 or another that is shipped, or a JSON file with the slice numbers of train, val and test"
RUNS_HELP = "folder of runs (default: runs, else the records shipped here)"
DEVICE_HELP = "auto (CUDA cards if there are any), cpu, cuda, cuda:1"


def parser() -> argparse.ArgumentParser:
    """Build the whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m benchmark",
        description="Reruns, checks and judges the Poitiers 2024 thesis on U-Net segmentation of meningiomas.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (
        _reproduce,
        _run,
        _plan,
        _compare,
        _report,
        _data,
        _export,
        _rescore,
        _audit,
        _score,
        _predict,
        _arms,
    ):
        add(verbs)
    return top


def _reproduce(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "reproduce",
        "train and score every cell of a grid; finished cells are skipped, stopped ones go on",
    )
    _grid_options(verb)
    _work_options(verb)
    verb.add_argument(
        "--workers",
        type=positive,
        help="processes that share the grid, cores and cards (default: 2 for a grid of minutes at 256x256 and below "
        "on processor cores, else 1)",
    )


def _run(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "run",
        "train and score single cells of a grid, named by run_id, as a task of a batch system does",
    )
    _grid_options(verb)
    _work_options(verb)
    verb.set_defaults(workers=1)
    verb.add_argument(
        "--id",
        nargs="+",
        action="extend",
        required=True,
        metavar="RUN_ID",
        help="as plan --format ids lists them",
    )


def _plan(verbs: Any) -> None:
    verb = _verb(
        verbs, "plan", "say what reproduce would do: each cell's state and the time it would take"
    )
    _grid_options(verb)
    verb.add_argument(
        "--format",
        choices=("grid", "list", "ids"),
        default="grid",
        help="grid: kernels x alphas (default); list: one line a cell; ids: one run_id a line, of cells not yet done",
    )


def _compare(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "compare",
        "judge runs against the thesis's printed numbers; exit code 1 if one is not reproduced",
    )
    verb.add_argument("--runs", type=Path, help=RUNS_HELP)
    verb.add_argument(
        "--section",
        nargs="+",
        action="extend",
        default=[],
        choices=SECTION_NAMES,
        help="these tables alone (default: most)",
    )
    verb.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="text",
        help="of the tables: text (default) fits 100 columns, the others have every column of a table",
    )
    verb.add_argument(
        "--strict", action="store_true", help="exit code 1 also for missing or inconclusive rows"
    )


def _report(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "report",
        "write one self-contained page, and the thesis's figures as PNG, SVG, PDF and CSV",
    )
    verb.add_argument("--runs", type=Path, help=RUNS_HELP)
    verb.add_argument(
        "--out", type=Path, default=Path("report"), help="folder of the report (default: report)"
    )
    verb.add_argument(
        "--data",
        help=f"your copy of the slices, for pictures of them: {SOURCE_HELP}; default: $MENINGIOMA_DATA",
    )
    _data_options(verb)


def _data(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "data",
        "say what was found in a folder, zip or download: slices, patients, sizes, fingerprint",
    )
    verb.add_argument("data", nargs="?", help=f"{SOURCE_HELP}; forms and rules: docs/data.md")
    _data_options(verb)


def _export(verbs: Any) -> None:
    verb = _verb(
        verbs, "export", "write slices as NIfTI pairs, 0.49 x 0.49 x 6 mm, as the thesis held them"
    )
    verb.add_argument("data", help=SOURCE_HELP)
    verb.add_argument("folder", type=Path, help="a folder that does not exist yet")
    _data_options(verb)


def _rescore(verbs: Any) -> None:
    verb = _verb(
        verbs, "rescore", "recompute every measure from the stored predictions, without retraining"
    )
    verb.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)"
    )
    verb.add_argument("--data", help=SOURCE_HELP)
    _data_options(verb)


def _audit(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "audit",
        "measure how many test slices have their patient, or a neighbour, in training",
    )
    verb.add_argument("--data", help=SOURCE_HELP)
    verb.add_argument(
        "--split",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME_OR_FILE",
        help=f"{SPLIT_HELP} (default: every split shipped for these slices)",
    )
    _data_options(verb)


def _score(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "score",
        "judge another tool from a folder of its masks: N.png, .tif, .webp, .bmp or .nii.gz",
    )
    verb.add_argument(
        "folder",
        type=Path,
        help="one mask for each test slice; 0 background, one other value tumour",
    )
    verb.add_argument("--split", required=True, metavar="NAME_OR_FILE", help=SPLIT_HELP)
    verb.add_argument("--data", help=SOURCE_HELP)
    verb.add_argument("--name", help="what to call the tool (default: the folder's name)")
    verb.add_argument(
        "--runs",
        type=Path,
        help="folder of runs to set it beside (default: runs, else those shipped)",
    )
    verb.add_argument("--out", type=Path, help="a new CSV file, for one row per slice")
    _data_options(verb)


def _predict(verbs: Any) -> None:
    verb = _verb(
        verbs, "predict", "outline and measure tumours on other slices with a model that was kept"
    )
    verb.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE_OR_FOLDER",
        help="PNG, WebP, TIFF or NIfTI, one slice a file",
    )
    verb.add_argument(
        "--run", required=True, metavar="RUN_ID", help="a run of reproduce --keep-models"
    )
    verb.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)"
    )
    verb.add_argument(
        "--out",
        type=Path,
        default=Path("predictions"),
        help="folder for masks and measures (default: predictions)",
    )
    verb.add_argument(
        "--spacing",
        type=float,
        nargs=2,
        metavar=("ROW", "COLUMN"),
        help="pixel size in mm where files do not say it",
    )
    verb.add_argument("--device", default="auto", help=DEVICE_HELP)


def _arms(verbs: Any) -> None:
    _verb(verbs, "arms", "list the arms, their parameters and where they come from")


def _verb(verbs: Any, name: str, what: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(
        name, help=what, description=what[0].upper() + what[1:] + "."
    )
    return verb


def _data_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--labels",
        type=labels,
        default="1",
        help="tumours to use: 1 meningioma, 2 glioma, 3 pituitary, such as 1,2, or all (default: 1); slices of Cheng's "
        "dataset are told apart by their masks, others by index.csv",
    )
    verb.add_argument(
        "--allow-empty-masks", action="store_true", help="accept slices without a tumour"
    )
    verb.add_argument(
        "--spacing",
        type=float,
        nargs=2,
        metavar=("ROW", "COLUMN"),
        help="pixel size in mm where files do not say it",
    )


def _work_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--device", default="auto", help=DEVICE_HELP)
    verb.add_argument(
        "--threads",
        type=positive,
        help="processor threads of each worker (default: usable cores / workers)",
    )
    verb.add_argument(
        "--keep-models",
        action="store_true",
        help="keep each trained model in its run's folder, so that predict can use it",
    )


def _grid_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--data",
        help=f"{SOURCE_HELP}; default: $MENINGIOMA_DATA, else an earlier download, else phantoms",
    )
    verb.add_argument(
        "--grid",
        help="thesis, baselines, quick, or a TOML file (default: thesis; on phantoms quick)",
    )
    verb.add_argument("--protocol", help="thesis, patient, or a TOML file (default: the grid's)")
    verb.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUES",
        help="narrow the grid: kernel_size=3,5 alpha=0.5 arm=unet",
    )
    verb.add_argument("--seeds", type=numbers, help="seeds instead of the grid's, such as 452669,1")
    verb.add_argument(
        "--splits",
        type=numbers,
        help="draws or folds of the protocol's split, such as 1,2 (default: 1)",
    )
    verb.add_argument(
        "--image-size",
        type=positive,
        help="side in pixels of the images that arms get (default: the slices' own)",
    )
    verb.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest="overrides",
        help="change a setting of the protocol, such as training.learning_rate=3e-4; it makes runs of their own",
    )
    verb.add_argument(
        "--out", type=Path, help="folder of runs (default: runs; on phantoms runs-quick)"
    )
    _data_options(verb)
